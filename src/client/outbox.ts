/** What we send: numbered, in order, bounded, no faster than the server takes it, and again where the server has not taken it. */
import type { ErrorCode } from '../protocol/errors.ts'
import type { Metadata } from '../protocol/frames.ts'
import { TurnpikeClientError } from './client-error.ts'

export type Sendable = { type: 'signal', to: string, data: unknown } | { type: 'update', metadata: Metadata } | { type: 'ack', seq: number }
/** A signal that the server took; whether it arrived is not known. */
export type Undelivered = { cid: number, to: string, data: unknown }
type Waiting = { cid: number, frame: Sendable, wasWritten: boolean, resolve: () => void, reject: (error: TurnpikeClientError) => void }
export type OutboxNeeds = {
  mostFrames: number
  framesPerSecond: number
  /** Writes to the socket; false where there is none. */
  write (frame: Sendable & { cid: number }): boolean
  onUndelivered (undelivered: Undelivered & { error: TurnpikeClientError }): void
}

/** Seconds of the rate that may go at once; docs/signaling.md, Limits. */
const BURST_SECONDS = 4

export class Outbox {
  readonly #needs: OutboxNeeds
  #cid = 0
  /** In the order of their cid: not yet answered by accepted or error. */
  readonly #waiting: Waiting[] = []
  readonly #accepted = new Map<number, Undelivered>()
  #allowance: number
  #countedAt = performance.now()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor (needs: OutboxNeeds) {
    this.#needs = needs
    this.#allowance = needs.framesPerSecond * BURST_SECONDS
  }

  /** Are answers of the server still to come? */
  get isWaiting (): boolean {
    return this.#waiting.length > 0
  }

  /** Resolves when the server has taken it. */
  async send (frame: Sendable): Promise<void> {
    if (this.#waiting.length >= this.#needs.mostFrames) throw new TurnpikeClientError('queue-full', `${this.#waiting.length} frames wait for the server already`, 'backoff')
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ cid: ++this.#cid, frame, wasWritten: false, resolve, reject })
      this.pump()
    })
  }

  /** Writes what may be written now. */
  pump (): void {
    const { framesPerSecond, write } = this.#needs
    const now = performance.now()
    this.#allowance = Math.min(framesPerSecond * BURST_SECONDS, this.#allowance + (now - this.#countedAt) * framesPerSecond / 1000)
    this.#countedAt = now
    for (const waiting of this.#waiting) {
      if (waiting.wasWritten) continue
      if (this.#allowance < 1) {
        clearTimeout(this.#timer)
        this.#timer = setTimeout(() => this.pump(), 1000 / framesPerSecond)
        return
      }
      if (!write({ ...waiting.frame, cid: waiting.cid })) return
      waiting.wasWritten = true
      this.#allowance--
    }
  }

  /** Another socket: what the server has not taken is written again. What it took was answered, by errors that come again or by accepted. */
  rewind (accepted: number | null): void {
    for (const waiting of this.#waiting) waiting.wasWritten = accepted !== null && waiting.cid <= accepted
  }

  /** Answers come in order: everything before it was taken too. */
  onAccepted (ref: number): void {
    while (this.#waiting[0] !== undefined && this.#waiting[0].cid <= ref) {
      const { cid, frame, resolve } = this.#waiting.shift() as Waiting
      if (frame.type === 'signal') this.#accepted.set(cid, { cid, to: frame.to, data: frame.data })
      resolve()
    }
    // Peers that acknowledge nothing leave this to grow.
    for (const cid of this.#accepted.keys()) {
      if (this.#accepted.size <= this.#needs.mostFrames) return
      this.#accepted.delete(cid)
    }
  }

  onDelivered (upTo: number): void {
    for (const cid of this.#accepted.keys()) if (cid <= upTo) this.#accepted.delete(cid)
  }

  onError (ref: number, code: ErrorCode, message: string): void {
    const error = new TurnpikeClientError(code, message, code === 'peer-unavailable' || code === 'signal-undelivered' || code === 'rate-limited' ? 'backoff' : 'never')
    const index = this.#waiting.findIndex(({ cid }) => cid === ref)
    for (const refused of index === -1 ? [] : this.#waiting.splice(index, 1)) refused.reject(error)
    const undelivered = this.#accepted.get(ref)
    this.#accepted.delete(ref)
    if (undelivered !== undefined) this.#needs.onUndelivered({ ...undelivered, error })
  }

  /** The session is gone: what the server took and nobody confirmed. The rest is sent in the next session. */
  forget (): Undelivered[] {
    const undelivered = [...this.#accepted.values()]
    this.#accepted.clear()
    return undelivered
  }

  /** The end: everything that waits is refused. */
  close (error: TurnpikeClientError): void {
    clearTimeout(this.#timer)
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
