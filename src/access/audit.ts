/** The audit log: who did what, from where, when, to what. It is only added to, also by the database's own rule, and holds no secret. */
import type { Store } from '../store/store.ts'
import { addAudit, listAudit, type AuditRow } from './records.ts'

export type AuditEntry = {
  /** Such as `key:0123456789ab`, `admin:fixed` or `turnpike`. */
  actor: string
  /** The client's address; empty where it was ourselves. */
  address: string
  /** Such as `key.create`. */
  action: string
  project: string | null
  /** What it was done to: an id, never a secret. */
  target: string
  /** Names of what changed, and numbers. */
  detail: Readonly<Record<string, string | number | boolean | null | readonly string[]>>
  /** The id of the request. */
  request: string
}
export type AuditRecord = AuditEntry & { id: number, /** Unix seconds. */ at: number }

export class Audit {
  readonly #store: Store
  readonly #nowSeconds: () => number

  constructor (store: Store, nowSeconds: () => number) {
    this.#store = store
    this.#nowSeconds = nowSeconds
  }

  /** Throws store-unwritable: what cannot be written down is not to be done. */
  record ({ actor, address, action, project, target, detail, request }: AuditEntry): void {
    addAudit(this.#store, { at: this.#nowSeconds(), actor, address, action, project, target, detail: JSON.stringify(detail), request })
  }

  /** Newest first, from before `cursor` on. */
  list (project: string | null, cursor: number | null, limit: number): { entries: AuditRecord[], next: number | null } {
    const rows = listAudit(this.#store, project, cursor ?? Number.MAX_SAFE_INTEGER, limit + 1)
    return { entries: rows.slice(0, limit).map(toRecord), next: rows.length > limit ? rows[limit - 1]?.id ?? null : null }
  }
}

function toRecord (row: AuditRow): AuditRecord {
  return { ...row, detail: JSON.parse(row.detail) as AuditEntry['detail'] }
}
