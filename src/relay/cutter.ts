/** Ends allocations: those that must not begin, those that must live no longer, and those that somebody wants gone. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Allocation, Crowd } from './allocation.ts'
import type { Allocations } from './allocations.ts'
import type { Control } from './control.ts'
import type { RelayNeeds } from './needs.ts'
import { TurnpikeError } from '../protocol/errors.ts'

export type CutterNeeds = Pick<RelayNeeds, 'log' | 'reasonToCut'> & { relay: string, /** Is it run by somebody else? Then nothing can be cut. */ isExternal: boolean, metrics: Pick<RelayNeeds['metrics'], 'add'>, control: Pick<Control, 'cut' | 'sessions'>, allocations: Allocations }

/** A quota that is used up, and an expiry, take hold within a second: half of it is for coturn. */
const SWEEP_MS = 500
const SEEN_WITHIN_MS = 2000
/** A coturn that was just taken over may not answer at once. */
const RECONCILE_TRIES = 5
const RECONCILE_PAUSE_MS = 500
/** How often our table is compared with coturn's own. */
const RECONCILE_MS = 60_000
/** Where one has begun, its relayed address is in coturn's list alone; a long list is not asked for so soon. */
const SOON_MS = 3000
const SHORT_LIST = 1000

export class Cutter {
  readonly #needs: CutterNeeds
  /** Asked to end, and not known to have ended: asked again, and not with every sweep. */
  readonly #asked = new Map<string, { atMs: number, /** One too many, which only its beginning tells. */ byCrowd: boolean }>()
  #waiting: Allocation[] = []
  #sweep: NodeJS.Timeout | undefined
  #reconciling: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  #comparing: Promise<void> = Promise.resolve()

  constructor (needs: CutterNeeds) {
    this.#needs = needs
  }

  start (): void {
    this.#sweep = setInterval(() => this.#sweepAll(), SWEEP_MS)
    this.#sweep.unref()
    if (!this.#needs.isExternal) this.#reconciling = setInterval(() => this.reconcile(1), RECONCILE_MS).unref()
  }

  stop (): void {
    clearInterval(this.#sweep)
    clearInterval(this.#reconciling)
    clearTimeout(this.#soon)
    this.#soon = undefined
  }

  /** Ends it at once where there is a reason to. */
  judge (allocation: Allocation, crowd: Crowd | null): void {
    const reason = this.#reasonFor(allocation, crowd)
    if (reason === null) return
    this.#needs.log.info({ relay: this.#needs.relay, project: allocation.project, user: allocation.user, session: allocation.session, reason }, 'an allocation is cut')
    this.#needs.metrics.add('turnpike_relay_cuts_total', { relay: this.#needs.relay, reason })
    this.#cutSoon(allocation, crowd !== null && this.#reasonFor(allocation, null) === null)
  }

  /** coturn has been started anew: its sessions are others. */
  forget (): void {
    this.#asked.clear()
    this.#waiting = []
  }

  /** Resolves to how many have ended. Throws relay-control-lost. */
  async cut (sessions: readonly string[], reason: string): Promise<number> {
    const { isExternal, control, allocations, metrics, relay } = this.#needs
    if (sessions.length === 0) return 0
    if (isExternal) throw new TurnpikeError('relay-control-lost', 'the relay is run by somebody else')
    await control.cut(sessions)
    metrics.add('turnpike_relay_cuts_total', { relay, reason }, sessions.length)
    return await allocations.ended(sessions, SEEN_WITHIN_MS)
  }

  /** Compares our table with coturn's own in a while; a long one only where something was missed. */
  reconcileSoon (hasMissed = false): void {
    if (this.#soon !== undefined || this.#needs.isExternal || (!hasMissed && this.#needs.allocations.count() > SHORT_LIST)) return
    this.#soon = setTimeout(() => {
      this.#soon = undefined
      this.reconcile(1)
    }, SOON_MS).unref()
  }

  /** Compares our table with coturn's own, which knows also what began or ended while nobody listened. */
  reconcile (tries = RECONCILE_TRIES): void {
    this.#reconcile(tries).catch((error: unknown) => this.#needs.log.warn({ reason: (error as Error).message }, 'the sessions of coturn could not be taken over'))
  }

  /** The same, once. Throws relay-control-lost. */
  async compare (): Promise<void> {
    // One after another: what ends while one list is on its way is judged by no other.
    const mine = this.#comparing.then(() => this.#compare())
    this.#comparing = mine.catch(() => {})
    await mine
  }

  async #compare (): Promise<void> {
    const { control, allocations, metrics, relay } = this.#needs
    const take = allocations.expectList()
    try {
      const mended = take(await control.sessions())
      metrics.add('turnpike_relay_reconciliations_total', { relay, result: mended === 0 ? 'same' : 'mended' })
    } catch (error) {
      metrics.add('turnpike_relay_reconciliations_total', { relay, result: 'failed' })
      throw error
    }
  }

  async #reconcile (tries: number): Promise<void> {
    const { log, relay } = this.#needs
    for (let attempt = 1; attempt <= tries; attempt++) {
      try {
        return await this.compare()
      } catch (error) {
        log.debug({ relay, attempt, reason: (error as Error).message }, 'coturn does not tell its sessions yet')
        if (attempt < tries) await wait(RECONCILE_PAUSE_MS, undefined, { ref: false })
      }
    }
    log.warn({ relay }, 'coturn does not tell its sessions; they are compared again in a minute')
  }

  #sweepAll (): void {
    const { allocations } = this.#needs
    const now = performance.now()
    const live = new Map(allocations.list().map(allocation => [allocation.session, allocation]))
    for (const [session, { atMs, byCrowd }] of this.#asked) {
      const allocation = live.get(session)
      if (allocation === undefined || (!byCrowd && now - atMs > SEEN_WITHIN_MS)) this.#asked.delete(session)
      else if (now - atMs > SEEN_WITHIN_MS) this.#cutSoon(allocation, byCrowd)
    }
    // Those whose cut came to nothing are asked for their reason again: it may be gone.
    for (const allocation of live.values()) if (!this.#asked.has(allocation.session)) this.judge(allocation, null)
  }

  /** Allocations that are to end in the same moment leave one after another over one connection. */
  #cutSoon (allocation: Allocation, byCrowd: boolean): void {
    this.#asked.set(allocation.session, { atMs: performance.now(), byCrowd })
    if (this.#waiting.push(allocation) === 1) setImmediate(() => this.#cutWaiting())
  }

  /** What cannot be found out now (the ledger cannot be read) is found out at the next sweep. */
  #reasonFor (allocation: Allocation, crowd: Crowd | null): string | null {
    try {
      return this.#needs.reasonToCut(allocation, crowd)
    } catch (error) {
      this.#needs.log.warn({ relay: this.#needs.relay, reason: (error as Error).message }, 'whether an allocation may live could not be found out; tried again')
      return null
    }
  }

  #cutWaiting (): void {
    const { control, log, relay } = this.#needs
    const sessions = this.#waiting.map(({ session }) => session)
    this.#waiting = []
    control.cut(sessions).catch((error: unknown) => log.warn({ relay, sessions: sessions.length, reason: (error as Error).message }, 'allocations that must not live could not be cut; tried again'))
  }
}
