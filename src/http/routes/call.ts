/** The call page: /, /call/<room>, its files, and the token that lets a visitor in. */
import { randomBytes } from 'node:crypto'
import Type from 'typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access } from '../../access/access.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { isValidId } from '../../protocol/frames.ts'
import type { App } from '../app-type.ts'
import { readAsset, readAssets, sendAsset, type Asset } from '../assets.ts'
import { publicProblems, WITH_BODY } from '../schemas.ts'
import { signalUrl } from '../signal-url.ts'

export type CallPageNeeds = { access: Pick<Access, 'issueCallToken'>, callPage: 'open' | 'off' }

const PUBLIC = { config: { access: 'public' as const }, schema: { hide: true } }
/** Nothing from elsewhere, nothing inline; only sockets may lead away, because the relay has another port. */
const SECURITY_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const TOKENS_PER_MINUTE = 30
const LIMIT = {
  max: TOKENS_PER_MINUTE,
  timeWindow: 60_000,
  errorResponseBuilder: (_request: FastifyRequest, { ttl }: { ttl: number }) => new TurnpikeError('too-many-requests', `${TOKENS_PER_MINUTE} a minute may join from one address`, { retryAfterSeconds: Math.ceil(ttl / 1000) }),
}

export function callPage (app: App, { access, callPage }: CallPageNeeds): void {
  answerStunner(app)
  if (callPage === 'off') {
    const off = readAsset('console/off.html')
    for (const url of ['/', '/call/:room']) app.get(url, PUBLIC, (_request, reply) => sendPage(reply.code(404), off))
    return
  }
  const assets = readAssets()
  const [home, call, lost] = ['console/home.html', 'console/call.html', 'console/lost.html'].map(readAsset)
  if (home === undefined || call === undefined || lost === undefined) return
  app.get('/', PUBLIC, (_request, reply) => sendPage(reply, home))
  app.get<{ Params: { room: string } }>('/call/:room', PUBLIC, (request, reply) => {
    return isValidId(request.params.room) ? sendPage(reply, call) : sendPage(reply.code(404), lost)
  })
  app.get<{ Params: { '*': string } }>('/assets/*', PUBLIC, (request, reply) => sendAsset(request, reply, assets.get(request.params['*'])))
  issueCallToken(app, access)
}

function issueCallToken (app: App, access: CallPageNeeds['access']): void {
  const schema = {
    summary: 'A room token for a visitor of the call page',
    description: 'For the page itself: asked from elsewhere it is refused. TURNPIKE_CALL_PAGE=off removes it.',
    tags: ['Rooms'],
    security: [],
    params: Type.Object({ room: Type.String() }),
    body: Type.Object({ name: Type.Optional(Type.String({ maxLength: 40 })) }, { additionalProperties: false }),
    response: { 201: Type.Object({ token: Type.String(), url: Type.String(), expiresAt: Type.Integer() }), ...publicProblems(WITH_BODY, 'origin-not-allowed', 'project-disabled', 'too-many-requests') },
  }
  app.post('/call/:room/token', { config: { access: 'public', rateLimit: LIMIT }, schema }, (request, reply) => {
    requireSameOrigin(request)
    const { name = '' } = request.body
    const { token, expiresAtSeconds } = access.issueCallToken({ room: request.params.room, peer: randomBytes(6).toString('hex'), metadata: name.trim() === '' ? {} : { name: name.trim() } })
    reply.code(201).header('cache-control', 'no-store').send({ token, url: signalUrl(request), expiresAt: expiresAtSeconds })
  })
}

/** getTurnAuth of STUNner stands at the root of its service, where here the home page is. */
function answerStunner (app: App): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!request.url.startsWith('/?') || (request.query as { service?: unknown }).service !== 'turn') return
    return await reply.redirect(`/turn${request.url.slice(1)}`, 307)
  })
}

/** Another site's page must not take tokens in its visitors' name. */
function requireSameOrigin ({ headers, host }: Pick<FastifyRequest, 'headers' | 'host'>): void {
  const { origin } = headers
  const site = headers['sec-fetch-site']
  const isOther = (origin !== undefined && !origin.endsWith(`://${host}`)) || (site !== undefined && site !== 'same-origin')
  if (isOther) throw new TurnpikeError('origin-not-allowed', 'tokens of the call page are for the call page')
}

function sendPage (reply: FastifyReply, { body, type }: Asset): FastifyReply {
  return reply.type(type).headers({ 'cache-control': 'no-cache', 'content-security-policy': SECURITY_POLICY, 'referrer-policy': 'no-referrer', 'permissions-policy': 'camera=(self), microphone=(self)' }).send(body)
}
