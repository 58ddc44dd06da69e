/** /v1/turn/allocations: who relays now, and an end to it. */
import Type from 'typebox'
import type { Access } from '../../access/access.ts'
import type { Allocation, Relay } from '../../relay/relay.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App } from '../app-type.ts'
import { audit } from '../audit-trail.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, UnixSeconds } from '../schemas.ts'

export type AllocationsNeeds = { access: Pick<Access, 'audit' | 'projects'>, relay: Pick<Relay, 'allocations' | 'cut' | 'health'> }

const tags = ['TURN']
const security = [{ key: [] }]
const Answer = Type.Object({
  id: Type.String(),
  project: Type.String({ description: 'other: of a program that signs by itself (an integration).' }),
  user: Type.String(),
  key: Type.Union([Type.String(), Type.Null()], { description: 'The key that issued the credential, where it was one.' }),
  relay: Type.String(),
  transport: Type.String({ description: 'Between client and relay: udp, tcp, tls or dtls.' }),
  clientAddress: Type.String(),
  since: UnixSeconds,
  credentialExpiresAt: Type.Union([Type.Integer(), Type.Null()]),
  bytesFromClient: Type.Integer({ description: 'As reported so far: coturn tells every 4096 packets, about 2.5 MB at most.' }),
  bytesToClient: Type.Integer(),
})

export function serveAllocations (app: App, { access, relay }: AllocationsNeeds): void {
  const listSchema = {
    summary: 'List live allocations',
    tags,
    security,
    querystring: Type.Object({ ...ProjectQuery, ...PAGE_QUERY, user: Type.Optional(Type.String({ maxLength: 64 })) }, { additionalProperties: false }),
    response: { 200: Type.Object({ allocations: Type.Array(Answer), next: NEXT }), ...problems('invalid-request', 'not-found') },
  }
  app.get('/v1/turn/allocations', { config: { access: 'project', scope: 'usage:read' }, schema: listSchema }, (request, reply) => {
    const { project: named, user, limit = DEFAULT_LIMIT, cursor } = request.query
    const { caller } = request
    // An admin who names no project sees all.
    const project = caller?.kind === 'project' ? caller.project : named
    if (caller?.kind === 'project' && named !== undefined && named !== project) throw new TurnpikeError('not-found', `there is no project ${named.slice(0, 64)}`)
    if (project !== undefined && project !== 'other') access.projects.require(project)
    const position = positionOf(cursor) ?? ''
    const found = relay.allocations().filter(allocation => (project === undefined || allocation.project === project) && (user === undefined || allocation.user === user) && allocation.session > position)
    const page = [...found].sort((a, b) => (a.session < b.session ? -1 : 1)).slice(0, limit)
    reply.header('cache-control', 'no-store').send({ allocations: page.map(allocation => answerOf(allocation, relay.health().id)), next: found.length > limit ? cursorOf(page.at(-1)?.session ?? null) : null })
  })
  const cutSchema = { summary: 'Cut one allocation', description: 'Its client may make another with the same credential; revoke the user to prevent that.', tags, security, params: Type.Object({ id: Type.String({ maxLength: 64 }) }), response: { 200: Type.Object({ allocationsClosed: Type.Integer() }), ...problems('not-found', 'relay-control-lost', 'store-unwritable') } }
  app.delete('/v1/turn/allocations/:id', { config: { access: 'project', scope: 'turn:revoke' }, schema: cutSchema }, async (request, reply) => {
    const { caller, params: { id } } = request
    const found = relay.allocations().find(({ session }) => session === id)
    if (found === undefined || (caller?.kind === 'project' && caller.project !== found.project)) throw new TurnpikeError('not-found', `there is no allocation ${id}`)
    audit(access, request, { action: 'allocation.cut', project: found.project, target: id, detail: { user: found.user } })
    return await reply.code(200).send({ allocationsClosed: await relay.cut([id], 'asked') })
  })
}

function answerOf (allocation: Allocation, relay: string) {
  const { session, project, user, keyId, transport, clientAddress, since, expiresAtSeconds, counted } = allocation
  return { id: session, project, user, key: keyId, relay, transport, clientAddress, since, credentialExpiresAt: expiresAtSeconds, bytesFromClient: counted.receivedBytes, bytesToClient: counted.sentBytes }
}
