/** GET /v1/usage: what was relayed and issued, by day, user, relay or project. */
import Type from 'typebox'
import type { Access } from '../../access/access.ts'
import { TurnpikeError, type FieldError } from '../../protocol/errors.ts'
import type { Usage } from '../../usage/usage.ts'
import type { App } from '../app-type.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, UnixSeconds } from '../schemas.ts'

export type UsageRouteNeeds = { access: Pick<Access, 'projects'>, usage: Pick<Usage, 'query' | 'quotas'>, nowSeconds: () => number }

const MONTH_SECONDS = 30 * 86_400
const When = (description: string) => Type.Optional(Type.String({ maxLength: 32, description }))
const Group = Type.Object({
  name: Type.String({ description: 'The day (2026-11-21), user, relay or project.' }),
  bytesFromClient: Type.Integer(),
  bytesToClient: Type.Integer(),
  packetsFromClient: Type.Integer(),
  packetsToClient: Type.Integer(),
  allocations: Type.Integer({ description: 'Allocations made.' }),
  credentials: Type.Optional(Type.Integer({ description: 'TURN credentials issued; by day and by project only.' })),
})

const schema = {
  summary: 'Usage',
  description: 'Bytes are those between clients and the relay, both ways, as the relay has reported them: it tells every 4096 packets of an allocation (about 2.5 MB at most) and at its end. Days are UTC.',
  tags: ['Usage'],
  security: [{ key: [] }],
  querystring: Type.Object({
    ...ProjectQuery,
    ...PAGE_QUERY,
    by: Type.Optional(Type.Enum(['day', 'user', 'relay', 'project'], { description: 'What to add up by; day where not given. project: admin keys only.' })),
    from: When('A day (2026-11-01) or unix seconds; 30 days ago where not given. The whole day counts.'),
    to: When('The same; now where not given.'),
  }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      from: UnixSeconds,
      to: UnixSeconds,
      usage: Type.Array(Group),
      quotas: Type.Array(Type.Object({ quota: Type.String(), limit: Type.Integer(), used: Type.Integer(), resetsAt: UnixSeconds })),
      next: NEXT,
    }),
    ...problems('invalid-request', 'not-found'),
  },
}

export function serveUsage (app: App, { access, usage, nowSeconds }: UsageRouteNeeds): void {
  app.get('/v1/usage', { config: { access: 'project', scope: 'usage:read' }, schema }, (request, reply) => {
    const { project: named, by = 'day', limit = DEFAULT_LIMIT, cursor, ...range } = request.query
    const { caller } = request
    if (caller?.kind === 'project' && named !== undefined && named !== caller.project) throw new TurnpikeError('not-found', `there is no project ${named.slice(0, 64)}`)
    if (caller?.kind === 'project' && by === 'project') throw wrong({ field: 'by', message: 'project needs an admin key' })
    const project = caller?.kind === 'project' ? caller.project : named ?? null
    if (project !== null && project !== 'other') access.projects.require(project)
    const to = secondsOf(range.to, 'to') ?? nowSeconds()
    const from = secondsOf(range.from, 'from') ?? to - MONTH_SECONDS
    if (from > to) throw wrong({ field: 'from', message: 'must not be after to' })
    const { groups, next } = usage.query({ project, from, to, by, cursor: positionOf(cursor), limit })
    const quotas = project === null ? [] : usage.quotas(project).map(({ quota, limit: amount, used, period }) => ({ quota, limit: amount, used, resetsAt: period.resetsAt }))
    reply.header('cache-control', 'no-store').send({ from, to, usage: groups, quotas, next: cursorOf(next) })
  })
}

function secondsOf (text: string | undefined, field: string): number | null {
  if (text === undefined) return null
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const seconds = isDay ? Date.parse(`${text}T00:00:00Z`) / 1000 : /^\d{1,11}$/.test(text) ? Number(text) : NaN
  // Date.parse takes the 31st of every month.
  const isReal = Number.isFinite(seconds) && (!isDay || new Date(seconds * 1000).toISOString().startsWith(text))
  if (!isReal) throw wrong({ field, message: 'must be a day such as 2026-11-01, or unix seconds' })
  return seconds
}

function wrong (error: FieldError): TurnpikeError {
  return new TurnpikeError('invalid-request', `${error.field} ${error.message}`, { fields: [error] })
}
