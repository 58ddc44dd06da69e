/** GET /v1/signal: checks the token before the upgrade, so that a refusal is an HTTP status, then hands the WebSocket to signaling (RFC 6455). */
import websocket from '@fastify/websocket'
import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { grantFor, type JoiningNeeds } from '../joining.ts'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import { RESUME_PREFIX, SUBPROTOCOL, TOKEN_PREFIX } from '../protocol/frames.ts'
import type { SignalGrant, Signaling } from '../signaling/signaling.ts'
import type { App } from './app-type.ts'
import { FramedSocket } from './framed-socket.ts'
import { listen, WsSocket } from './ws-socket.ts'

export type SignalSocketNeeds = JoiningNeeds & { signaling: Pick<Signaling, 'admit' | 'attach' | 'resume' | 'requireSession'> }

/** How a socket is to begin: in a room, or where another one ended. */
type Beginning = { grant: SignalGrant, ack: number | null } | { resume: string, ack: number }

declare module 'fastify' {
  interface FastifyRequest {
    /** How the socket begins, and the answer that an upgrade leaves unused; set on signaling sockets. */
    joining: { beginning: Beginning, answer: ServerResponse } | null
  }
}

/** Of one message. Browsers send a message whole or in a few; by thousands, empty ones are a flood that no rate counts. */
const MOST_FRAGMENTS = 256

/** Makes ready for signaling sockets of every protocol. */
export async function acceptWebSockets (app: App, messageBytes: number): Promise<void> {
  const offersUs = (protocols: Set<string>): string | false => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false)
  // signaling.stop ends the sockets, with a reason; the plugin would end them without one.
  const options = { maxPayload: messageBytes, maxFragments: MOST_FRAGMENTS, perMessageDeflate: false, handleProtocols: offersUs, clientTracking: false, WebSocket: FramedSocket as never }
  await app.register(websocket, { options, preClose: done => done() })
  app.decorateRequest('joining', null)
}

export function signalSocket (app: App, needs: SignalSocketNeeds): void {
  app.route({
    method: 'GET',
    url: '/v1/signal',
    config: { access: 'public' },
    schema: { summary: 'The signaling socket (WebSocket)', description: 'See docs/signaling.md.', tags: ['Rooms'], security: [] },
    preValidation: async (request, reply) => {
      if (!request.ws) return tellWhy(request, reply, needs)
      request.joining = { beginning: beginningOf(request, needs), answer: reply.raw }
    },
    handler: async () => { throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade') },
    wsHandler: (socket, request) => begin(socket, request, needs.signaling),
  })
}

/** Browsers do not tell a page why its WebSocket was refused. A plain request with the same query and token is told: always by an error. */
function tellWhy (request: FastifyRequest, reply: FastifyReply, needs: SignalSocketNeeds): never {
  reply.header('access-control-allow-origin', '*')
  const { token, resume } = offered(request)
  const { ack } = request.query as { ack?: string }
  if (token !== undefined || resume !== undefined || ack !== undefined) beginningOf(request, needs)
  throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade')
}

/** Throws what the connection is refused with. */
function beginningOf (request: FastifyRequest, needs: SignalSocketNeeds): Beginning {
  const { token, resume } = offered(request)
  const { room, peer, ack } = request.query as { room?: string, peer?: string, ack?: string }
  const acknowledged = ack === undefined ? null : Number(ack)
  if (acknowledged !== null && (!Number.isSafeInteger(acknowledged) || acknowledged < 0)) throw new TurnpikeError('invalid-request', 'ack must be an integer from 0', { fields: [{ field: 'ack', message: 'must be an integer from 0' }] })
  if (resume !== undefined) {
    try {
      needs.signaling.requireSession(resume)
      return { resume, ack: acknowledged ?? 0 }
    } catch (error) {
      // Whoever has a token too joins anew.
      if (!isTurnpikeError(error) || error.code !== 'session-unknown' || token === undefined) throw error
    }
  }
  const grant = grantFor({ token, room, peer }, request, needs)
  needs.signaling.admit(grant, request.ip)
  return { grant, ack: acknowledged }
}

function begin (ws: WebSocket, request: FastifyRequest, signaling: SignalSocketNeeds['signaling']): void {
  const { joining, ip } = request
  if (joining === null) return ws.terminate()
  const socket = takeOver(ws, request, joining.answer)
  const { beginning } = joining
  const events = 'resume' in beginning
    ? signaling.resume(socket, beginning.resume, beginning.ack, ip)
    : signaling.attach(socket, beginning.grant, ip, { spoken: 'native', ack: beginning.ack })
  listen(ws, events)
}

/** A WebSocket whose request has done its work: the TCP socket would hold on to the answer, and the plugin's listener to the request with its headers and its token, 9 kB for as long as the peer is there. */
export function takeOver (ws: WebSocket, request: FastifyRequest, answer: ServerResponse): WsSocket {
  const tcp = request.raw.socket
  answer.detachSocket(tcp)
  ws.removeAllListeners('error')
  return new WsSocket(ws, tcp)
}

function offered (request: FastifyRequest): { token: string | undefined, resume: string | undefined } {
  const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(protocol => protocol.trim())
  const after = (prefix: string): string | undefined => protocols.find(protocol => protocol.startsWith(prefix))?.slice(prefix.length)
  const query = request.query as { token?: string, resume?: string }
  const nonEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text)
  return { token: nonEmpty(after(TOKEN_PREFIX) ?? query.token), resume: nonEmpty(after(RESUME_PREFIX) ?? query.resume) }
}
