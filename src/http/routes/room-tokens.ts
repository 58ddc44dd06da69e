/** POST /v1/rooms/{room}/tokens: a place in a room for one peer; DELETE /v1/tokens/{token}: none after all. */
import Type from 'typebox'
import type { Access } from '../../access/access.ts'
import { ROOM_KINDS, type Metadata, type RoomKind } from '../../protocol/frames.ts'
import type { App } from '../app-type.ts'
import { audited } from '../audit-trail.ts'
import { keyIdOf, projectOf } from '../authenticate.ts'
import type { Signaling } from '../../signaling/signaling.ts'
import { problems, WITH_BODY } from '../schemas.ts'
import { signalUrl } from '../signal-url.ts'

const Body = Type.Object({
  peer: Type.String({ description: 'The peer id: 1 to 128 characters without control characters and /. Or *: the client says which peer it is.' }),
  role: Type.Optional(Type.String()),
  metadata: Type.Optional(Type.Object({}, { additionalProperties: true, description: 'What the others see of the peer.' })),
  permissions: Type.Optional(Type.Object({ signal: Type.Optional(Type.Boolean()), update: Type.Optional(Type.Boolean()) }, { additionalProperties: false })),
  ttl: Type.Optional(Type.Integer({ description: 'Seconds in which the token can be used for joining.' })),
  kind: Type.Optional(Type.Enum([...ROOM_KINDS], { description: 'mesh: everybody sees and may signal everybody. pair: two peers. topic: publishers and subscribers (the role), each of whom sees the others alone. As the room is, where it is there or was made ahead; mesh else.' })),
  capacity: Type.Optional(Type.Integer({ description: 'Most peers in the room; the same.' })),
  takeover: Type.Optional(Type.Boolean({ description: 'May take over a connection with the same peer id.' })),
  project: Type.Optional(Type.String({ maxLength: 64, description: 'Which project, for admin keys.' })),
}, { additionalProperties: false, examples: [{ peer: 'alice' }] })

const schema = {
  summary: 'Issue a room token',
  description: 'The peer connects to url with the subprotocols turnpike.v1 and turnpike.token.<token>.',
  tags: ['Rooms'],
  security: [{ key: [] }],
  params: Type.Object({ room: Type.String({ description: 'The room id: 1 to 128 characters without control characters and /.' }) }),
  body: Body,
  response: {
    201: Type.Object({ token: Type.String(), tokenId: Type.String({ description: 'To revoke it by: DELETE /v1/tokens/{tokenId}.' }), url: Type.String(), expiresAt: Type.Integer({ description: 'Unix seconds.' }) }),
    ...problems(WITH_BODY, 'metadata-too-large', 'project-disabled', 'not-found', 'idempotency-key-reused', 'idempotency-key-busy'),
  },
}

export type RoomTokensNeeds = { access: Pick<Access, 'issueRoomToken' | 'revokeRoomToken' | 'change'>, signaling: { rooms: Pick<Signaling['rooms'], 'propertiesOf'> } }

export function serveRoomTokens (app: App, needs: RoomTokensNeeds): void {
  const { access } = needs
  issueRoomToken(app, needs)
  const revokeSchema = {
    summary: 'Revoke a room token by its id',
    description: 'Nobody joins with it any more. A peer that has joined stays.',
    tags: ['Rooms'],
    security: [{ key: [] }],
    params: Type.Object({ tokenId: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }) }),
    response: { 204: Type.Null(), ...problems('invalid-request', 'quota-exceeded', 'store-unwritable') },
  }
  // Which project a token is of stands in the token alone: a key revokes its own project's whatever it names, an admin anybody's.
  app.delete('/v1/tokens/:tokenId', { config: { access: 'project', scope: 'rooms:token' }, schema: revokeSchema }, (request, reply) => {
    const { caller } = request
    const { tokenId } = request.params
    const project = caller?.kind === 'project' ? caller.project : null
    audited(access, request, () => ({ action: 'token.revoke', project, target: tokenId }), () => access.revokeRoomToken(project, tokenId))
    reply.code(204).send(null)
  })
}

function issueRoomToken (app: App, { access, signaling }: RoomTokensNeeds): void {
  app.post('/v1/rooms/:room/tokens', { config: { access: 'project', scope: 'rooms:token', idempotent: true }, schema }, (request, reply) => {
    const { room } = request.params
    const { peer, role, metadata, permissions, ttl, takeover } = request.body
    const project = projectOf(request.caller, request.body.project)
    const { kind, capacity } = asTheRoom(request.body, signaling.rooms.propertiesOf(project, room))
    const { token, tokenId, expiresAtSeconds } = access.issueRoomToken(project, { room, peer, role, metadata: metadata as Metadata | undefined, permissions, ttlSeconds: ttl, kind, capacity, takeover }, keyIdOf(request.caller))
    reply.code(201).header('cache-control', 'no-store').send({ token, tokenId, url: signalUrl(request), expiresAt: expiresAtSeconds })
  })
}

type Mode = { kind?: RoomKind | undefined, capacity?: number | undefined }

/** What is not asked for is as the room has it, where there is one. */
function asTheRoom ({ kind, capacity }: Mode, room: Mode | undefined): Mode {
  if (room === undefined || (kind !== undefined && kind !== room.kind)) return { kind, capacity }
  return { kind: room.kind, capacity: capacity ?? room.capacity }
}
