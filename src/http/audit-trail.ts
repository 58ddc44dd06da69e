/** Writes down what a request changed: who, from where, what. */
import type { FastifyRequest } from 'fastify'
import type { Access, AuditEntry } from '../access/access.ts'

type Caused = Pick<FastifyRequest, 'caller' | 'ip' | 'id'>
/** What was done, to what. */
export type Deed = { action: string, project: string | null, target: string, detail?: AuditEntry['detail'] }

/** Throws store-unwritable. */
export function audit (access: Pick<Access, 'audit'>, request: Caused, deed: Deed): void {
  access.audit.record(entryOf(request, deed))
}

/** Does it and writes it down, both or neither. Throws what `work` throws, and store-unwritable. */
export function audited<T> (access: Pick<Access, 'change'>, request: Caused, deedOf: (result: T) => Deed, work: () => T): T {
  return access.change(result => entryOf(request, deedOf(result)), work)
}

/** For parts that do their writing themselves: what they write goes with the entry, both or neither. */
export function auditedWrite (access: Pick<Access, 'change'>, request: Caused, deed: Deed): (work: () => void) => void {
  return work => audited(access, request, () => deed, work)
}

/** Who asks, as the audit log and webhooks name it. */
export function actorOf ({ caller }: Pick<Caused, 'caller'>): string {
  return caller === null ? 'nobody' : caller.kind === 'admin' ? `admin:${caller.keyId}` : `key:${caller.keyId}`
}

function entryOf (request: Caused, { action, project, target, detail = {} }: Deed): AuditEntry {
  const { ip, id } = request
  return { actor: actorOf(request), address: ip, action, project, target: target.slice(0, 200), detail, request: id }
}
