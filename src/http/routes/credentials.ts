/** POST /v1/turn/credentials: ICE servers for a user of a project. */
import Type from 'typebox'
import type { Credentials } from '../../credentials/credentials.ts'
import type { App } from '../app-type.ts'
import { projectOf } from '../authenticate.ts'
import { IceServerSchema, problems } from '../schemas.ts'

const Body = Type.Object({
  user: Type.Optional(Type.String({ description: '1 to 64 characters out of A-Z, a-z, 0-9, _ and -. A random one where it is not given.' })),
  ttl: Type.Optional(Type.Integer({ description: 'Lifetime in seconds.' })),
  label: Type.Optional(Type.String({ maxLength: 128, description: 'Yours to find it again by; comes back as it was sent.' })),
  policy: Type.Optional(Type.Enum(['all', 'relay'], { description: 'relay leaves STUN out, for clients that use relayed candidates only.' })),
  transports: Type.Optional(Type.Array(Type.Enum(['udp', 'tcp', 'tls']), { maxItems: 3, description: 'Which TURN URLs to answer with.' })),
  project: Type.Optional(Type.String({ description: 'Which project, for admin keys.' })),
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
  description: 'iceServers goes into new RTCPeerConnection({ iceServers }) as it is. Expiry bounds when a call may start, not how long it lasts.',
  tags: ['TURN'],
  security: [{ key: [] }],
  body: Body,
  response: { 201: Answer, ...problems(400, 401, 403, 415, 503) },
}

export function issueCredentials (app: App, { credentials }: { credentials: Pick<Credentials, 'issue'> }): void {
  app.post('/v1/turn/credentials', { config: { access: 'project' }, schema }, (request, reply) => {
    const { user, ttl, label, policy, transports, project } = request.body
    const issued = credentials.issue({ project: projectOf(request.caller, project), user, ttlSeconds: ttl, policy, transports })
    const answer = { iceServers: issued.iceServers, username: issued.username, credential: issued.credential, expiresAt: issued.expiresAtSeconds, ttl: issued.ttlSeconds }
    reply.code(201).header('cache-control', 'no-store').send(label === undefined ? answer : { ...answer, label })
  })
}
