/**
 * PeerJS over HTTP, as npm peer 1.0.2 answers it: a greeting, an id for who has none, and the socket. A refusal is a frame on an open
 * socket: that is all that its client understands.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { errorEntry, isTurnpikeError, TurnpikeError, type ErrorCode } from '../../protocol/errors.ts'
import { PEERJS_INVALID_KEY, peerjsRefusal } from '../../protocol/peerjs.ts'
import type { Signaling, SignalGrant } from '../../signaling/signaling.ts'
import type { App } from '../app-type.ts'
import { grantFor, type JoiningNeeds } from '../../joining.ts'
import { takeOver } from '../websocket.ts'
import { listen } from '../ws-socket.ts'

export type PeerjsNeeds = JoiningNeeds & { signaling: Pick<Signaling, 'admit' | 'attach'> }

type Refusal = { frame: string, code: ErrorCode }
declare module 'fastify' {
  interface FastifyRequest {
    /** How the socket of a PeerJS client begins, and the answer that an upgrade leaves unused. */
    peerjs: { beginning: { grant: SignalGrant } | Refusal, answer: ServerResponse } | null
  }
}

/** The key of clients that name none: the default project. */
const DEFAULT_KEY = 'peerjs'
const GREETING = { name: 'PeerJS Server', description: 'A server side element to broker connections between PeerJS clients.', website: 'https://peerjs.com/' }
// No cookie is in play, and what there is to read is for everybody.
const PUBLIC = { config: { access: 'public' as const, openToPages: () => true }, schema: { hide: true } }

/** Clients with the option path '/peerjs', and those with path '/', whose addresses leave out that part. */
export function servePeerjs (app: App, needs: PeerjsNeeds): void {
  app.decorateRequest('peerjs', null)
  const greet = (_request: FastifyRequest, reply: FastifyReply): FastifyReply => reply.send(GREETING)
  const answerId = (_request: FastifyRequest, reply: FastifyReply): FastifyReply => reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(randomUUID())
  const refuseToList = (): never => { throw new TurnpikeError('unauthorized', 'who is there is not told to clients') }
  acceptSockets(app, '/peerjs', needs, greet)
  acceptSockets(app, '/peerjs/peerjs', needs, () => { throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade') })
  app.get('/peerjs/', PUBLIC, greet)
  for (const under of ['/peerjs', '/peerjs/:key']) {
    app.get(`${under}/id`, PUBLIC, answerId)
    app.get(`${under}/peers`, PUBLIC, refuseToList)
  }
}

function acceptSockets (app: App, url: string, needs: PeerjsNeeds, handler: (request: FastifyRequest, reply: FastifyReply) => FastifyReply): void {
  app.route({
    method: 'GET',
    url,
    ...PUBLIC,
    preValidation: async (request, reply) => {
      if (request.ws) request.peerjs = { beginning: beginningOf(request, needs), answer: reply.raw }
    },
    handler,
    wsHandler: (socket, request) => begin(socket, request, needs.signaling),
  })
}

function beginningOf (request: FastifyRequest, needs: PeerjsNeeds): { grant: SignalGrant } | Refusal {
  const { key, id, token } = request.query as Record<string, unknown>
  try {
    if (!isText(key) || !isText(id) || !isText(token)) throw new TurnpikeError('invalid-request', 'no id, token, or key was supplied')
    const project = key === DEFAULT_KEY ? undefined : key
    const grant = grantFor({ token: isRoomToken(token) ? token : undefined, dialect: 'peerjs', project, peer: id }, request, needs)
    if (project !== undefined && project !== grant.project) return { frame: PEERJS_INVALID_KEY, code: 'token-invalid' }
    const held = { ...grant, heldBy: createHash('sha256').update(token).digest('base64url') }
    needs.signaling.admit(held, request.ip)
    return { grant: held }
  } catch (error) {
    if (!isTurnpikeError(error)) throw error
    return { frame: peerjsRefusal(error.code, error.message), code: error.code }
  }
}

function begin (ws: WebSocket, request: FastifyRequest, signaling: PeerjsNeeds['signaling']): void {
  const { peerjs, ip } = request
  if (peerjs === null) return ws.terminate()
  const socket = takeOver(ws, request, peerjs.answer)
  const { beginning } = peerjs
  if ('grant' in beginning) return listen(ws, signaling.attach(socket, beginning.grant, ip, { spoken: 'peerjs', ack: null }))
  // Whoever is refused may send anything until it has read why.
  ws.on('error', () => ws.terminate())
  socket.send(beginning.frame, true)
  const { close, retry } = errorEntry(beginning.code)
  socket.close(close ?? (retry === 'never' ? 4000 : 4100), beginning.code)
}

/** A JWT; what the client makes up by itself has no dots. */
function isRoomToken (token: string): boolean {
  return token.split('.').length === 3
}

function isText (value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
