/** Admin and API keys: made, hashed, narrowed, ended, and compared in constant time. A key at rest is its SHA-256 only. */
import { timingSafeEqual } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import { SCOPES, type Scope } from '../protocol/project-settings.ts'
import type { Store } from '../store/store.ts'
import { digestOf, newAdminKeyText, newKeyText, readKeyText, type KeyKind } from './key-text.ts'
import { DEFAULT_PROJECT } from './projects.ts'
import { addAdminKey, addApiKey, adminDigests, deleteApiKey, findApiKey, hasApiKey, listApiKeys, setApiKeyExpiry, setApiKeyUse, type ApiKeyRow } from './records.ts'

/** Who is calling. */
export type Caller = { kind: 'admin', keyId: string } | { kind: 'project', project: string, keyId: string, scopes: readonly Scope[], publishable: boolean }
export type ApiKey = { id: string, project: string, name: string, kind: KeyKind, scopes: readonly Scope[], createdAt: number, expiresAt: number | null, lastUsedAt: number | null }
export type NewKey = { name?: string | undefined, kind?: KeyKind | undefined, scopes?: readonly Scope[] | undefined, /** Unix seconds. */ expiresAt?: number | undefined }

type Verdict = { caller: Caller, expiresAt: number | null }
/** Verdicts that are remembered, so that the hot path does not hash; only right keys are, so nobody can fill it with wrong ones. */
const MOST_REMEMBERED = 1000
const LONGEST_KEY = 512
/** The id of keys that a setting fixes. */
const FIXED = 'fixed'
const NOBODY = Buffer.alloc(32)

export class ApiKeys {
  readonly #store: Store
  readonly #nowSeconds: () => number
  readonly #fixed: { digest: Buffer, caller: Caller }[] = []
  readonly #remembered = new Map<string, Verdict>()
  readonly #used = new Map<string, number>()

  constructor (store: Store, config: Pick<Config, 'adminKey' | 'apiKey'>, nowSeconds: () => number) {
    this.#store = store
    this.#nowSeconds = nowSeconds
    if (config.adminKey !== undefined) this.#fixed.push({ digest: digestOf(config.adminKey), caller: { kind: 'admin', keyId: FIXED } })
    if (config.apiKey !== undefined) this.#fixed.push({ digest: digestOf(config.apiKey), caller: { kind: 'project', project: DEFAULT_PROJECT, keyId: FIXED, scopes: SCOPES, publishable: false } })
  }

  /** Makes what a first start needs. Returns the keys in plain text, null for each that exists already or is fixed by a setting. */
  makeFirst (): { adminKey: string | null, apiKey: string | null } {
    const isFixed = (kind: Caller['kind']): boolean => this.#fixed.some(({ caller }) => caller.kind === kind)
    return this.#store.transaction(() => ({
      adminKey: isFixed('admin') || adminDigests(this.#store).length > 0 ? null : this.#makeAdmin(),
      apiKey: isFixed('project') || hasApiKey(this.#store, DEFAULT_PROJECT) ? null : this.make(DEFAULT_PROJECT, { name: 'made at the first start' }).text,
    }))
  }

  /** An admin key that this process alone knows of, and that ends with it. */
  lendAdmin (): string {
    const text = newAdminKeyText()
    this.#fixed.push({ digest: digestOf(text), caller: { kind: 'admin', keyId: 'this-machine' } })
    return text
  }

  /** A new key of a project; its text is shown only now. */
  make (project: string, { name = '', kind = 'secret', scopes = [], expiresAt }: NewKey): { key: ApiKey, text: string } {
    const { id, text } = newKeyText(kind)
    const row: ApiKeyRow = { id, project, digest: digestOf(text), created_at: this.#nowSeconds(), name, kind, scopes: kind === 'publishable' ? 'turn:issue' : scopes.join(' '), expires_at: expiresAt ?? null, last_used_at: null }
    addApiKey(this.#store, row)
    return { key: this.#toKey(row), text }
  }

  /** Throws not-found, also for a key of another project. */
  require (project: string, id: string): ApiKey {
    const row = findApiKey(this.#store, id)
    if (row === undefined || row.project !== project) throw new TurnpikeError('not-found', /^[0-9a-f]{12}$/.test(id) ? `the project ${project} has no key ${id}` : `the project ${project} has no such key; the id of a key is its middle part, 12 characters of 0-9 and a-f`)
    return this.#toKey(row)
  }

  list (project: string, cursor: number, limit: number): { keys: ApiKey[], next: number | null } {
    const rows = listApiKeys(this.#store, project, cursor, limit + 1)
    return { keys: rows.slice(0, limit).map(row => this.#toKey(row)), next: rows.length > limit ? rows[limit - 1]?.rowid ?? null : null }
  }

  /** A new key that may do the same; the old one ends after the overlap (s). */
  rotate (project: string, id: string, overlapSeconds: number): { key: ApiKey, text: string } {
    const old = this.require(project, id)
    return this.#store.transaction(() => {
      const endsAt = this.#nowSeconds() + overlapSeconds
      setApiKeyExpiry(this.#store, id, Math.min(endsAt, old.expiresAt ?? endsAt))
      this.#remembered.clear()
      return this.make(project, { name: old.name, kind: old.kind, scopes: old.scopes.length === SCOPES.length ? [] : old.scopes, ...(old.expiresAt === null ? {} : { expiresAt: old.expiresAt }) })
    })
  }

  /** It works no more from now on. */
  revoke (project: string, id: string): void {
    this.require(project, id)
    deleteApiKey(this.#store, id)
    this.forget()
  }

  /** Looks every key up anew: keys or projects have gone. */
  forget (): void {
    this.#remembered.clear()
  }

  /** Whose key stands in an Authorization header (Bearer). Throws unauthorized. */
  callerFor (authorization: string | undefined): Caller {
    if (authorization === undefined || authorization === '') throw new TurnpikeError('unauthorized', 'there is no Authorization header')
    const key = authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : /^bearer +(\S+)$/i.exec(authorization.slice(0, LONGEST_KEY))?.[1]
    if (key === undefined) throw new TurnpikeError('unauthorized', 'the Authorization header is not of the form: Bearer <key>')
    return this.callerOf(key.trim())
  }

  /** Whose key this is. Throws unauthorized, with the same words for a key that is wrong in whatever way but a typo. */
  callerOf (key: string): Caller {
    const now = this.#nowSeconds()
    const verdict = this.#remembered.get(key) ?? this.#look(key)
    if (verdict.expiresAt !== null && verdict.expiresAt <= now) throw new TurnpikeError('unauthorized', 'the key has expired')
    const { caller } = verdict
    if (caller.kind === 'project') this.#used.set(caller.keyId, now)
    return caller
  }

  isAlive (id: string): boolean {
    return id === FIXED || findApiKey(this.#store, id) !== undefined
  }

  /** Writes down when keys were last used; what cannot be written is tried again. */
  flushUse (): void {
    this.#store.transaction(() => { for (const [id, usedAt] of this.#used) setApiKeyUse(this.#store, id, usedAt) })
    this.#used.clear()
  }

  #look (key: string): Verdict {
    if (key.length > LONGEST_KEY || key === '') throw new TurnpikeError('unauthorized', 'the key is not known here')
    const verdict = this.#find(key)
    if (verdict === null) throw new TurnpikeError('unauthorized', readKeyText(key).hasTypo ? 'the key has a typo: its checksum does not fit' : 'the key is not known here')
    if (this.#remembered.size >= MOST_REMEMBERED) this.#remembered.clear()
    this.#remembered.set(key, verdict)
    return verdict
  }

  #makeAdmin (): string {
    const text = newAdminKeyText()
    addAdminKey(this.#store, digestOf(text), this.#nowSeconds())
    return text
  }

  #find (key: string): Verdict | null {
    const { id, hasTypo } = readKeyText(key)
    const digest = digestOf(key)
    const fixed = this.#fixed.find(entry => timingSafeEqual(entry.digest, digest))
    if (fixed !== undefined) return { caller: fixed.caller, expiresAt: null }
    if (hasTypo) return null
    if (id === null) return adminDigests(this.#store).some(known => timingSafeEqual(known, digest)) ? { caller: { kind: 'admin', keyId: 'admin' }, expiresAt: null } : null
    const row = findApiKey(this.#store, id)
    // Compared with nobody's too, so that an id that exists is not told apart by the time.
    if (!timingSafeEqual(row?.digest ?? NOBODY, digest) || row === undefined) return null
    const { scopes, kind } = this.#toKey(row)
    return { caller: { kind: 'project', project: row.project, keyId: row.id, scopes, publishable: kind === 'publishable' }, expiresAt: row.expires_at }
  }

  #toKey (row: ApiKeyRow): ApiKey {
    const scopes = row.scopes === '' ? SCOPES : SCOPES.filter(scope => row.scopes.split(' ').includes(scope))
    const used = this.#used.get(row.id)
    return { id: row.id, project: row.project, name: row.name, kind: row.kind === 'publishable' ? 'publishable' : 'secret', scopes, createdAt: row.created_at, expiresAt: row.expires_at, lastUsedAt: used ?? row.last_used_at }
  }
}
