/**
 * The shared secrets of coturn's REST scheme and their life: pending → current → old → gone. A rotation can be broken off between any
 * two of its steps (the process is killed, the disk is full): what is in the table says how it goes on at the next start.
 */
import { randomBytes } from 'node:crypto'
import type { Log } from '../lifecycle.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Store } from '../store/store.ts'
import { addSecret, deleteSecret, listSecrets, setSecretState, type SecretRow } from './records.ts'
import { createMint, type Mint } from './rest-secret.ts'

export type SecretsNeeds = {
  store: Store
  log: Log
  nowSeconds: () => number
  /** A secret that is given from outside, for a relay that somebody else runs. */
  fixedSecret: string | undefined
  /** The longest that a credential can live, in seconds. */
  longestTtlSeconds: () => number
  /** Has the relay accept exactly what `accepted` says. */
  applySecrets: () => void
  /** Does the relay take this secret? Throws where not. */
  proveSecret: (secret: string) => Promise<void>
  /** Does the relay bear user names that others make up? */
  takesAnyUserName: () => boolean
  onRotated: () => void
}
/** Does the work in one transaction with what is to be written down beside it. */
export type Write = (work: () => void) => void
export type SecretInfo = { id: number, state: SecretRow['state'], createdAt: number, retiresAt: number | null }
export type Integration = { name: string, secret: string, createdAt: number, previousRetiresAt: number | null }

/** A clock may be a little off. */
const LEEWAY_SECONDS = 5

export class Secrets {
  readonly #needs: SecretsNeeds
  #rows: SecretRow[]
  #mint: Mint
  #rotating = false
  /** Does coturn accept something else than it is to? Told again until it does not. */
  #isUnapplied = false

  constructor (needs: SecretsNeeds) {
    this.#needs = needs
    this.#rows = listSecrets(needs.store)
    if (needs.fixedSecret === undefined && this.#currentRow(null) === undefined) {
      addSecret(needs.store, newSecret(), needs.nowSeconds(), 'current', null)
      this.#read()
    }
    this.#mint = createMint(this.current())
  }

  /** What credentials are signed with now. */
  current (): string {
    const secret = this.#needs.fixedSecret ?? this.#currentRow(null)?.secret
    if (secret === undefined) throw new TurnpikeError('internal', 'there is no TURN secret')
    return secret
  }

  mint: Mint = (expiresAtSeconds, id) => this.#mint(expiresAtSeconds, id)

  /** What the relay is to accept, the one that is signed with first. Integrations only where coturn bears the names that they make up. */
  accepted (withIntegrations: boolean): string[] {
    if (this.#needs.fixedSecret !== undefined) return [this.#needs.fixedSecret]
    const rest = this.#rows.filter(row => row.integration === null || withIntegrations).map(({ secret }) => secret)
    return [this.current(), ...rest.filter(secret => secret !== this.current())]
  }

  list (): SecretInfo[] {
    return this.#rows.filter(({ integration }) => integration === null).map(row => ({ id: row.id, state: row.state, createdAt: row.created_at, retiresAt: row.state === 'old' ? row.retire_at : null }))
  }

  /** Has coturn been told what it is to accept? If not, it is told again. */
  settle (): void {
    if (this.#isUnapplied) this.#apply()
  }

  /**
   * Replaces the secret: the new one is written down, given to the relay, proved by an Allocate, and from then on signed with. The old
   * one is accepted for so long (s), or until the last credential that was signed with it has expired. Throws secret-not-ours,
   * rotation-running, relay-unproven.
   */
  async rotate (overlapSeconds = Infinity): Promise<SecretInfo[]> {
    this.#requireOurs()
    if (this.#rotating) throw new TurnpikeError('rotation-running', 'a rotation has begun and not ended')
    this.#rotating = true
    try {
      this.#begin(overlapSeconds)
      await this.#finish()
    } finally {
      this.#rotating = false
    }
    return this.list()
  }

  /** Has a rotation begun that nobody is at work on? */
  isBrokenOff (): boolean {
    return this.#needs.fixedSecret === undefined && !this.#rotating && this.#rows.some(({ integration, state }) => integration === null && state === 'pending')
  }

  /** Goes on with a rotation that was broken off. */
  async resume (): Promise<void> {
    if (!this.isBrokenOff()) return
    this.#needs.log.info({}, 'a rotation of the TURN secret that was broken off goes on')
    await this.rotate()
  }

  /** Takes away secrets whose last credential has expired. */
  retire (): void {
    const { store, nowSeconds, log } = this.#needs
    const past = this.#rows.filter(({ state, retire_at: retireAt }) => state === 'old' && retireAt !== null && retireAt + LEEWAY_SECONDS <= nowSeconds())
    if (past.length === 0) return
    store.transaction(() => { for (const { id } of past) deleteSecret(store, id) })
    this.#read()
    this.#apply()
    log.info({ secrets: past.length }, 'secrets whose last credential has expired are no longer accepted')
  }

  /** Unix seconds when the current secret was made. */
  since (): number {
    return this.#currentRow(null)?.created_at ?? 0
  }

  integrations (): Integration[] {
    return this.#rows.filter(({ integration, state }) => integration !== null && state === 'current').map(({ integration, secret, created_at: createdAt }) => ({
      name: integration ?? '',
      secret,
      createdAt,
      previousRetiresAt: this.#rows.find(row => row.integration === integration && row.state === 'old')?.retire_at ?? null,
    }))
  }

  /** A secret for a program that mints by itself. `write` does it, with what goes with it. Throws integration-exists, integration-unsafe or secret-not-ours. */
  addIntegration (name: string, write: Write): Integration {
    this.#requireOurs()
    this.#requireSafe()
    if (this.#currentRow(name) !== undefined) throw new TurnpikeError('integration-exists', `there is an integration ${name}`)
    this.#change(write, () => addSecret(this.#needs.store, newSecret(), this.#needs.nowSeconds(), 'current', name))
    return this.#requireMade(name)
  }

  /** A new secret for it; the old one is accepted for so long, in which the program is to be told. Throws not-found. */
  rotateIntegration (name: string, overlapSeconds: number, write: Write): Integration {
    const old = this.#requireIntegration(name)
    this.#requireSafe()
    const { store, nowSeconds } = this.#needs
    this.#change(write, () => {
      setSecretState(store, old.id, 'old', nowSeconds() + overlapSeconds)
      addSecret(store, newSecret(), nowSeconds(), 'current', name)
    })
    return this.#requireMade(name)
  }

  /** What it minted is not accepted any more. Throws not-found. */
  removeIntegration (name: string, write: Write): void {
    this.#requireIntegration(name)
    this.#change(write, () => { for (const { id } of this.#rows.filter(({ integration }) => integration === name)) deleteSecret(this.#needs.store, id) })
  }

  #change (write: Write, work: () => void): void {
    write(work)
    this.#read()
    this.#apply()
  }

  /** Never throws: what is written down holds, and coturn is told again until it knows. */
  #apply (): void {
    try {
      this.#needs.applySecrets()
      this.#isUnapplied = false
    } catch (error) {
      if (!this.#isUnapplied) this.#needs.log.error({ reason: (error as Error).message }, 'coturn could not be told which secrets to accept; told again every second')
      this.#isUnapplied = true
    }
  }

  /** Of a secret that is pending, `retire_at` holds how long (s) those before it are to be accepted: a rotation that is broken off keeps its word. */
  #begin (overlapSeconds: number): void {
    const { store, nowSeconds } = this.#needs
    const overlap = Number.isFinite(overlapSeconds) ? overlapSeconds : null
    store.transaction(() => {
      if (this.#pendingRow() === undefined) addSecret(store, newSecret(), nowSeconds(), 'pending', null)
      const pending = this.#pendingRow()
      if (pending !== undefined && overlap !== null) setSecretState(store, pending.id, 'pending', Math.min(overlap, pending.retire_at ?? overlap))
    })
  }

  async #finish (): Promise<void> {
    const { store, proveSecret, nowSeconds, longestTtlSeconds, log } = this.#needs
    this.#read()
    this.#apply()
    const pending = this.#pendingRow()
    if (pending === undefined) return
    await proveSecret(pending.secret)
    const retireAt = nowSeconds() + Math.min(pending.retire_at ?? Infinity, longestTtlSeconds())
    store.transaction(() => {
      // Those of earlier rotations too: after a leak none of them is to be accepted any longer than the last.
      for (const row of this.#rows) if (row.integration === null && row.state !== 'pending') setSecretState(store, row.id, 'old', Math.min(retireAt, row.retire_at ?? retireAt))
      setSecretState(store, pending.id, 'current', null)
    })
    this.#read()
    this.#mint = createMint(this.current())
    this.#needs.onRotated()
    log.info({ retiresAt: retireAt }, 'the TURN secret was rotated')
  }

  #requireMade (name: string): Integration {
    const found = this.integrations().find(integration => integration.name === name)
    if (found === undefined) throw new TurnpikeError('internal', 'the integration is not there')
    return found
  }

  #requireIntegration (name: string): SecretRow {
    const row = this.#currentRow(name)
    if (row === undefined) throw new TurnpikeError('not-found', `there is no integration ${name.slice(0, 64)}`)
    return row
  }

  #requireOurs (): void {
    if (this.#needs.fixedSecret !== undefined) throw new TurnpikeError('secret-not-ours', 'TURNPIKE_RELAY_SECRET sets it')
  }

  #requireSafe (): void {
    if (!this.#needs.takesAnyUserName()) throw new TurnpikeError('integration-unsafe', 'a % in a user name ends coturn before 4.13, and a program that mints by itself may make such a name up')
  }

  #currentRow (integration: string | null): SecretRow | undefined {
    return this.#rows.find(row => row.integration === integration && row.state === 'current')
  }

  #pendingRow (): SecretRow | undefined {
    return listSecrets(this.#needs.store).find(row => row.integration === null && row.state === 'pending')
  }

  #read (): void {
    this.#rows = listSecrets(this.#needs.store)
  }
}

function newSecret (): string {
  return randomBytes(32).toString('base64url')
}
