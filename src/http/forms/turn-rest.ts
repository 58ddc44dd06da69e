/**
 * /turn: draft-uberti-behave-turn-rest-00 (GET) and draft-uberti-rtcweb-turn-rest-00 (POST), for Janus, Selkies, Nextcloud-style
 * servers, the Android emulator. One answer for all of them: each reads what it knows.
 */
import Type, { type Static } from 'typebox'
import type { FastifyRequest } from 'fastify'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { IceTransport } from '../../protocol/project-settings.ts'
import type { App } from '../app-type.ts'
import { projectOf } from '../authenticate.ts'
import { IceServerSchema, problems } from '../schemas.ts'
import { issueIn, keyInQuery, secondsOf, transportsOf, valueOf, type FormNeeds } from './form.ts'
import { turnRestOf } from './formats.ts'

const Answer = Type.Object({ username: Type.String(), password: Type.String(), credential: Type.String(), ttl: Type.Integer(), expiresAt: Type.Integer(), uris: Type.Array(Type.String()), iceServers: Type.Array(IceServerSchema) })
const schema = {
  summary: 'TURN credentials for clients of draft-uberti',
  description: 'GET, or POST with the query repeated in a form body, with a JSON body, or with none. Parameters of the query: service=turn, username (any; names that are not plain become an opaque id), key or api (the API key; or Authorization: Bearer), ttl, transport.',
  tags: ['Forms of others'],
  security: [{ key: [] }],
  response: { 200: Answer, ...problems('invalid-request', 'form-off', 'project-disabled', 'user-revoked', 'origin-not-allowed', 'quota-exceeded', 'relay-unavailable') },
}

export function turnRestForm (app: App, needs: FormNeeds): void {
  const config = { access: 'project', scope: 'turn:issue', publishable: true, keyOf: keyInQuery('key', 'api'), keyIn: 'key (or api) in the query, or in Authorization: Bearer' } as const
  const answer = (request: FastifyRequest): Static<typeof Answer> => {
    const read = (name: string): string | undefined => valueOf(request.query, name) ?? valueOf(request.body, name)
    requireTurn(read('service'))
    const issued = issueIn('turn-rest', request, needs, { user: read('username') ?? header(request, 'x-auth-user'), ttlSeconds: secondsOf(read('ttl'), 'ttl'), transports: transportsOf(read('transport')) ?? wishOf(request, needs) })
    return { ...turnRestOf(issued), credential: issued.credential, expiresAt: issued.expiresAtSeconds, iceServers: issued.iceServers }
  }
  app.get('/turn', { config, schema }, (request, reply) => { reply.header('cache-control', 'no-store').send(answer(request)) })
  app.post('/turn', { config, schema }, (request, reply) => { reply.header('cache-control', 'no-store').send(answer(request)) })
}

function requireTurn (service: string | undefined): void {
  if (service === undefined || service === 'turn') return
  throw new TurnpikeError('invalid-request', 'service must be turn', { fields: [{ field: 'service', message: 'must be turn' }] })
}

/** Selkies says in headers which transport it would like, also where nobody has chosen one: what is not to be had is not insisted on. */
function wishOf (request: FastifyRequest, { access, credentials }: FormNeeds): IceTransport[] | undefined {
  const protocol = header(request, 'x-turn-protocol')
  const wish = header(request, 'x-turn-tls') === 'true' ? 'tls' : protocol === 'udp' || protocol === 'tcp' ? protocol : undefined
  if (wish === undefined) return undefined
  const { transports } = access.projects.require(projectOf(request.caller, undefined)).settings
  return transports.includes(wish) && credentials.urls([wish]).some(url => url.startsWith('turn')) ? [wish] : undefined
}

function header ({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}
