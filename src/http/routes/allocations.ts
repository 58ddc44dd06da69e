/** /v1/turn/allocations: who relays now, and an end to it. */
import Type, { type Static } from 'typebox'
import type { FastifyRequest } from 'fastify'
import type { Access } from '../../access/access.ts'
import type { Allocation, Relay } from '../../relay/relay.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App } from '../app-type.ts'
import { audit } from '../audit-trail.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, UnixSeconds } from '../schemas.ts'

export type AllocationsNeeds = { access: Pick<Access, 'audit' | 'projects'>, relay: Pick<Relay, 'allocations' | 'rateOf' | 'cut'> }

const tags = ['TURN']
const security = [{ key: [] }]
const Answer = Type.Object({
  id: Type.String(),
  project: Type.String({ description: 'other: of a program that signs by itself (an integration).' }),
  user: Type.String(),
  room: Type.Union([Type.String(), Type.Null()], { description: 'The room that the credential was issued for, where it was for one.' }),
  key: Type.Union([Type.String(), Type.Null()], { description: 'The key that issued the credential, where it was one.' }),
  relay: Type.String(),
  transport: Type.String({ description: 'Between client and relay: udp, tcp, tls or dtls.' }),
  tlsVersion: Type.Union([Type.String(), Type.Null()], { description: 'Such as TLSv1.3.' }),
  clientAddress: Type.String(),
  relayAddress: Type.Union([Type.String(), Type.Null()], { description: 'Where peers send to; null in its first seconds.' }),
  since: UnixSeconds,
  expiresAt: Type.Integer({ description: 'When it ends if its client does not refresh it. Unix seconds.' }),
  credentialExpiresAt: Type.Union([Type.Integer(), Type.Null()]),
  bytesFromClient: Type.Integer({ description: 'As reported so far: coturn tells every 4096 packets (about 2.5 MB at most), and its own list once a minute.' }),
  bytesToClient: Type.Integer(),
  packetsFromClient: Type.Integer(),
  packetsToClient: Type.Integer(),
  bytesPerSecond: Type.Integer({ description: 'Both ways, between the last two reports.' }),
})
const FILTERS = {
  user: Type.Optional(Type.String({ maxLength: 64 })),
  room: Type.Optional(Type.String({ maxLength: 128 })),
  relay: Type.Optional(Type.String({ maxLength: 64 })),
  transport: Type.Optional(Type.Enum(['udp', 'tcp', 'tls', 'dtls'])),
}
type Filters = Partial<Record<'project' | 'user' | 'room' | 'relay' | 'transport', string>>

export function serveAllocations (app: App, needs: AllocationsNeeds): void {
  listAllocations(app, needs)
  cutOne(app, needs)
  cutMany(app, needs)
}

function listAllocations (app: App, { access, relay }: AllocationsNeeds): void {
  const schema = {
    summary: 'List live allocations',
    tags,
    security,
    querystring: Type.Object({ ...ProjectQuery, ...PAGE_QUERY, ...FILTERS, order: Type.Optional(Type.Enum(['id', 'rate', 'bytes'], { description: 'rate and bytes: the greatest first, one page, without a cursor.' })) }, { additionalProperties: false }),
    response: { 200: Type.Object({ allocations: Type.Array(Answer), total: Type.Integer({ description: 'How many match.' }), next: NEXT }), ...problems('invalid-request', 'not-found') },
  }
  app.get('/v1/turn/allocations', { config: { access: 'project', scope: 'usage:read' }, schema }, (request, reply) => {
    const { limit = DEFAULT_LIMIT, cursor, order = 'id', ...filters } = request.query
    const position = positionOf(cursor) ?? ''
    const found = matching(request, filters, { access, relay })
    const sorted = order === 'id' ? found.filter(({ id }) => id > position).sort((a, b) => (a.id < b.id ? -1 : 1)) : found.map(allocation => ({ allocation, by: order === 'rate' ? relay.rateOf(allocation) : bytesOf(allocation) })).sort((a, b) => b.by - a.by).map(({ allocation }) => allocation)
    const page = sorted.slice(0, limit)
    reply.header('cache-control', 'no-store').send({
      allocations: page.map(allocation => answerOf(allocation, relay.rateOf(allocation))),
      total: found.length,
      next: order === 'id' && sorted.length > limit ? cursorOf(page.at(-1)?.id ?? null) : null,
    })
  })
}

function cutOne (app: App, { access, relay }: AllocationsNeeds): void {
  const schema = { summary: 'Cut one allocation', description: 'Its client may make another with the same credential; revoke the user to prevent that.', tags, security, params: Type.Object({ id: Type.String({ maxLength: 128 }) }), response: { 200: Type.Object({ allocationsClosed: Type.Integer() }), ...problems('not-found', 'relay-control-lost', 'store-unwritable') } }
  app.delete('/v1/turn/allocations/:id', { config: { access: 'project', scope: 'turn:revoke' }, schema }, async (request, reply) => {
    const { caller, params: { id } } = request
    const found = relay.allocations().find(allocation => allocation.id === id)
    if (found === undefined || (caller?.kind === 'project' && caller.project !== found.project)) throw new TurnpikeError('not-found', `there is no allocation ${id}`)
    audit(access, request, { action: 'allocation.cut', project: found.project, target: id, detail: { user: found.user } })
    return await reply.code(200).send({ allocationsClosed: await relay.cut([found], 'asked') })
  })
}

function cutMany (app: App, { access, relay }: AllocationsNeeds): void {
  const schema = {
    summary: 'Cut every allocation that matches',
    description: 'At least one of user, room, relay and transport must be given, or all=true. Clients may make others with the same credentials; revoke the user to prevent that.',
    tags,
    security,
    querystring: Type.Object({ ...ProjectQuery, ...FILTERS, all: Type.Optional(Type.Boolean({ description: 'All that the key may see.' })) }, { additionalProperties: false }),
    response: { 200: Type.Object({ allocationsClosed: Type.Integer() }), ...problems('invalid-request', 'not-found', 'relay-control-lost', 'store-unwritable') },
  }
  app.delete('/v1/turn/allocations', { config: { access: 'project', scope: 'turn:revoke' }, schema }, async (request, reply) => {
    const { all = false, ...filters } = request.query
    const { project, ...narrower } = filters
    if (!all && Object.keys(narrower).length === 0) throw new TurnpikeError('invalid-request', 'nothing says which: give user, room, relay or transport, or all=true', { fields: [{ field: 'all', message: 'must be true where neither user, room, relay nor transport is given' }] })
    const found = matching(request, filters, { access, relay })
    const { caller } = request
    audit(access, request, { action: 'allocations.cut', project: caller?.kind === 'project' ? caller.project : project ?? null, target: all ? 'all' : Object.entries(narrower).map(([name, value]) => `${name}=${value}`).join(' '), detail: { allocations: found.length } })
    return await reply.code(200).send({ allocationsClosed: await relay.cut(found, 'asked') })
  })
}

/** Of the caller's project; an admin who names no project sees all. Throws not-found. */
function matching ({ caller }: Pick<FastifyRequest, 'caller'>, { project: named, user, room, relay: wantedRelay, transport }: Filters, { access, relay }: AllocationsNeeds): Allocation[] {
  const project = caller?.kind === 'project' ? caller.project : named
  if (caller?.kind === 'project' && named !== undefined && named !== project) throw new TurnpikeError('not-found', `there is no project ${named.slice(0, 64)}`)
  if (project !== undefined && project !== 'other') access.projects.require(project)
  const isWanted = (wanted: string | undefined, value: string): boolean => wanted === undefined || wanted === value
  return relay.allocations().filter(one => isWanted(project, one.project) && isWanted(user, one.user) && isWanted(room, one.room) && isWanted(wantedRelay, one.relay) && isWanted(transport, one.transport))
}

function bytesOf ({ counted }: Allocation): number {
  return counted.receivedBytes + counted.sentBytes
}

function answerOf (allocation: Allocation, bytesPerSecond: number): Static<typeof Answer> {
  const { id, project, user, room, keyId, relay, transport, tlsVersion, clientAddress, relayAddress, since, lapsesAt, expiresAtSeconds, counted } = allocation
  return {
    id,
    project,
    user,
    room: room === '' ? null : room,
    key: keyId,
    relay,
    transport,
    tlsVersion,
    clientAddress,
    relayAddress,
    since,
    expiresAt: lapsesAt,
    credentialExpiresAt: expiresAtSeconds,
    bytesFromClient: counted.receivedBytes,
    bytesToClient: counted.sentBytes,
    packetsFromClient: counted.receivedPackets,
    packetsToClient: counted.sentPackets,
    bytesPerSecond,
  }
}
