/** Writes down what a request changed: who, from where, what. */
import type { FastifyRequest } from 'fastify'
import type { Access, AuditEntry } from '../access/access.ts'

/** Throws store-unwritable. */
export function audit (access: Pick<Access, 'audit'>, request: Pick<FastifyRequest, 'caller' | 'ip' | 'id'>, action: string, project: string | null, target: string, detail: AuditEntry['detail'] = {}): void {
  const { caller } = request
  const actor = caller === null ? 'nobody' : caller.kind === 'admin' ? `admin:${caller.keyId}` : `key:${caller.keyId}`
  access.audit.record({ actor, address: request.ip, action, project, target: target.slice(0, 200), detail, request: request.id })
}
