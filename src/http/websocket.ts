/** GET /v1/signal: checks the token before the upgrade, so that a refusal is an HTTP status, then hands the WebSocket to signaling (RFC 6455). */
import websocket from '@fastify/websocket'
import type { ServerResponse } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { Access, Grant } from '../access/access.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../protocol/frames.ts'
import type { Signaling, Socket, SocketEvents } from '../signaling/signaling.ts'
import type { App } from './app-type.ts'

export type SignalSocketNeeds = {
  access: Pick<Access, 'checkRoomToken' | 'projects'>
  signaling: Pick<Signaling, 'admit' | 'attach'>
  allowedOrigins: readonly string[]
  /** Longest frame, in bytes. */
  messageBytes: number
}
const CLOSED_ABNORMALLY = 1006
const SEND_OPTIONS = { compress: false, binary: false }

declare module 'fastify' {
  interface FastifyRequest {
    /** What the room token allows, and the answer that an upgrade leaves unused; set on the signaling socket. */
    joining: { grant: Grant, answer: ServerResponse } | null
  }
}

export async function signalSocket (app: App, { access, signaling, allowedOrigins, messageBytes }: SignalSocketNeeds): Promise<void> {
  const offersUs = (protocols: Set<string>): string | false => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false)
  // signaling.stop ends the sockets, with a reason; the plugin would end them without one.
  await app.register(websocket, { options: { maxPayload: messageBytes, perMessageDeflate: false, handleProtocols: offersUs }, preClose: done => done() })
  app.decorateRequest('joining', null)
  app.route({
    method: 'GET',
    url: '/v1/signal',
    config: { access: 'public' },
    schema: { summary: 'The signaling socket (WebSocket)', description: 'See docs/signaling.md.', tags: ['Rooms'], security: [] },
    preValidation: async (request, reply) => {
      if (!request.ws) throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade')
      requireOrigin(request.headers.origin, allowedOrigins, 'the allowed origins')
      const grant = access.checkRoomToken(tokenOf(request))
      const ofProject = access.projects.get(grant.project)?.settings.origins ?? []
      if (ofProject.length > 0) requireOrigin(request.headers.origin, ofProject, 'the origins of the project')
      const { room } = request.query as { room?: string }
      if (room !== undefined && room !== grant.room) throw new TurnpikeError('room-mismatch', 'the room in the address is not the one in the token')
      signaling.admit(grant, request.ip)
      request.joining = { grant, answer: reply.raw }
    },
    handler: async () => { throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade') },
    wsHandler: (socket, request) => attach(socket, request, signaling),
  })
}

function attach (ws: WebSocket, request: FastifyRequest, signaling: Pick<Signaling, 'attach'>): void {
  const { joining, ip } = request
  if (joining === null) return ws.terminate()
  const tcp = request.raw.socket
  // The TCP socket holds on to the answer, and the plugin's listener to the request with its headers and its token: 9 kB for as long as
  // the peer is there. Both have done their work.
  joining.answer.detachSocket(tcp)
  ws.removeAllListeners('error')
  listen(ws, signaling.attach(new WsSocket(ws, tcp), joining.grant, ip))
}

/** Where a WebSocket keeps what its events are handed to: listeners that all sockets share cost a peer nothing. */
const EVENTS = Symbol('events')
/** The close code of a frame that ws itself refused; its 'close' event does not tell it. */
const REFUSED_WITH = Symbol('refused with')
const REFUSALS: Readonly<Record<string, number>> = { WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009, WS_ERR_INVALID_UTF8: 1007 }
type Attached = WebSocket & { [EVENTS]: SocketEvents, [REFUSED_WITH]?: number | undefined }

function listen (ws: WebSocket, events: SocketEvents): void {
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

class WsSocket implements Socket {
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

/** No Origin: not a browser, and nothing to protect from another site's pages. */
function requireOrigin (origin: string | undefined, allowed: readonly string[], where: string): void {
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return
  throw new TurnpikeError('origin-not-allowed', `${origin.slice(0, 200)} is not among ${where}`)
}

function tokenOf (request: FastifyRequest): string {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(protocol => protocol.trim())
  const inProtocol = offered.find(protocol => protocol.startsWith(TOKEN_PREFIX))?.slice(TOKEN_PREFIX.length)
  const { token } = request.query as { token?: string }
  const found = inProtocol ?? token
  if (found === undefined || found === '') throw new TurnpikeError('token-missing', `there is neither a subprotocol ${TOKEN_PREFIX}… nor ?token=`)
  return found
}
