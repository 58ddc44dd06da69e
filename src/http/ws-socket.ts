/** A WebSocket (framed-socket.ts) as signaling sees it: what is sent to it, and what its events are handed to (RFC 6455). */
import type { Socket as TcpSocket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Socket, SocketEvents } from '../signaling/signaling.ts'
import { countTooFast } from './fair-reading.ts'

const CLOSED_ABNORMALLY = 1006

/** Where a WebSocket keeps what its events are handed to: listeners that all sockets share cost a peer nothing. */
const EVENTS = Symbol('events')
type Attached = WebSocket & { [EVENTS]: SocketEvents }

/** Hands the events of a WebSocket to signaling. */
export function listen (ws: WebSocket, events: SocketEvents): void {
  Object.assign(ws, { [EVENTS]: events })
  ws.on('message', onMessage as (this: WebSocket) => void)
  ws.on('ping', onPing as (this: WebSocket) => void)
  ws.on('pong', onPong as (this: WebSocket) => void)
  ws.on('close', onClose as (this: WebSocket) => void)
}

function onMessage (this: Attached, data: Buffer, isBinary: boolean): void {
  if (!this[EVENTS].onMessage(data, isBinary)) countTooFast()
}

function onPing (this: Attached): void {
  if (!this[EVENTS].onPing()) countTooFast()
}

function onPong (this: Attached): void {
  if (!this[EVENTS].onPong()) countTooFast()
}

function onClose (this: Attached, code: number): void {
  this[EVENTS].onClose(code)
}

/**
 * Frames are written by us, not by ws: as text in which each character is a byte, all that waits for a socket in one piece. That is one
 * system call, and no Buffer for each frame (measured: docs/operations.md, Speed).
 */
export class WsSocket implements Socket {
  readonly #ws: WebSocket
  readonly #tcp: TcpSocket
  /** What was sent in this turn of the event loop and is not written yet. */
  #waiting = ''
  /** The turn in which something was last written. */
  #writtenIn = -1

  constructor (ws: WebSocket, tcp: TcpSocket) {
    this.#ws = ws
    this.#tcp = tcp
  }

  send (text: string, isUrgent: boolean): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return
    const isFirst = this.#waiting === ''
    const length = Buffer.byteLength(text)
    this.#waiting += headOf(length) + (length === text.length ? text : Buffer.from(text).toString('latin1'))
    // Nobody waits for what is not urgent, and what is urgent takes it along. Who was written to in this turn already is getting much.
    if (isUrgent && this.#writtenIn !== turn) {
      this.#writtenIn = turn
      if (urgent.push(this) === 1) queueMicrotask(writeUrgent)
      if (waiting.length === 0) endTurn()
    } else if (isFirst) {
      if (waiting.push(this) === 1) endTurn()
    }
  }

  /** Writes what waits. */
  write (): void {
    const bytes = this.#waiting
    this.#waiting = ''
    if (bytes !== '' && this.#ws.readyState === this.#ws.OPEN) this.#tcp.write(bytes, 'latin1')
  }

  close (code: number, reason: string): void {
    this.write()
    this.#ws.close(code === CLOSED_ABNORMALLY ? 1011 : code, reason)
  }

  terminate (): void {
    this.#ws.terminate()
  }

  ping (): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping()
  }

  bufferedBytes (): number {
    return this.#waiting.length + this.#tcp.writableLength
  }
}

/** RFC 6455 §5.2: a whole text frame of so many bytes, from a server. */
function headOf (length: number): string {
  if (length < 126) return String.fromCharCode(0x81, length)
  if (length < 65_536) return String.fromCharCode(0x81, 126, length >> 8, length & 255)
  return String.fromCharCode(0x81, 127, 0, 0, 0, 0, length >>> 24, length >> 16 & 255, length >> 8 & 255, length & 255)
}

/** Sockets that are written to when what is being read now has been dealt with, and those at the end of the turn of the event loop. */
const urgent: WsSocket[] = []
const waiting: WsSocket[] = []
let turn = 0
let isEnding = false

function endTurn (): void {
  if (isEnding) return
  isEnding = true
  setImmediate(writeWaiting)
}

function writeUrgent (): void {
  for (const socket of urgent.splice(0)) socket.write()
}

function writeWaiting (): void {
  isEnding = false
  turn++
  for (const socket of waiting.splice(0)) socket.write()
}
