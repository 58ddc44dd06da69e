/** A WebSocket (ws) as signaling sees it: what is sent to it, and what its events are handed to (RFC 6455). */
import type { Socket as TcpSocket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Socket, SocketEvents } from '../signaling/signaling.ts'

const CLOSED_ABNORMALLY = 1006
const SEND_OPTIONS = { compress: false, binary: false }

/** Where a WebSocket keeps what its events are handed to: listeners that all sockets share cost a peer nothing. */
const EVENTS = Symbol('events')
/** The close code of a frame that ws itself refused; its 'close' event does not tell it. */
const REFUSED_WITH = Symbol('refused with')
const REFUSALS: Readonly<Record<string, number>> = { WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009, WS_ERR_INVALID_UTF8: 1007 }
type Attached = WebSocket & { [EVENTS]: SocketEvents, [REFUSED_WITH]?: number | undefined }

/** Hands the events of a WebSocket to signaling. */
export function listen (ws: WebSocket, events: SocketEvents): void {
  Object.assign(ws, { [EVENTS]: events })
  ws.on('message', onMessage as (this: WebSocket) => void)
  ws.on('pong', onPong as (this: WebSocket) => void)
  ws.on('close', onClose as (this: WebSocket) => void)
  ws.on('error', onError as (this: WebSocket) => void)
}

function onMessage (this: Attached, data: Buffer, isBinary: boolean): void {
  this[EVENTS].onMessage(data, isBinary)
}

function onPong (this: Attached): void {
  this[EVENTS].onPong()
}

function onClose (this: Attached, code: number): void {
  this[EVENTS].onClose(this[REFUSED_WITH] ?? code)
}

/** 'close' follows, when ws has told the other side. */
function onError (this: Attached, { code = '' }: NodeJS.ErrnoException): void {
  this[REFUSED_WITH] = REFUSALS[code]
}

export class WsSocket implements Socket {
  readonly #ws: WebSocket
  readonly #tcp: TcpSocket

  constructor (ws: WebSocket, tcp: TcpSocket) {
    this.#ws = ws
    this.#tcp = tcp
  }

  send (text: string): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return
    cork(this.#tcp)
    this.#ws.send(text, SEND_OPTIONS)
  }

  close (code: number, reason: string): void {
    this.#ws.close(code === CLOSED_ABNORMALLY ? 1011 : code, reason)
  }

  terminate (): void {
    this.#ws.terminate()
  }

  ping (): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping()
  }

  bufferedBytes (): number {
    return this.#ws.bufferedAmount
  }
}

/** Sockets that were written to in this turn of the event loop; what they are sent leaves in one system call each. */
const corked: TcpSocket[] = []

function cork (tcp: TcpSocket): void {
  if (tcp.writableCorked > 0) return
  tcp.cork()
  if (corked.push(tcp) === 1) setImmediate(uncorkAll)
}

function uncorkAll (): void {
  for (const tcp of corked.splice(0)) tcp.uncork()
}
