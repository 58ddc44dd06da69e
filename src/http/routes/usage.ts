/** GET /v1/usage: what was relayed and issued, by day, user, room, relay, transport or project, as JSON or CSV. */
import Type from 'typebox'
import type { FastifyReply } from 'fastify'
import type { Access } from '../../access/access.ts'
import { TurnpikeError, type FieldError } from '../../protocol/errors.ts'
import type { Grouping, Usage } from '../../usage/usage.ts'
import type { App } from '../app-type.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, PAGE_QUERY, positionOf } from '../paging.ts'
import { problems, ProjectQuery, UnixSeconds } from '../schemas.ts'

export type UsageRouteNeeds = { access: Pick<Access, 'projects'>, usage: Pick<Usage, 'query' | 'quotas'>, nowSeconds: () => number }

const GROUPINGS: readonly Grouping[] = ['day', 'user', 'room', 'relay', 'transport', 'project']
const MOST_GROUPINGS = 3
const MOST_IN_CSV = 100_000
const MONTH_SECONDS = 30 * 86_400
const When = (description: string) => Type.Optional(Type.String({ maxLength: 32, description }))
const Group = Type.Object({
  name: Type.String({ description: 'The values of what it is by, with a slash between them.' }),
  day: Type.Optional(Type.String({ description: 'Such as 2026-11-21 (UTC).' })),
  user: Type.Optional(Type.String({ description: 'Empty: of days whose details are no longer kept.' })),
  room: Type.Optional(Type.String({ description: 'Empty: issued for no room, or as above.' })),
  relay: Type.Optional(Type.String()),
  transport: Type.Optional(Type.String({ description: 'Between client and relay: udp, tcp, tls or dtls. Empty: counted before it was told apart.' })),
  project: Type.Optional(Type.String()),
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
    by: Type.Optional(Type.String({ maxLength: 64, description: `What to add up by: up to three of ${GROUPINGS.join(', ')}, with commas between them; day where not given. project: admin keys only.` })),
    format: Type.Optional(Type.Enum(['json', 'csv'], { description: 'csv: all groups at once (100,000 at most), without pages.' })),
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
    const { project: named, by: wanted, format = 'json', limit = DEFAULT_LIMIT, cursor, ...range } = request.query
    const { caller } = request
    if (caller?.kind === 'project' && named !== undefined && named !== caller.project) throw new TurnpikeError('not-found', `there is no project ${named.slice(0, 64)}`)
    const by = groupingsOf(wanted)
    if (caller?.kind === 'project' && by.includes('project')) throw wrong({ field: 'by', message: 'project needs an admin key' })
    const project = caller?.kind === 'project' ? caller.project : named ?? null
    if (project !== null && project !== 'other') access.projects.require(project)
    const to = secondsOf(range.to, 'to') ?? nowSeconds()
    const from = secondsOf(range.from, 'from') ?? to - MONTH_SECONDS
    if (from > to) throw wrong({ field: 'from', message: 'must not be after to' })
    reply.header('cache-control', 'no-store')
    if (format === 'csv') return sendCsv(reply, by, usage.query({ project, from, to, by, cursor: null, limit: MOST_IN_CSV }))
    const { groups, next } = usage.query({ project, from, to, by, cursor: partsOf(cursor, by), limit })
    const quotas = project === null ? [] : usage.quotas(project).map(({ quota, limit: amount, used, period }) => ({ quota, limit: amount, used, resetsAt: period.resetsAt }))
    reply.send({ from, to, usage: groups, quotas, next: cursorOf(next === null ? null : JSON.stringify(next)) })
  })
}

function groupingsOf (text = 'day'): Grouping[] {
  const names = text.split(',').map(name => name.trim())
  const known = GROUPINGS.filter(name => names.includes(name))
  if (known.length !== names.length || names.length > MOST_GROUPINGS) throw wrong({ field: 'by', message: `must be up to ${MOST_GROUPINGS} different ones of ${GROUPINGS.join(', ')}` })
  return names as Grouping[]
}

/** The cursor holds what the last page ended with: a value for each of `by`. */
function partsOf (cursor: string | undefined, by: readonly Grouping[]): (string | number)[] | null {
  const position = positionOf(cursor)
  if (position === null) return null
  try {
    const parts: unknown = JSON.parse(position)
    if (Array.isArray(parts) && parts.length === by.length && parts.every((part, i) => (by[i] === 'day' ? Number.isInteger(part) : typeof part === 'string'))) return parts as (string | number)[]
  } catch {
    // Told below.
  }
  throw wrong({ field: 'cursor', message: 'is none that was given out here for this; use next of the page before' })
}

function sendCsv (reply: FastifyReply, by: readonly Grouping[], { groups, next }: ReturnType<Usage['query']>): void {
  if (next !== null) throw wrong({ field: 'format', message: `csv holds ${MOST_IN_CSV} groups at most, and there are more; ask for fewer days` })
  const columns = [...by, 'bytesFromClient', 'bytesToClient', 'packetsFromClient', 'packetsToClient', 'allocations', ...(groups[0]?.credentials === undefined ? [] : ['credentials'])] as (keyof typeof groups[number])[]
  const rows = groups.map(group => columns.map(column => cellOf(group[column] ?? '')).join(','))
  reply.type('text/csv; charset=utf-8').header('content-disposition', 'attachment; filename="usage.csv"').serializer((text: unknown) => text as string).send(`${[columns.join(','), ...rows].join('\r\n')}\r\n`)
}

/** RFC 4180. Rooms are anybody's to name: what a spreadsheet would take for a formula is told as text. */
function cellOf (value: string | number): string {
  const text = typeof value === 'string' && /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
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
