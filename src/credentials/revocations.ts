/** Who may relay no more: users, single credentials, what a peer was issued for a room, all that a key has issued, whole projects; each until its last credential has expired. */
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import type { Store } from '../store/store.ts'
import { deletePastRevocations, deleteRevocation, listRevocations, putRevocation, type RevocationKind, type RevocationRow } from './records.ts'

export type Revocation = { kind: RevocationKind, project: string, subject: string, since: number, until: number }
/** What tells whose an allocation or a wish is. */
export type Bearer = { project: string, user: string, keyId: string | null, username?: string }

const MOST_OF_A_PROJECT = 10_000
/** The relay's clock may be behind. */
export const CLOCK_SECONDS = 60

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
  add (kind: RevocationKind, project: string, subject: string, until: number, write: (work: () => void) => void): Revocation {
    const key = keyOf({ kind, project, subject })
    const entry = { kind, project, subject, since: this.#nowSeconds(), until: Math.max(until, this.#entries.get(key)?.until ?? 0) }
    // Of keys there are as many as an admin makes, and of projects one: they are the way out when there is no more room.
    if ((kind === 'user' || kind === 'credential' || kind === 'peer') && !this.#entries.has(key)) this.#requireRoom(project)
    this.#entries.set(key, entry)
    try {
      write(() => putRevocation(this.#store, entry))
    } catch (error) {
      if (!isTurnpikeError(error) || error.code !== 'store-unwritable') {
        this.#entries.delete(key)
        throw error
      }
      throw new TurnpikeError('store-unwritable', 'the revocation holds, and its allocations are being cut; it could not be written down and ends with this process', { cause: error, retryAfterSeconds: 5 })
    }
    return entry
  }

  /** Lifts it. Throws not-found. */
  lift (kind: RevocationKind, project: string, subject: string, write: (work: () => void) => void): void {
    const key = keyOf({ kind, project, subject })
    if (!this.#entries.has(key)) throw new TurnpikeError('not-found', `nothing of this ${kind} is revoked`)
    write(() => deleteRevocation(this.#store, kind, project, subject))
    this.#entries.delete(key)
  }

  /** Why this bearer may not relay, or null. */
  of ({ project, user, keyId, username }: Bearer): Revocation | null {
    if (this.#entries.size === 0) return null
    const found = this.#at('user', project, user) ?? this.#at('project', project, project) ??
      (keyId === null ? undefined : this.#at('key', project, keyId)) ?? (username === undefined ? undefined : this.#at('credential', project, username) ?? this.#ofPeer(project, username))
    return found ?? null
  }

  /** When a credential of this name is to expire that is issued now: what a peer had until it was sent away ends with its expiry. */
  expiryFor (project: string, name: string, expiresAtSeconds: number): number {
    const until = this.#at('peer', project, name)?.until ?? 0
    return Math.max(expiresAtSeconds, until - CLOCK_SECONDS + 1)
  }

  /** Of one project, newest first. */
  list (project: string): Revocation[] {
    const now = this.#nowSeconds()
    return [...this.#entries.values()].filter(entry => entry.project === project && entry.until > now).sort((a, b) => b.since - a.since)
  }

  /** Forgets those whose last credential has expired. */
  sweep (): void {
    const now = this.#nowSeconds()
    const before = this.#entries.size
    for (const [key, { until }] of this.#entries) if (until < now) this.#entries.delete(key)
    if (this.#entries.size === before) return
    deletePastRevocations(this.#store, now)
  }

  #ofPeer (project: string, username: string): RevocationRow | undefined {
    const found = this.#at('peer', project, username.slice(username.indexOf(':') + 1))
    return found !== undefined && isWithin(username, found) ? found : undefined
  }

  #at (kind: RevocationKind, project: string, subject: string): RevocationRow | undefined {
    const found = this.#entries.get(keyOf({ kind, project, subject }))
    return found === undefined || found.until <= this.#nowSeconds() ? undefined : found
  }

  /** Subjects are anybody's to make up who has a key. */
  #requireRoom (project: string): void {
    let count = 0
    for (const entry of this.#entries.values()) if (entry.project === project) count++
    if (count < MOST_OF_A_PROJECT) return
    const message = `${MOST_OF_A_PROJECT} may be revoked at a time; revoke a key, or the whole project`
    throw new TurnpikeError('quota-exceeded', message, { fields: [{ field: 'revocations', message }], retryAfterSeconds: 3600 })
  }
}

/** Is this credential one of those that end with the revocation? */
export function isRevokedBy ({ user, keyId, username }: Bearer & { username: string }, { kind, subject, until }: Pick<Revocation, 'kind' | 'subject' | 'until'>): boolean {
  switch (kind) {
    case 'user': return user === subject
    case 'key': return keyId === subject
    case 'credential': return username === subject
    case 'peer': return username.slice(username.indexOf(':') + 1) === subject && isWithin(username, { until })
    case 'project': return true
  }
}

/** A credential says itself when it ends. */
export function endOf (username: string, fallback: number): number {
  const expiry = /^(\d{1,10}):/.exec(username)?.[1]
  return expiry === undefined ? fallback : Math.min(Number(expiry) + CLOCK_SECONDS, fallback + CLOCK_SECONDS)
}

function isWithin (username: string, { until }: Pick<Revocation, 'until'>): boolean {
  return endOf(username, until) <= until
}

function keyOf ({ kind, project, subject }: Pick<RevocationRow, 'kind' | 'project' | 'subject'>): string {
  return `${kind} ${project} ${subject}`
}
