/** GET /v1/audit: who changed what, newest first; as JSON by pages, or all of it as NDJSON. Admin keys only. */
import { Readable } from 'node:stream'
import Type from 'typebox'
import type { Access, AuditRecord } from '../../access/access.ts'
import type { App } from '../app-type.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, numberedPositionOf, PAGE_QUERY } from '../paging.ts'
import { problems, UnixSeconds } from '../schemas.ts'

const EXPORT_PAGE = 1000
const Entry = Type.Object({
  id: Type.Integer(),
  at: UnixSeconds,
  actor: Type.String({ description: 'admin:<id>, key:<id> or nobody.' }),
  address: Type.String({ description: 'The client\'s address.' }),
  action: Type.String({ description: 'Such as key.create.' }),
  project: Type.Union([Type.String(), Type.Null()]),
  target: Type.String(),
  detail: Type.Object({}, { additionalProperties: true }),
  request: Type.String({ description: 'The id of the request, found again in the log.' }),
})

const EXAMPLE = { entries: [{ id: 7, at: 1795291167, actor: 'admin:admin', address: '198.51.100.7', action: 'key.create', project: 'shop', target: '0123456789ab', detail: { name: 'backend' }, request: 'Jq1yH8xYc0aP' }], next: null }
const schema = {
  summary: 'The audit log',
  description: 'Every change through this API: who, from where, when, to what; no secret is in it. Issuing credentials and tokens is counted (GET /v1/usage), not listed here. With Accept: application/x-ndjson all of it comes as one JSON object to a line.',
  tags: ['Audit'],
  security: [{ key: [] }],
  querystring: Type.Object({ project: Type.Optional(Type.String({ maxLength: 64, description: 'Of one project only.' })), ...PAGE_QUERY }, { additionalProperties: false }),
  response: { 200: { description: 'A page, or everything', content: { 'application/json': { schema: Type.Object({ entries: Type.Array(Entry), next: NEXT }), example: EXAMPLE }, 'application/x-ndjson': { schema: Type.String() } } }, ...problems('invalid-request') },
}

export function serveAudit (app: App, { access }: { access: Pick<Access, 'audit'> }): void {
  app.get('/v1/audit', { config: { access: 'admin' }, schema }, (request, reply) => {
    const { project = null, limit = DEFAULT_LIMIT, cursor } = request.query
    reply.header('cache-control', 'no-store')
    if (request.headers.accept?.includes('application/x-ndjson') === true) {
      reply.type('application/x-ndjson; charset=utf-8').send(Readable.from(allLines(access, project)) as never)
      return
    }
    const { entries, next } = access.audit.list(project, numberedPositionOf(cursor), limit)
    reply.send({ entries, next: cursorOf(next) } as never)
  })
}

/** A page at a time: the log may be long, and others are answered meanwhile. */
async function * allLines ({ audit }: Pick<Access, 'audit'>, project: string | null): AsyncGenerator<string> {
  let position: number | null = null
  do {
    const page: { entries: AuditRecord[], next: number | null } = audit.list(project, position, EXPORT_PAGE)
    for (const entry of page.entries) yield `${JSON.stringify(entry)}\n`
    position = page.next
  } while (position !== null)
}
