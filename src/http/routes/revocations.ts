/** DELETE /v1/turn/credentials/{user} and the list of what is revoked. */
import Type from 'typebox'
import type { FastifyRequest } from 'fastify'
import type { Access } from '../../access/access.ts'
import type { Credentials, RevokeTarget } from '../../credentials/credentials.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App } from '../app-type.ts'
import { auditedWrite } from '../audit-trail.ts'
import { projectOf } from '../authenticate.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, UnixSeconds } from '../schemas.ts'

export type RevocationsNeeds = { access: Pick<Access, 'change' | 'projects'>, credentials: Pick<Credentials, 'revoke' | 'revocations' | 'liftRevocation'> }

const tags = ['TURN']
const security = [{ key: [] }]
const Querystring = Type.Object(ProjectQuery, { additionalProperties: false })
const Revoked = Type.Object({ allocationsClosed: Type.Integer({ description: 'How many live allocations were cut.' }), until: Type.Integer({ description: 'Unix seconds: when no credential of before can live any more (the longest lifetime that the server allows), and the revocation ends.' }) })
const failures = ['invalid-request', 'not-found', 'quota-exceeded', 'relay-control-lost', 'store-unwritable'] as const
const USER = /^[A-Za-z0-9_-]{1,64}$/
const KINDS = ['user', 'credential', 'key', 'project', 'peer'] as const

export function serveRevocations (app: App, needs: RevocationsNeeds): void {
  revokeCredentials(app, needs)
  listRevocations(app, needs)
}

function revokeCredentials (app: App, { access, credentials }: RevocationsNeeds): void {
  const config = { access: 'project', scope: 'turn:revoke' } as const
  const revoke = async (request: FastifyRequest, project: string, target: RevokeTarget): Promise<{ allocationsClosed: number, until: number }> => {
    const { id } = access.projects.require(project)
    return await credentials.revoke(id, target, auditedWrite(access, request, { action: 'credentials.revoke', project: id, target: target.subject, detail: { kind: target.kind } }))
  }
  const oneSchema = {
    summary: 'Revoke a user, or one credential',
    description: 'A user: no credential is issued to it any more, its live allocations are cut, and so is whatever begins with one of its credentials, until none of them can live any more (the longest lifetime that the server allows; a day where nothing is set). One credential: its whole TURN user name stands in the place of the user.',
    tags,
    security,
    params: Type.Object({ user: Type.String({ maxLength: 512 }) }),
    querystring: Querystring,
    response: { 200: Revoked, ...problems(...failures) },
  }
  app.delete('/v1/turn/credentials/:user', { config, schema: oneSchema }, async (request, reply) => {
    const project = projectOf(request.caller, request.query.project)
    return await reply.send(await revoke(request, project, targetOf(project, request.params.user)))
  })
  const allSchema = { summary: 'Revoke all credentials of the project', description: 'Nothing is issued any more until the last of them has expired, or the revocation is lifted.', tags, security, querystring: Querystring, response: { 200: Revoked, ...problems(...failures) } }
  app.delete('/v1/turn/credentials', { config, schema: allSchema }, async (request, reply) => {
    const project = projectOf(request.caller, request.query.project)
    return await reply.send(await revoke(request, project, { kind: 'project', subject: project }))
  })
}

function listRevocations (app: App, { access, credentials }: RevocationsNeeds): void {
  const config = { access: 'project', scope: 'turn:revoke' } as const
  const Entry = Type.Object({ kind: Type.Enum([...KINDS]), subject: Type.String(), since: UnixSeconds, until: UnixSeconds })
  const listSchema = { summary: 'List what is revoked', tags, security, querystring: Type.Object({ ...ProjectQuery, ...PAGE_QUERY }, { additionalProperties: false }), response: { 200: Type.Object({ revocations: Type.Array(Entry), next: NEXT }), ...problems('invalid-request', 'not-found') } }
  app.get('/v1/turn/revocations', { config, schema: listSchema }, (request, reply) => {
    const { project: named, limit = DEFAULT_LIMIT, cursor } = request.query
    const { id } = access.projects.require(projectOf(request.caller, named))
    const position = positionOf(cursor) ?? ''
    const found = credentials.revocations(id).map(entry => ({ position: `${entry.kind} ${entry.subject}`, entry })).filter(item => item.position > position).sort((a, b) => (a.position < b.position ? -1 : 1))
    const page = found.slice(0, limit)
    reply.send({ revocations: page.map(({ entry: { kind, subject, since, until } }) => ({ kind, subject, since, until })), next: found.length > limit ? cursorOf(page.at(-1)?.position ?? null) : null })
  })
  const liftSchema = {
    summary: 'Lift a revocation',
    description: 'Credentials that were issued before work again until they expire.',
    tags,
    security,
    params: Type.Object({ subject: Type.String({ maxLength: 512 }) }),
    querystring: Type.Object({ ...ProjectQuery, kind: Type.Optional(Type.Enum([...KINDS], { description: 'Where a user, a key and the project have the same name.' })) }, { additionalProperties: false }),
    response: { 204: Type.Null(), ...problems('invalid-request', 'not-found', 'store-unwritable') },
  }
  app.delete('/v1/turn/revocations/:subject', { config, schema: liftSchema }, (request, reply) => {
    const { project: named, kind: only } = request.query
    const { subject } = request.params
    const { id } = access.projects.require(projectOf(request.caller, named))
    const kind = only ?? credentials.revocations(id).find(entry => entry.subject === subject)?.kind
    if (kind === undefined) throw new TurnpikeError('not-found', 'nothing of this name is revoked; GET /v1/turn/revocations lists what is')
    credentials.liftRevocation(id, { kind, subject }, auditedWrite(access, request, { action: 'revocation.lift', project: id, target: subject, detail: { kind } }))
    reply.code(204).send(null)
  })
}

/** Throws not-found for a credential of another project, in the words for one that never was. */
export function targetOf (project: string, text: string): RevokeTarget {
  if (USER.test(text)) return { kind: 'user', subject: text }
  const [, owner] = /^\d{1,10}:([A-Za-z0-9_-]{1,64})\.[A-Za-z0-9_-]{1,64}\.[0-9a-z]{1,32}(?:\.~?[A-Za-z0-9_-]{1,200})?$/.exec(text) ?? []
  if (owner === project) return { kind: 'credential', subject: text }
  if (owner !== undefined) throw new TurnpikeError('not-found', 'the project has no such credential')
  const message = 'must be a user (1 to 64 characters out of A-Z, a-z, 0-9, _ and -) or a whole TURN user name'
  throw new TurnpikeError('invalid-request', `user ${message}`, { fields: [{ field: 'user', message }] })
}
