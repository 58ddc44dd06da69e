/** POST /v1/rooms/{room}/tokens: a place in a room for one peer. */
import Type from 'typebox'
import type { Access } from '../../access/access.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Metadata } from '../../protocol/frames.ts'
import type { App } from '../app-type.ts'
import { projectOf } from '../authenticate.ts'
import { problems } from '../schemas.ts'
import { signalUrl } from '../signal-url.ts'

const Body = Type.Object({
  peer: Type.String({ description: 'The peer id: 1 to 128 characters without control characters and /.' }),
  role: Type.Optional(Type.String()),
  metadata: Type.Optional(Type.Object({}, { additionalProperties: true, description: 'What the others see of the peer.' })),
  permissions: Type.Optional(Type.Object({ signal: Type.Optional(Type.Boolean()), update: Type.Optional(Type.Boolean()) }, { additionalProperties: false })),
  ttl: Type.Optional(Type.Integer({ description: 'Seconds in which the token can be used for joining.' })),
  kind: Type.Optional(Type.String({ description: 'mesh: everybody sees and may signal everybody.' })),
  capacity: Type.Optional(Type.Integer({ description: 'Most peers in the room.' })),
  takeover: Type.Optional(Type.Boolean({ description: 'May take over a connection with the same peer id.' })),
  project: Type.Optional(Type.String({ description: 'Which project, for admin keys.' })),
}, { additionalProperties: false, examples: [{ peer: 'alice' }] })

const schema = {
  summary: 'Issue a room token',
  description: 'The peer connects to url with the subprotocols turnpike.v1 and turnpike.token.<token>.',
  tags: ['Rooms'],
  security: [{ key: [] }],
  params: Type.Object({ room: Type.String({ description: 'The room id: 1 to 128 characters without control characters and /.' }) }),
  body: Body,
  response: { 201: Type.Object({ token: Type.String(), url: Type.String(), expiresAt: Type.Integer({ description: 'Unix seconds.' }) }), ...problems(400, 401, 403, 413, 415) },
}

export function issueRoomToken (app: App, { access }: { access: Pick<Access, 'issueRoomToken'> }): void {
  app.post('/v1/rooms/:room/tokens', { config: { access: 'project' }, schema }, (request, reply) => {
    const { peer, role, metadata, permissions, ttl, kind = 'mesh', capacity, takeover, project } = request.body
    if (kind !== 'mesh') {
      const isPlanned = kind === 'pair' || kind === 'topic'
      throw new TurnpikeError(isPlanned ? 'not-available-yet' : 'invalid-request', isPlanned ? `rooms of kind ${kind} are not served by this version; mesh is` : 'kind must be mesh', { fields: [{ field: 'kind', message: 'must be mesh' }] })
    }
    const { token, expiresAtSeconds } = access.issueRoomToken(projectOf(request.caller, project), { room: request.params.room, peer, role, metadata: metadata as Metadata | undefined, permissions, ttlSeconds: ttl, capacity, takeover })
    reply.code(201).header('cache-control', 'no-store').send({ token, url: signalUrl(request), expiresAt: expiresAtSeconds })
  })
}
