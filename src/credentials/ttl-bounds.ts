/**
 * The longest that a credential can still live: what the settings allow now, and what they allowed before for as long as something that
 * was issued then can live. Revocations and old secrets are kept for so long.
 */
import type { Store } from '../store/store.ts'
import { noteTtlBound, ttlBounds } from './records.ts'

/** How exactly it is known when a bound was last in use. */
const NOTE_SECONDS = 3600

export class TtlBounds {
  readonly #store: Store
  readonly #now: number
  readonly #nowSeconds: () => number
  #notedAt = -Infinity

  constructor (store: Store, maxTtlSeconds: number, nowSeconds: () => number) {
    this.#store = store
    this.#now = maxTtlSeconds
    this.#nowSeconds = nowSeconds
  }

  /** In seconds. */
  longest (): number {
    const past = ttlBounds(this.#store).filter(({ seconds, last_at: lastAt }) => lastAt + NOTE_SECONDS + seconds > this.#nowSeconds())
    return Math.max(this.#now, ...past.map(({ seconds }) => seconds))
  }

  /** Writes down, now and then, that today's bound is in use. */
  note (): void {
    if (Math.abs(this.#nowSeconds() - this.#notedAt) < NOTE_SECONDS) return
    noteTtlBound(this.#store, this.#now, this.#nowSeconds())
    this.#notedAt = this.#nowSeconds()
  }
}
