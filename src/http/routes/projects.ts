/** /v1/projects: what each product behind this Turnpike may do. Admin keys only. */
import Type from 'typebox'
import { createHash } from 'node:crypto'
import type { Access, Project } from '../../access/access.ts'
import { ProjectPatchSchema, ProjectSettingsSchema } from '../../protocol/project-settings.ts'
import type { Signaling } from '../../signaling/signaling.ts'
import type { Usage } from '../../usage/usage.ts'
import type { Webhooks } from '../../webhooks/webhooks.ts'
import type { App } from '../app-type.ts'
import { audited } from '../audit-trail.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, UnixSeconds, WITH_BODY } from '../schemas.ts'

export type ProjectsNeeds = { access: Pick<Access, 'projects' | 'change'>, usage: Pick<Usage, 'quotas' | 'settingsChanged'>, webhooks: Pick<Webhooks, 'forget'>, signaling: { rooms: Pick<Signaling['rooms'], 'forgetProject'> } }

const tags = ['Projects']
const security = [{ key: [] }]
const Params = Type.Object({ project: Type.String({ maxLength: 64 }) })
const ProjectAnswer = Type.Object({
  id: Type.String(),
  createdAt: UnixSeconds,
  managed: Type.Boolean({ description: 'Is it declared in the configuration file, and changed there alone?' }),
  accountSid: Type.String({ description: 'What programs written for Twilio take for their account.' }),
  settings: ProjectSettingsSchema,
})
const QuotaAnswer = Type.Object({ quota: Type.String(), limit: Type.Integer(), used: Type.Integer(), period: Type.String(), resetsAt: UnixSeconds })

export function serveProjects (app: App, needs: ProjectsNeeds): void {
  readProjects(app, needs)
  changeProjects(app, needs)
  serveWebhookSecret(app, needs)
}

/** Twilio's client libraries take nothing else than `AC` and 32 hexadecimal digits for an account. */
export function accountSidOf (project: string): string {
  return `AC${createHash('sha256').update(`turnpike account ${project}`).digest('hex').slice(0, 32)}`
}

function readProjects (app: App, { access, usage }: ProjectsNeeds): void {
  const listSchema = { summary: 'List projects', tags, security, querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }), response: { 200: Type.Object({ projects: Type.Array(ProjectAnswer), next: NEXT }), ...problems('invalid-request') } }
  app.get('/v1/projects', { config: { access: 'admin' }, schema: listSchema }, (request, reply) => {
    const { limit = DEFAULT_LIMIT, cursor } = request.query
    const found = access.projects.list(positionOf(cursor) ?? '', limit + 1)
    reply.send({ projects: found.slice(0, limit).map(answerOf), next: found.length > limit ? cursorOf(found[limit - 1]?.id ?? null) : null })
  })
  const getSchema = { summary: 'One project, its settings and how much of its quotas is used', tags, security, params: Params, response: { 200: Type.Intersect([ProjectAnswer, Type.Object({ quotas: Type.Array(QuotaAnswer) })]), ...problems('not-found') } }
  app.get('/v1/projects/:project', { config: { access: 'admin' }, schema: getSchema }, (request, reply) => {
    const project = access.projects.require(request.params.project)
    const quotas = usage.quotas(project.id).map(({ quota, limit, used, period }) => ({ quota, limit, used, period: period.name, resetsAt: period.resetsAt }))
    reply.send({ ...answerOf(project), quotas })
  })
}

function changeProjects (app: App, { access, usage, webhooks, signaling }: ProjectsNeeds): void {
  // The settings are checked by their own table, which says what is wrong in one voice with the configuration file.
  const unchecked = { validatorCompiler: () => () => true }
  const postSchema = {
    summary: 'Make a project',
    description: 'Settings that are left out have their defaults.',
    tags,
    security,
    body: Type.Intersect([Type.Object({ id: Type.String({ description: '1 to 64 characters out of A-Z, a-z, 0-9, _ and -' }) }), ProjectPatchSchema], { examples: [{ id: 'shop', origins: ['https://shop.example'], quotas: { bytesPerMonth: 1e11 } }] }),
    response: { 201: ProjectAnswer, ...problems(WITH_BODY, 'project-exists', 'idempotency-key-reused', 'idempotency-key-busy', 'store-unwritable') },
  }
  app.post('/v1/projects', { config: { access: 'admin', idempotent: true }, schema: postSchema, ...unchecked }, (request, reply) => {
    const { id, ...settings } = isObject(request.body) ? request.body as Record<string, unknown> : { id: '' }
    const project = audited(access, request, made => ({ action: 'project.create', project: made.id, target: made.id, detail: { settings: Object.keys(settings) } }), () => access.projects.create(String(id ?? ''), isObject(request.body) ? settings : request.body))
    reply.code(201).send(answerOf(project))
  })
  const patchSchema = {
    summary: 'Change the settings of a project',
    description: 'A JSON Merge Patch (RFC 7396): what is left out stays, null goes back to the default, lists are replaced as a whole. It holds at once; live allocations that may live no longer are cut within a second.',
    tags,
    security,
    params: Params,
    body: ProjectPatchSchema,
    response: { 200: ProjectAnswer, ...problems(WITH_BODY, 'not-found', 'project-managed', 'store-unwritable') },
  }
  app.patch('/v1/projects/:project', { config: { access: 'admin' }, schema: patchSchema, ...unchecked }, (request, reply) => {
    const { project: id } = request.params
    const project = audited(access, request, () => ({ action: 'project.update', project: id, target: id, detail: { settings: isObject(request.body) ? Object.keys(request.body) : [] } }), () => access.projects.update(id, request.body))
    usage.settingsChanged(id)
    reply.send(answerOf(project))
  })
  const deleteSchema = { summary: 'Delete a project, its keys with it', description: 'Its live allocations are cut within a second, its rooms are closed. What it used stays in the ledger; what waits for its webhook goes. Credentials that it issued and that have not expired would work again in a new project of the same id: revoke them first (DELETE /v1/turn/credentials?project=…).', tags, security, params: Params, response: { 204: Type.Null(), ...problems('not-found', 'project-built-in', 'project-managed', 'store-unwritable') } }
  app.delete('/v1/projects/:project', { config: { access: 'admin' }, schema: deleteSchema }, (request, reply) => {
    const { project: id } = request.params
    audited(access, request, () => ({ action: 'project.delete', project: id, target: id }), () => {
      access.projects.delete(id)
      webhooks.forget(id)
      signaling.rooms.forgetProject(id)
    })
    reply.code(204).send(null)
  })
}

function serveWebhookSecret (app: App, { access }: ProjectsNeeds): void {
  const schema = { tags, security, params: Params, response: { 200: Type.Object({ secret: Type.String() }), ...problems('not-found', 'store-unwritable') } }
  app.get('/v1/projects/:project/webhook-secret', { config: { access: 'admin' }, schema: { ...schema, summary: 'What this project\'s webhooks are signed with', description: 'Turnpike-Signature: t=<unix seconds>,v1=<HMAC-SHA-256 of "<t>.<body>", hexadecimal>. Do not take one that is older than five minutes.' } }, (request, reply) => {
    const { id } = access.projects.require(request.params.project)
    reply.header('cache-control', 'no-store').send({ secret: access.projects.webhookSecret(id) })
  })
  app.post('/v1/projects/:project/webhook-secret/rotate', { config: { access: 'admin' }, schema: { ...schema, summary: 'A new secret for webhooks; the old one signs nothing any more' } }, (request, reply) => {
    const { project } = request.params
    const secret = audited(access, request, () => ({ action: 'webhook-secret.rotate', project, target: project }), () => access.projects.renewWebhookSecret(project))
    reply.header('cache-control', 'no-store').send({ secret })
  })
}

function answerOf ({ id, createdAt, managed, settings }: Project): { id: string, createdAt: number, managed: boolean, accountSid: string, settings: object } {
  return { id, createdAt, managed, accountSid: accountSidOf(id), settings }
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
