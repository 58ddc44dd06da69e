/** Issues, checks and revokes room tokens, and keeps what they are signed with. */
import { createSecretKey, randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import { DEEPEST_METADATA, isNestedDeeper } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import type { Projects } from './projects.ts'
import { addRevokedToken, addSigningKey, findApiKey, forgetOldSigningKeys, forgetPastTokens, revokedTokens, signingKeys } from './records.ts'
import { capacityOf, TOKEN_TTL, wrongFields, type RoomTokenRequest } from './room-token-requests.ts'
import { readRoomToken, signRoomToken, type Grant, type SigningKey } from './room-tokens.ts'

export type IssuedToken = { token: string, tokenId: string, expiresAtSeconds: number }
export type DeskNeeds = { store: Store, metrics: Pick<Metrics, 'add'>, projects: Pick<Projects, 'get' | 'require'>, limits: Config['signaling'], nowSeconds: () => number }

/** The id of a key that is set from outside, and cannot be revoked here. */
const FIXED = 'fixed'
const MOST_OF_A_PROJECT = 10_000

export class RoomTokenDesk {
  readonly #needs: DeskNeeds
  readonly #signing: SigningKeys
  #revoked = new Map<string, number>()

  constructor (needs: DeskNeeds) {
    this.#needs = needs
    this.#signing = new SigningKeys(needs.store, needs.nowSeconds)
    forgetPastTokens(needs.store, needs.nowSeconds())
    this.read()
  }

  /** Remembers what the database holds, and nothing else. */
  read (): void {
    this.#revoked = new Map(revokedTokens(this.#needs.store).map(({ id, until }) => [id, until]))
    this.#signing.read()
  }

  /** Throws not-found, project-disabled, invalid-request or metadata-too-large. */
  issue (project: string, request: RoomTokenRequest, keyId: string | null): IssuedToken {
    const { projects, limits, metrics, nowSeconds } = this.#needs
    const { room, peer, role = null, metadata = {}, ttlSeconds = TOKEN_TTL.fallback, kind = 'mesh', takeover = false, permissions: { signal = true, update = true } = {} } = request
    if (!projects.require(project).settings.enabled) throw new TurnpikeError('project-disabled', `the project ${project} is switched off`)
    const wrong = wrongFields(request)
    if (isNestedDeeper(metadata, DEEPEST_METADATA)) wrong.push({ field: 'metadata', message: `must not be nested deeper than ${DEEPEST_METADATA}` })
    if (wrong.length > 0) throw new TurnpikeError('invalid-request', wrong.map(({ field, message }) => `${field} ${message}`).join('; '), { fields: wrong })
    if (Buffer.byteLength(JSON.stringify(metadata)) > limits.metadataBytes) throw new TurnpikeError('metadata-too-large', `metadata may have ${limits.metadataBytes} bytes as JSON`)
    const expiresAtSeconds = nowSeconds() + ttlSeconds
    const tokenId = randomBytes(9).toString('base64url')
    const token = signRoomToken({ project, room, peer, role, metadata, kind, capacity: capacityOf(kind, request.capacity, limits), takeover, permissions: { signal, update }, keyId, tokenId, expiresAtSeconds }, this.#signing.newest(), nowSeconds())
    metrics.add('turnpike_room_tokens_issued_total', { project })
    return { token, tokenId, expiresAtSeconds }
  }

  /** Throws token-invalid or token-expired. */
  check (token: string): Grant {
    const { projects, store, nowSeconds } = this.#needs
    const grant = readRoomToken(token, this.#signing.valid(), nowSeconds())
    if (this.#revoked.has(grant.tokenId) || this.#revoked.has(`${grant.project}/${grant.tokenId}`)) throw new TurnpikeError('token-invalid', 'it was revoked')
    if (projects.get(grant.project)?.settings.enabled !== true) throw new TurnpikeError('token-invalid', 'its project is switched off or gone')
    if (grant.keyId !== null && grant.keyId !== FIXED && findApiKey(store, grant.keyId) === undefined) throw new TurnpikeError('token-invalid', 'the key that asked for it was revoked')
    return grant
  }

  /** Nobody joins with it from now on; of one project only, where one is named. Throws store-unwritable, or quota-exceeded. */
  revoke (project: string | null, tokenId: string): void {
    const name = project === null ? tokenId : `${project}/${tokenId}`
    if (project !== null) this.#requireRoom(project)
    const until = this.#needs.nowSeconds() + TOKEN_TTL.max
    addRevokedToken(this.#needs.store, name, until)
    // To the end, so that they stay in the order of their ends.
    this.#revoked.delete(name)
    this.#revoked.set(name, until)
  }

  /** Forgets those that have expired by themselves. */
  sweep (): void {
    const now = this.#needs.nowSeconds()
    // In the order in which they were revoked, which is that of their ends.
    const first = this.#revoked.values().next().value
    if (first === undefined || first >= now) return
    forgetPastTokens(this.#needs.store, now)
    this.read()
  }

  rotateSigningKey (): { keyId: string } {
    return this.#signing.rotate()
  }

  /** Ids are anybody's to make up who has a key. */
  #requireRoom (project: string): void {
    let count = 0
    for (const name of this.#revoked.keys()) if (name.startsWith(`${project}/`)) count++
    if (count < MOST_OF_A_PROJECT) return
    const message = `${MOST_OF_A_PROJECT} room tokens may be revoked at a time; revoke the key that asked for them`
    throw new TurnpikeError('quota-exceeded', message, { fields: [{ field: 'tokenId', message }], retryAfterSeconds: 3600 })
  }
}

/** What room tokens are signed with: the newest; the one before it still counts. */
class SigningKeys {
  readonly #store: Store
  readonly #nowSeconds: () => number
  #keys: SigningKey[]

  constructor (store: Store, nowSeconds: () => number) {
    this.#store = store
    this.#nowSeconds = nowSeconds
    this.#keys = keysOf(store)
    if (this.#keys.length === 0) this.rotate()
  }

  read (): void {
    this.#keys = keysOf(this.#store)
  }

  newest (): SigningKey {
    const [key] = this.#keys
    if (key === undefined) throw new TurnpikeError('internal', 'there is no signing key')
    return key
  }

  valid (): readonly SigningKey[] {
    return this.#keys
  }

  rotate (): { keyId: string } {
    const key = { id: randomBytes(4).toString('hex'), secret: randomBytes(32).toString('base64url') }
    this.#store.transaction(() => {
      addSigningKey(this.#store, key, this.#nowSeconds())
      forgetOldSigningKeys(this.#store)
    })
    this.#keys = keysOf(this.#store)
    return { keyId: key.id }
  }
}

/** As keys and not as text: each use of a text would try first whether it is a public key, which costs more than the HMAC. */
function keysOf (store: Store): SigningKey[] {
  return signingKeys(store).map(({ id, secret }) => ({ id, secret: createSecretKey(secret, 'utf8') }))
}
