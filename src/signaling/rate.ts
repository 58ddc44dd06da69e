/** How many frames a peer may send: a token bucket that also knows when somebody does not stop. */

export type RateVerdict = 'fine' | 'limited' | 'flooding'

/** Frames over the rate cost too: whoever sends on regardless goes ever deeper, and at twice the burst it is a flood. */
const FLOOD_BURSTS = 2
/** A frame counts as one, and as one more for each of these that it is long: few large ones must not push another peer over what is kept for it either. */
const BYTES_OF_ONE = 8192

/** What a frame of so many bytes takes of a peer's rate. */
export function costOf (bytes: number): number {
  return 1 + Math.floor(bytes / BYTES_OF_ONE)
}

export class RateBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAtMs: number

  constructor (perSecond: number, burst: number, nowMs: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#filledAtMs = nowMs
  }

  /** One that was taken is not to count. */
  giveBack (): void {
    this.#tokens++
  }

  take (nowMs: number, cost = 1): RateVerdict {
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#filledAtMs) / 1000 * this.#perSecond)
    this.#filledAtMs = nowMs
    const isFine = this.#tokens >= 1
    this.#tokens -= cost
    if (isFine) return 'fine'
    return this.#tokens < -FLOOD_BURSTS * this.#burst ? 'flooding' : 'limited'
  }
}
