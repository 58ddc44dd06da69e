/** Admin and API keys: made, hashed, and compared in constant time. A key at rest is its SHA-256 only. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Store } from '../store/store.ts'
import { addAdminKey, addApiKey, addProject, adminDigests, findApiKey, hasApiKey } from './records.ts'

/** Who is calling. */
export type Caller = { kind: 'admin' } | { kind: 'project', project: string, keyId: string }

export const DEFAULT_PROJECT = 'default'
/** The project of the call page: its rooms never meet an application's. */
export const CALL_PROJECT = 'call'
/** Verdicts that are remembered, so that the hot path does not hash; only right keys are, so nobody can fill it with wrong ones. */
const MOST_REMEMBERED = 1000
const LONGEST_HEADER = 512

export class ApiKeys {
  readonly #store: Store
  readonly #nowSeconds: () => number
  readonly #fixed: { digest: Buffer, caller: Caller }[] = []
  readonly #remembered = new Map<string, Caller>()

  constructor (store: Store, config: Pick<Config, 'adminKey' | 'apiKey'>, nowSeconds: () => number) {
    this.#store = store
    this.#nowSeconds = nowSeconds
    if (config.adminKey !== undefined) this.#fixed.push({ digest: digestOf(config.adminKey), caller: { kind: 'admin' } })
    if (config.apiKey !== undefined) this.#fixed.push({ digest: digestOf(config.apiKey), caller: { kind: 'project', project: DEFAULT_PROJECT, keyId: 'fixed' } })
  }

  /** Makes what a first start needs. Returns the keys in plain text, null for each that exists already or is fixed by a setting. */
  makeFirst (): { adminKey: string | null, apiKey: string | null } {
    const isFixed = (kind: Caller['kind']): boolean => this.#fixed.some(({ caller }) => caller.kind === kind)
    return this.#store.transaction(() => {
      for (const project of [DEFAULT_PROJECT, CALL_PROJECT]) addProject(this.#store, project, this.#nowSeconds())
      return {
        adminKey: isFixed('admin') || adminDigests(this.#store).length > 0 ? null : this.#makeAdmin(),
        apiKey: isFixed('project') || hasApiKey(this.#store, DEFAULT_PROJECT) ? null : this.make(DEFAULT_PROJECT),
      }
    })
  }

  /** A new key of a project, shown only now: `tpk_<id>_<secret>`. */
  make (project: string): string {
    const id = randomBytes(6).toString('hex')
    const key = `tpk_${id}_${randomBytes(24).toString('base64url')}`
    addApiKey(this.#store, { id, project, digest: digestOf(key) }, this.#nowSeconds())
    return key
  }

  /** Whose key stands in an Authorization header. Throws unauthorized, always with the same words for a key that is wrong in whatever way. */
  callerFor (authorization: string | undefined): Caller {
    if (authorization === undefined || authorization === '') throw new TurnpikeError('unauthorized', 'there is no Authorization header')
    const remembered = this.#remembered.get(authorization)
    if (remembered !== undefined) return remembered
    const [, key] = /^Bearer +(\S+)$/i.exec(authorization.length > LONGEST_HEADER ? '' : authorization) ?? []
    if (key === undefined) throw new TurnpikeError('unauthorized', 'the Authorization header is not of the form: Bearer <key>')
    const caller = this.#find(key)
    if (caller === null) throw new TurnpikeError('unauthorized', 'the key is not known here')
    if (this.#remembered.size >= MOST_REMEMBERED) this.#remembered.clear()
    this.#remembered.set(authorization, caller)
    return caller
  }

  #makeAdmin (): string {
    const key = `tpa_${randomBytes(24).toString('base64url')}`
    addAdminKey(this.#store, digestOf(key), this.#nowSeconds())
    return key
  }

  #find (key: string): Caller | null {
    const digest = digestOf(key)
    const fixed = this.#fixed.find(entry => timingSafeEqual(entry.digest, digest))
    if (fixed !== undefined) return fixed.caller
    if (adminDigests(this.#store).some(known => timingSafeEqual(known, digest))) return { kind: 'admin' }
    const [, id = ''] = /^tpk_([0-9a-f]+)_/.exec(key) ?? []
    const row = findApiKey(this.#store, id)
    return row !== undefined && timingSafeEqual(row.digest, digest) ? { kind: 'project', project: row.project, keyId: row.id } : null
  }
}

function digestOf (key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
