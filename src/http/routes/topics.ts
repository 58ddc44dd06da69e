/** /v1/topics: who publishes and who subscribes, as a list, as a stream of changes, and by lease. */
import Type, { type Static } from 'typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access } from '../../access/access.ts'
import { TOPIC_ROLES, type Metadata, type TopicRole } from '../../protocol/frames.ts'
import type { Signaling, TopicEntry } from '../../signaling/signaling.ts'
import type { App } from '../app-type.ts'
import { EventStream } from '../event-stream.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, WITH_BODY } from '../schemas.ts'
import { isRoomToken, mayGoOn, registrarOf, viewerOf, type TopicAccess, type Viewer } from '../topic-access.ts'

export type TopicsNeeds = { access: TopicAccess & Pick<Access, 'projects'>, signaling: Pick<Signaling, 'topics'>, heartbeatSeconds: number }

const tags = ['Topics']
const security = [{ key: [] }, { roomToken: [] }]
const config = { access: 'project', scope: 'rooms:token', publicWhen: isRoomToken } as const
const LEASE_SECONDS = { minimum: 10, maximum: 86_400 } as const
const EntryAnswer = Type.Object({
  peer: Type.String(),
  metadata: Type.Object({}, { additionalProperties: true, description: 'Of a peer in the room its own, else that of the lease.' }),
  joined: Type.Boolean({ description: 'Is it in the room of the topic now?' }),
  leasedUntil: Type.Union([Type.Integer(), Type.Null()], { description: 'Unix seconds; null: it has no lease, and is listed for as long as it is in the room.' }),
})
const ListParams = Type.Object({ topic: Type.String({ description: 'The id of a room of kind topic, whether anybody is in it or not.' }) })
const EntryParams = Type.Object({ topic: Type.String(), peer: Type.String() })
const OF_TOKENS = ['token-invalid', 'token-expired', 'room-mismatch', 'not-permitted'] as const

export function serveTopics (app: App, needs: TopicsNeeds): void {
  const streams = new Set<EventStream>()
  // They would hold the end of the server up; their clients come back to the next one.
  app.addHook('preClose', done => {
    for (const stream of streams) stream.end()
    done()
  })
  for (const role of TOPIC_ROLES) {
    listPeers(app, needs, role, streams)
    leasePlaces(app, needs, role)
  }
}

function listPeers (app: App, needs: TopicsNeeds, role: TopicRole, streams: Set<EventStream>): void {
  const { access, signaling: { topics } } = needs
  const schema = {
    summary: `List the ${role}s of a topic, or watch them`,
    description: `Peers in the room of the topic with the role ${role}, and those who have a lease. watch=1 answers with an event stream (text/event-stream): first list (or, after Last-Event-ID, what was missed), then added, updated and removed. With a room token of this topic, of a peer that sees ${role}s.`,
    tags,
    security,
    params: ListParams,
    querystring: Type.Object({ ...ProjectQuery, ...PAGE_QUERY, watch: Type.Optional(Type.Enum(['1', 'true'], { description: 'An event stream.' })) }, { additionalProperties: false }),
    response: { 200: Type.Object({ entries: Type.Array(EntryAnswer), next: NEXT }), ...problems('invalid-request', 'not-found', 'room-mode-conflict', 'too-many-watchers', ...OF_TOKENS) },
  }
  app.get(`/v1/topics/:topic/${role}s`, { config, schema }, (request, reply) => {
    const { params: { topic }, query: { limit = DEFAULT_LIMIT, cursor } } = request
    const viewer = viewerOf(request, { topic, role }, access)
    const { id: project } = access.projects.require(viewer.project)
    const listing = { project, topic, role }
    if (request.query.watch !== undefined && request.method === 'GET') return watch({ request, reply, viewer, listing }, needs, streams)
    const position = positionOf(cursor) ?? ''
    const found = topics.list(listing).filter(({ peer }) => peer > position)
    const page = found.slice(0, limit)
    reply.header('cache-control', 'no-store').send({ entries: page.map(answerOf), next: found.length > limit ? cursorOf(page.at(-1)?.peer ?? null) : null })
  })
}

type Listing = Parameters<Signaling['topics']['list']>[0]

type Watching = { request: FastifyRequest, reply: FastifyReply, viewer: Viewer, listing: Listing }

function watch ({ request, reply, viewer, listing }: Watching, { access, signaling: { topics }, heartbeatSeconds }: TopicsNeeds, streams: Set<EventStream>): void {
  const lastId = request.headers['last-event-id']
  let stream: EventStream | null = null
  // The stream begins with the first event: what is refused before is an answer like any other.
  const end = topics.watch(listing, typeof lastId === 'string' ? lastId : undefined, event => open().send(event))
  const beating = setInterval(() => {
    if (mayGoOn(request, viewer, access)) open().beat()
    else open().end()
  }, heartbeatSeconds * 1000)
  open()

  function open (): EventStream {
    if (stream === null) {
      const opened = new EventStream(reply, () => {
        clearInterval(beating)
        streams.delete(opened)
        end()
      })
      stream = opened
      streams.add(opened)
    }
    return stream
  }
}

function leasePlaces (app: App, { access, signaling: { topics } }: TopicsNeeds, role: TopicRole): void {
  const path = `/v1/topics/:topic/${role}s/:peer`
  const putSchema = {
    summary: `List a ${role} for a time`,
    description: 'Whether its signaling socket is open or not; done again, it goes on. A room token leases for its own peer, or for any where it leaves the peer to the client.',
    tags,
    security,
    params: EntryParams,
    querystring: Type.Object(ProjectQuery, { additionalProperties: false }),
    body: Type.Object({
      lease: Type.Integer({ ...LEASE_SECONDS, description: 'Seconds from now, 10 to 86400.' }),
      metadata: Type.Optional(Type.Object({}, { additionalProperties: true, description: 'As it was, where it is not given.' })),
    }, { additionalProperties: false, examples: [{ lease: 60, metadata: { battery: 80 } }] }),
    response: { 200: EntryAnswer, 201: EntryAnswer, ...problems(WITH_BODY, 'metadata-too-large', 'not-found', 'room-mode-conflict', 'too-many-peers', 'store-unwritable', ...OF_TOKENS) },
  }
  app.put(path, { config, schema: putSchema }, (request, reply) => {
    const { params: { topic, peer }, body: { lease, metadata } } = request
    const { id: project } = access.projects.require(registrarOf(request, { topic, role, peer, setsMetadata: metadata !== undefined }, access))
    const { entry, isNew } = topics.lease({ project, topic, role }, peer, { metadata: metadata as Metadata | undefined, seconds: lease })
    reply.code(isNew ? 201 : 200).send(answerOf(entry))
  })
  const deleteSchema = { summary: `End the lease of a ${role}`, description: 'One that is in the room stays listed for as long as it is there.', tags, security, params: EntryParams, querystring: Type.Object(ProjectQuery, { additionalProperties: false }), response: { 204: Type.Null(), ...problems('invalid-request', 'not-found', 'room-mode-conflict', 'store-unwritable', ...OF_TOKENS) } }
  app.delete(path, { config, schema: deleteSchema }, (request, reply) => {
    const { params: { topic, peer } } = request
    const { id: project } = access.projects.require(registrarOf(request, { topic, role, peer, setsMetadata: false }, access))
    topics.release({ project, topic, role }, peer)
    reply.code(204).send(null)
  })
}

function answerOf ({ peer, metadata, joined, leasedUntil }: TopicEntry): Static<typeof EntryAnswer> {
  return { peer, metadata, joined, leasedUntil }
}
