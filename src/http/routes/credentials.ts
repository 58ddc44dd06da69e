/** POST /v1/turn/credentials: ICE servers for a user of a project. */
import Type from 'typebox'
import type { FastifyReply } from 'fastify'
import type { Credentials, IssuedCredential } from '../../credentials/credentials.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { TRANSPORTS } from '../../protocol/project-settings.ts'
import type { App } from '../app-type.ts'
import { keyIdOf, projectOf } from '../authenticate.ts'
import { FORMATS, inFormat } from '../forms/formats.ts'
import { IceServerSchema, problems, WITH_BODY } from '../schemas.ts'

export type IssueNeeds = { credentials: Pick<Credentials, 'issue'> }

const Body = Type.Object({
  user: Type.Optional(Type.String({ description: '1 to 64 characters out of A-Z, a-z, 0-9, _ and -. A random one where it is not given; publishable keys always get a random one.' })),
  ttl: Type.Optional(Type.Integer({ description: 'Lifetime in seconds, within the bounds of the project.' })),
  label: Type.Optional(Type.String({ maxLength: 128, description: 'Yours to find it again by; comes back as it was sent.' })),
  policy: Type.Optional(Type.Enum(['all', 'relay'], { description: 'relay leaves STUN out, for clients that use relayed candidates only.' })),
  transports: Type.Optional(Type.Array(Type.Enum([...TRANSPORTS]), { maxItems: 3, description: 'Which TURN URLs to answer with.' })),
  region: Type.Optional(Type.String({ maxLength: 64, description: 'Relays of this region first; others where none of it is well.' })),
  room: Type.Optional(Type.String({ description: 'The room that it is for, 1 to 128 characters: usage and allocations are told by it.' })),
  project: Type.Optional(Type.String({ maxLength: 64, description: 'Which project, for admin keys.' })),
}, { additionalProperties: false, examples: [{ user: 'alice', ttl: 3600 }] })

const Answer = Type.Object({
  iceServers: Type.Array(IceServerSchema),
  username: Type.String(),
  credential: Type.String(),
  expiresAt: Type.Integer({ description: 'Unix seconds.' }),
  ttl: Type.Integer({ description: 'Seconds.' }),
  label: Type.Optional(Type.String()),
})

const schema = {
  summary: 'Issue TURN credentials',
  description: 'iceServers goes into new RTCPeerConnection({ iceServers }) as it is. Expiry bounds when a call may start, not how long it lasts, unless the project says expiry: hard.',
  tags: ['TURN'],
  security: [{ key: [] }],
  headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ description: 'A repetition with the same key is answered with the same answer, for an hour.' })) }),
  querystring: Type.Object({ format: Type.Optional(Type.Enum([...FORMATS], { description: 'json: as below. ice: the bare array of RTCIceServer. uri: turn: URIs with user and password, one to a line. xml: XEP-0215 services. janus: {username, password, ttl, uris}.' })) }, { additionalProperties: false }),
  body: Body,
  response: { 201: Answer, ...problems(WITH_BODY, 'project-disabled', 'user-revoked', 'origin-not-allowed', 'not-found', 'idempotency-key-reused', 'idempotency-key-busy', 'quota-exceeded', 'relay-unavailable') },
}

export function issueCredentials (app: App, { credentials }: IssueNeeds): void {
  app.post('/v1/turn/credentials', { config: { access: 'project', scope: 'turn:issue', publishable: true, idempotent: true }, schema }, (request, reply) => {
    const { user, ttl, label, policy, transports, region, room, project } = request.body
    const { caller } = request
    if (user !== undefined && caller?.kind === 'project' && caller.publishable) throw new TurnpikeError('invalid-request', 'user is not taken from a publishable key: everybody could be anybody', { fields: [{ field: 'user', message: 'is not taken from a publishable key' }] })
    const issued = credentials.issue({ project: projectOf(caller, project), user, ttlSeconds: ttl, policy, transports, region, room, keyId: keyIdOf(caller) })
    answer(reply.code(201).header('cache-control', 'no-store'), issued, request.query.format ?? 'json', label)
  })
}

function answer (reply: FastifyReply, issued: IssuedCredential, format: typeof FORMATS[number], label: string | undefined): void {
  if (format !== 'json') {
    const { type, body } = inFormat(issued, format)
    reply.type(type).serializer((text: unknown) => text as string).send(body)
    return
  }
  const { iceServers, username, credential, expiresAtSeconds, ttlSeconds } = issued
  const plain = { iceServers, username, credential, expiresAt: expiresAtSeconds, ttl: ttlSeconds }
  reply.send(label === undefined ? plain : { ...plain, label })
}
