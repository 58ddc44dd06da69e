/** What a peer was sent and has not acknowledged: numbered from 1 without gaps, kept to be sent again. */

/** Who is to be told what became of a frame that it had numbered itself (`cid`). */
export type Receipt = { readonly sender: { settle (cid: number): void, undelivered (cid: number, to: string): void }, readonly cid: number }

/** What of a session outlives its process. */
export type SessionState = { seq: number, acknowledged: boolean, accepted: number | null, frames: { text: string, sender: string | null, cid: number }[], resume: string }

/** Shifting an array costs as much as it is long; what was acknowledged is cut off in portions. */
const PORTION = 512

export class Outbox {
  /** The last number that was given. */
  seq: number
  /** Characters that are kept. */
  size = 0
  #texts: string[] = []
  #receipts: (Receipt | null)[] = []
  /** Where in the arrays the first is that has not been acknowledged. */
  #head = 0

  constructor (seq = 0) {
    this.seq = seq
  }

  get length (): number {
    return this.#texts.length - this.#head
  }

  /** Keeps the frame that was given the last number. */
  keep (text: string, receipt: Receipt | null): void {
    this.#texts.push(text)
    this.#receipts.push(receipt)
    this.size += text.length
  }

  /** Everything up to `seq` has arrived. */
  acknowledge (seq: number): void {
    const end = this.#texts.length - Math.min(this.length, this.seq - seq)
    for (; this.#head < end; this.#head++) {
      this.size -= this.#texts[this.#head]?.length ?? 0
      const receipt = this.#receipts[this.#head]
      receipt?.sender.settle(receipt.cid)
    }
    if (this.#head === this.#texts.length) this.#texts.length = this.#receipts.length = this.#head = 0
    if (this.#head < PORTION) return
    this.#texts = this.#texts.slice(this.#head)
    this.#receipts = this.#receipts.slice(this.#head)
    this.#head = 0
  }

  /** Those that have not been acknowledged, in their order, each with its number. */
  * kept (): Generator<{ seq: number, text: string, receipt: Receipt | null }> {
    const first = this.seq - this.length + 1
    for (let i = 0; i < this.length; i++) yield { seq: first + i, text: this.#texts[this.#head + i] ?? '', receipt: this.#receipts[this.#head + i] ?? null }
  }

  /** Keeps nothing any more. */
  clear (): void {
    this.#texts = []
    this.#receipts = []
    this.#head = 0
    this.size = 0
  }
}
