/** What became of the frames that a peer has numbered (`cid`): which were taken, and up to which all have arrived or were answered by an error. */
import { TurnpikeError } from '../protocol/errors.ts'

export class Receipts {
  /** The last `cid` that was taken; -1 before the first. */
  #taken: number
  /** Up to here the client may send again what it did not hear of: its socket was lost since. */
  #repeats = -1
  /** Is it known which have arrived? */
  #isFollowed = false
  /** How many receivers have still to acknowledge, by `cid`: the first is the oldest. Null before there was one. */
  #open: Map<number, number> | null = null
  #told = -1

  constructor (taken = -1) {
    this.#taken = taken
  }

  get accepted (): number | null {
    return this.#taken === -1 ? null : this.#taken
  }

  /** How far everything has arrived; what is told with a welcome is no news afterwards. */
  tellDelivered (): number | null {
    this.#told = this.#deliveredUpTo()
    return this.#told < 0 ? null : this.#told
  }

  /** From now on it is known which have arrived. */
  follow (): void {
    this.#isFollowed = true
  }

  /** Is this frame one that was taken before? Throws frame-invalid where the number does not grow. */
  isRepeated (cid: number): boolean {
    if (cid > this.#taken) {
      this.#taken = cid
      return false
    }
    if (cid <= this.#repeats) return true
    const message = `must be greater than ${this.#taken}, the last one`
    throw new TurnpikeError('frame-invalid', `cid ${message}`, { fields: [{ field: 'cid', message }] })
  }

  /** The socket is another one. */
  allowRepeats (): void {
    this.#repeats = this.#taken
  }

  expect (cid: number): void {
    if (!this.#isFollowed) return
    this.#open ??= new Map()
    this.#open.set(cid, (this.#open.get(cid) ?? 0) + 1)
  }

  /** They were expected receiver by receiver, and not in the order of their numbers: the first is to be the oldest. */
  sort (): void {
    if (this.#open !== null) this.#open = new Map([...this.#open].sort(([a], [b]) => a - b))
  }

  settle (cid: number): void {
    const open = this.#open?.get(cid)
    if (open === undefined) return
    if (open > 1) this.#open?.set(cid, open - 1)
    else this.#open?.delete(cid)
  }

  /** How far everything has arrived, where that is news. */
  takeNews (): number | null {
    if (!this.#isFollowed) return null
    const delivered = this.#deliveredUpTo()
    if (delivered <= this.#told) return null
    this.#told = delivered
    return delivered
  }

  #deliveredUpTo (): number {
    if (!this.#isFollowed) return -1
    const oldest = this.#open?.keys().next()
    return oldest === undefined || oldest.done === true ? this.#taken : oldest.value - 1
  }
}
