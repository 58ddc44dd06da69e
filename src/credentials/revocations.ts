/** Who may relay no more: users, single credentials, all that a key has issued, whole projects; each until its last credential has expired. */
import { TurnpikeError } from '../protocol/errors.ts'
import type { Store } from '../store/store.ts'
import { deletePastRevocations, deleteRevocation, listRevocations, putRevocation, type RevocationKind, type RevocationRow } from './records.ts'

export type Revocation = { kind: RevocationKind, project: string, subject: string, since: number, until: number }
/** What tells whose an allocation or a wish is. */
export type Bearer = { project: string, user: string, keyId: string | null, username?: string }

export class Revocations {
  readonly #store: Store
  readonly #nowSeconds: () => number
  readonly #entries = new Map<string, RevocationRow>()

  constructor (store: Store, nowSeconds: () => number) {
    this.#store = store
    this.#nowSeconds = nowSeconds
    for (const row of listRevocations(store)) this.#entries.set(keyOf(row), row)
  }

  /** Holds from now on, also where it cannot be written down: then it throws store-unwritable, and holds until this process ends. */
  add (kind: RevocationKind, project: string, subject: string, until: number): Revocation {
    const entry = { kind, project, subject, since: this.#nowSeconds(), until }
    this.#entries.set(keyOf(entry), entry)
    try {
      putRevocation(this.#store, entry)
    } catch (error) {
      throw new TurnpikeError('store-unwritable', 'the revocation holds, and its allocations are being cut; it could not be written down and ends with this process', { cause: error })
    }
    return entry
  }

  /** Lifts it. Throws not-found. */
  lift (kind: RevocationKind, project: string, subject: string): void {
    if (!this.#entries.delete(keyOf({ kind, project, subject }))) throw new TurnpikeError('not-found', 'there is no such revocation')
    deleteRevocation(this.#store, kind, project, subject)
  }

  /** Why this bearer may not relay, or null. */
  of ({ project, user, keyId, username }: Bearer): Revocation | null {
    if (this.#entries.size === 0) return null
    const found = this.#at('user', project, user) ?? this.#at('project', project, project) ??
      (keyId === null ? undefined : this.#at('key', project, keyId)) ?? (username === undefined ? undefined : this.#at('credential', project, username))
    return found === undefined || found.until <= this.#nowSeconds() ? null : found
  }

  /** Of one project, newest first. */
  list (project: string): Revocation[] {
    const now = this.#nowSeconds()
    return [...this.#entries.values()].filter(entry => entry.project === project && entry.until > now).sort((a, b) => b.since - a.since)
  }

  /** Forgets those whose last credential has expired. */
  sweep (): void {
    const now = this.#nowSeconds()
    const past = [...this.#entries].filter(([, { until }]) => until < now)
    if (past.length === 0) return
    for (const [key] of past) this.#entries.delete(key)
    deletePastRevocations(this.#store, now)
  }

  #at (kind: RevocationKind, project: string, subject: string): RevocationRow | undefined {
    return this.#entries.get(keyOf({ kind, project, subject }))
  }
}

function keyOf ({ kind, project, subject }: Pick<RevocationRow, 'kind' | 'project' | 'subject'>): string {
  return `${kind} ${project} ${subject}`
}
