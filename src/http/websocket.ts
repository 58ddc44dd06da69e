/** GET /v1/signal: checks the token before the upgrade, so that a refusal is an HTTP status, then hands the WebSocket to signaling (RFC 6455). */
import websocket from '@fastify/websocket'
import type { Socket as TcpSocket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { Access, Grant } from '../access/access.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../protocol/frames.ts'
import type { Signaling, Socket } from '../signaling/signaling.ts'
import type { App } from './app-type.ts'

export type SignalSocketNeeds = {
  access: Pick<Access, 'checkRoomToken'>
  signaling: Pick<Signaling, 'admit' | 'attach'>
  allowedOrigins: readonly string[]
  /** Longest frame, in bytes. */
  messageBytes: number
}
const CLOSED_ABNORMALLY = 1006

declare module 'fastify' {
  interface FastifyRequest {
    /** What the room token allows; set on the signaling socket. */
    grant: Grant | null
  }
}

export async function signalSocket (app: App, { access, signaling, allowedOrigins, messageBytes }: SignalSocketNeeds): Promise<void> {
  const offersUs = (protocols: Set<string>): string | false => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false)
  // signaling.stop ends the sockets, with a reason; the plugin would end them without one.
  await app.register(websocket, { options: { maxPayload: messageBytes, perMessageDeflate: false, handleProtocols: offersUs }, preClose: done => done() })
  app.decorateRequest('grant', null)
  app.route({
    method: 'GET',
    url: '/v1/signal',
    config: { access: 'public' },
    schema: { summary: 'The signaling socket (WebSocket)', description: 'See docs/signaling.md.', tags: ['Rooms'], security: [] },
    preValidation: async request => {
      if (!request.ws) throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade')
      requireOrigin(request.headers.origin, allowedOrigins)
      const grant = access.checkRoomToken(tokenOf(request))
      const { room } = request.query as { room?: string }
      if (room !== undefined && room !== grant.room) throw new TurnpikeError('room-mismatch', 'the room in the address is not the one in the token')
      signaling.admit(grant, request.ip)
      request.grant = grant
    },
    handler: async () => { throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade') },
    wsHandler: (socket, request) => attach(socket, request, signaling),
  })
}

function attach (ws: WebSocket, request: FastifyRequest, signaling: Pick<Signaling, 'attach'>): void {
  if (request.grant === null) return ws.terminate()
  const events = signaling.attach(socketOver(ws, request.raw.socket), request.grant, request.ip)
  ws.on('message', (data, isBinary) => events.onMessage(data as Buffer, isBinary))
  ws.on('pong', () => events.onPong())
  ws.on('close', code => events.onClose(code))
  // 'close' follows, with the code that ws sent (1009 for a frame that is too large, 1007 for broken UTF-8).
  ws.on('error', error => request.log.debug({ reason: error.message }, 'a signaling socket failed'))
}

function socketOver (ws: WebSocket, tcp: TcpSocket): Socket {
  return {
    send: text => {
      if (ws.readyState !== ws.OPEN) return
      cork(tcp)
      ws.send(text, { compress: false, binary: false })
    },
    close: (code, reason) => ws.close(code === CLOSED_ABNORMALLY ? 1011 : code, reason),
    terminate: () => ws.terminate(),
    ping: () => { if (ws.readyState === ws.OPEN) ws.ping() },
    bufferedBytes: () => ws.bufferedAmount,
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
function requireOrigin (origin: string | undefined, allowed: readonly string[]): void {
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return
  throw new TurnpikeError('origin-not-allowed', `${origin.slice(0, 200)} is not among the allowed origins`)
}

function tokenOf (request: FastifyRequest): string {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(protocol => protocol.trim())
  const inProtocol = offered.find(protocol => protocol.startsWith(TOKEN_PREFIX))?.slice(TOKEN_PREFIX.length)
  const { token } = request.query as { token?: string }
  const found = inProtocol ?? token
  if (found === undefined || found === '') throw new TurnpikeError('token-missing', `there is neither a subprotocol ${TOKEN_PREFIX}… nor ?token=`)
  return found
}
