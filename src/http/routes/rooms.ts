/** /v1/rooms: what the application's own server sees of its rooms, and does to them. */
import Type, { type Static } from 'typebox'
import type { Access } from '../../access/access.ts'
import { EVERYONE, ROOM_KINDS, type Metadata } from '../../protocol/frames.ts'
import type { RoomReport, Signaling } from '../../signaling/signaling.ts'
import type { App } from '../app-type.ts'
import { actorOf, auditedWrite } from '../audit-trail.ts'
import { projectOf } from '../authenticate.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, UnixSeconds, WITH_BODY } from '../schemas.ts'

export type RoomsNeeds = { access: Pick<Access, 'change' | 'projects'>, signaling: Pick<Signaling, 'rooms'> }

const tags = ['Rooms']
const security = [{ key: [] }]
const config = { access: 'project', scope: 'rooms:admin' } as const
const Params = Type.Object({ room: Type.String() })
const Project = Type.Object(ProjectQuery, { additionalProperties: false })
const Paged = Type.Object({ ...ProjectQuery, ...PAGE_QUERY }, { additionalProperties: false })
const MetadataSchema = Type.Object({}, { additionalProperties: true })
const Kind = Type.Enum([...ROOM_KINDS])
const ROOM = {
  id: Type.String(),
  kind: Kind,
  capacity: Type.Integer(),
  metadata: MetadataSchema,
  peerCount: Type.Integer({ description: 'Peers in it, those among them whose socket is lost and may come back.' }),
  since: Type.Union([UnixSeconds, Type.Null()], { description: 'Since when there is somebody in it; null: there is nobody. Unix seconds.' }),
  madeAhead: Type.Boolean({ description: 'Was it made by PUT? Then it stays while it is empty.' }),
}
const RoomAnswer = Type.Object(ROOM)
const PeerAnswer = Type.Object({
  id: Type.String(),
  role: Type.Union([Type.String(), Type.Null()]),
  metadata: MetadataSchema,
  session: Type.String(),
  since: UnixSeconds,
  address: Type.String({ description: 'Where its socket comes from, or came from.' }),
  connected: Type.Boolean({ description: 'false: its socket is lost, and it has its place until the grace period is over.' }),
  roundTripMs: Type.Union([Type.Number(), Type.Null()], { description: 'Of the last ping; null before the first.' }),
  protocol: Type.String({ description: 'native, or a dialect.' }),
})

export function serveRooms (app: App, needs: RoomsNeeds): void {
  readRooms(app, needs)
  makeRooms(app, needs)
  closeRooms(app, needs)
  kickPeers(app, needs)
  sayToPeers(app, needs)
}

function readRooms (app: App, { access, signaling: { rooms } }: RoomsNeeds): void {
  const listSchema = { summary: 'List rooms', description: 'Those that have a peer in them, and those that were made ahead, by id.', tags, security, querystring: Paged, response: { 200: Type.Object({ rooms: Type.Array(RoomAnswer), total: Type.Integer(), next: NEXT }), ...problems('invalid-request', 'not-found') } }
  app.get('/v1/rooms', { config, schema: listSchema }, (request, reply) => {
    const { id } = access.projects.require(projectOf(request.caller, request.query.project))
    const all = rooms.list(id)
    const { page, next } = pageOf(all, request.query)
    reply.header('cache-control', 'no-store').send({ rooms: page.map(answerOf), total: all.length, next })
  })
  const getSchema = { summary: 'One room, and who is in it', tags, security, params: Params, querystring: Paged, response: { 200: Type.Object({ ...ROOM, peers: Type.Array(PeerAnswer), next: NEXT }), ...problems('invalid-request', 'not-found') } }
  app.get('/v1/rooms/:room', { config, schema: getSchema }, (request, reply) => {
    const { room, peers } = rooms.inspect(projectOf(request.caller, request.query.project), request.params.room)
    const { page, next } = pageOf(peers, request.query)
    reply.header('cache-control', 'no-store').send({ ...answerOf(room), peers: page, next })
  })
}

function makeRooms (app: App, { access, signaling: { rooms } }: RoomsNeeds): void {
  const schema = {
    summary: 'Make a room ahead, or change one that was',
    description: 'Tokens that name no kind or capacity have those of the room. It stays while it is empty, until it is deleted. Of a room with peers in it the kind and the capacity stay as they are; its metadata is told to those who are welcomed from now on.',
    tags,
    security,
    params: Params,
    querystring: Project,
    body: Type.Object({
      kind: Type.Optional(Type.Enum([...ROOM_KINDS], { description: 'mesh where it is not given.' })),
      capacity: Type.Optional(Type.Integer({ description: 'Most peers in it, 1 to 10000; the setting of the server where it is not given.' })),
      metadata: Type.Optional(Type.Object({}, { additionalProperties: true, description: 'Stands in the welcome of everybody who comes.' })),
    }, { additionalProperties: false, examples: [{ kind: 'mesh', capacity: 12, metadata: { title: 'Standup' } }] }),
    response: { 200: RoomAnswer, 201: RoomAnswer, ...problems(WITH_BODY, 'metadata-too-large', 'not-found', 'room-mode-conflict', 'too-many-rooms', 'store-unwritable') },
  }
  app.put('/v1/rooms/:room', { config, schema }, (request, reply) => {
    const { id: project } = access.projects.require(projectOf(request.caller, request.query.project))
    const { params: { room: id }, body: { kind, capacity, metadata } } = request
    const deed = { action: 'room.make', project, target: id, detail: { fields: Object.keys(request.body) } }
    const { room, isNew } = rooms.make(project, id, { kind, capacity, metadata: metadata as Metadata | undefined }, auditedWrite(access, request, deed))
    reply.code(isNew ? 201 : 200).send(answerOf(room))
  })
}

function closeRooms (app: App, { access, signaling: { rooms } }: RoomsNeeds): void {
  const schema = {
    summary: 'Close a room',
    description: 'Everybody in it is sent away (close code 4004), leases of a topic end, and a room that was made ahead is so no more. Whoever has a token that still counts can open it again: kick those who must not, or revoke their tokens.',
    tags,
    security,
    params: Params,
    querystring: Project,
    response: { 200: Type.Object({ peersClosed: Type.Integer() }), ...problems('invalid-request', 'not-found', 'store-unwritable') },
  }
  app.delete('/v1/rooms/:room', { config, schema }, (request, reply) => {
    const project = projectOf(request.caller, request.query.project)
    const { room } = request.params
    reply.code(200).send(rooms.close(project, room, auditedWrite(access, request, { action: 'room.close', project, target: room })))
  })
}

function kickPeers (app: App, { access, signaling: { rooms } }: RoomsNeeds): void {
  const schema = {
    summary: 'Send a peer out of a room',
    description: 'At once, without the grace period (close code 4003). The token that it joined with lets nobody in any more; what it was issued for TURN in this room is revoked, and its live allocations are cut. With a new token it can come back, and is issued anew.',
    tags,
    security,
    params: Type.Object({ room: Type.String(), peer: Type.String() }),
    querystring: Project,
    response: {
      200: Type.Object({ allocationsClosed: Type.Integer({ description: 'How many of its live allocations were cut.' }), tokenRevoked: Type.Boolean({ description: 'false: it came without one, and can come again.' }) }),
      ...problems('invalid-request', 'not-found', 'quota-exceeded', 'relay-control-lost', 'store-unwritable'),
    },
  }
  app.delete('/v1/rooms/:room/peers/:peer', { config, schema }, async (request, reply) => {
    const project = projectOf(request.caller, request.query.project)
    const { room, peer } = request.params
    const { allocationsClosed, tokenRevoked } = await rooms.kick(project, room, peer, actorOf(request), auditedWrite(access, request, { action: 'peer.kick', project, target: peer, detail: { room } }))
    return await reply.code(200).send({ allocationsClosed, tokenRevoked })
  })
}

function sayToPeers (app: App, { signaling: { rooms } }: RoomsNeeds): void {
  const schema = {
    summary: 'Say something to one peer, or to all',
    description: 'It arrives as {"type":"message","data":…}, in its order with everything else that the peer is sent, also over a lost socket. Peers of dialects that have no such words do not hear of it.',
    tags,
    security,
    params: Params,
    querystring: Project,
    body: Type.Object({ data: Type.Unknown({ description: 'Any JSON.' }), to: Type.Optional(Type.String({ description: 'A peer id; everybody where it is not given, or *.' })) }, { additionalProperties: false, examples: [{ data: { notice: 'The room closes in five minutes.' } }] }),
    response: { 200: Type.Object({ peers: Type.Integer({ description: 'To how many it went.' }) }), ...problems(WITH_BODY, 'frame-too-large', 'not-found', 'peer-unavailable', 'dialect-mismatch', 'idempotency-key-reused', 'idempotency-key-busy') },
  }
  app.post('/v1/rooms/:room/messages', { config: { ...config, idempotent: true }, schema }, (request, reply) => {
    const { params: { room }, body: { data, to = EVERYONE } } = request
    reply.code(200).send({ peers: rooms.say(projectOf(request.caller, request.query.project), room, to, data) })
  })
}

function pageOf<T extends { id: string }> (all: readonly T[], { limit = DEFAULT_LIMIT, cursor }: { limit?: number | undefined, cursor?: string | undefined }): { page: T[], next: string | null } {
  const position = positionOf(cursor) ?? ''
  const found = all.filter(({ id }) => id > position)
  const page = found.slice(0, limit)
  return { page, next: found.length > limit ? cursorOf(page.at(-1)?.id ?? null) : null }
}

function answerOf ({ id, kind, capacity, metadata, peerCount, since, madeAhead }: RoomReport): Static<typeof RoomAnswer> {
  return { id, kind, capacity, metadata, peerCount, since, madeAhead }
}
