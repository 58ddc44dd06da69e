/** Ends allocations: those that must not begin, those that must live no longer, and those that somebody wants gone. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Allocation, Allocations, Crowd } from './allocations.ts'
import type { Control } from './control.ts'
import type { RelayNeeds } from './needs.ts'
import { TurnpikeError } from '../protocol/errors.ts'

export type CutterNeeds = Pick<RelayNeeds, 'config' | 'log' | 'reasonToCut'> & { relay: string, metrics: RelayNeeds['metrics'], control: Pick<Control, 'cut' | 'sessions'>, allocations: Allocations }

/** A quota that is used up, and an expiry, take hold within a second: half of it is for coturn. */
const SWEEP_MS = 500
const SEEN_WITHIN_MS = 2000
/** A coturn that was just taken over may not answer at once. */
const RECONCILE_TRIES = 5
const RECONCILE_PAUSE_MS = 500

export class Cutter {
  readonly #needs: CutterNeeds
  /** Asked to end, and not known to have ended: asked again, and not with every sweep. */
  readonly #asked = new Map<string, { atMs: number, /** One too many, which only its beginning tells. */ byCrowd: boolean }>()
  #waiting: Allocation[] = []
  #sweep: NodeJS.Timeout | undefined

  constructor (needs: CutterNeeds) {
    this.#needs = needs
  }

  start (): void {
    this.#sweep = setInterval(() => this.#sweepAll(), SWEEP_MS)
    this.#sweep.unref()
  }

  stop (): void {
    clearInterval(this.#sweep)
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
    const { config, control, allocations, metrics, relay } = this.#needs
    if (sessions.length === 0) return 0
    if (config.relay.driver === 'external') throw new TurnpikeError('relay-control-lost', 'the relay is run by somebody else')
    await control.cut(sessions)
    metrics.add('turnpike_relay_cuts_total', { relay, reason }, sessions.length)
    return await allocations.ended(sessions, SEEN_WITHIN_MS)
  }

  /** After a restart of ours: what lives in a coturn that was taken over is known to it alone. */
  reconcile (): void {
    this.#reconcile().catch((error: unknown) => this.#needs.log.warn({ reason: (error as Error).message }, 'the sessions of coturn could not be taken over'))
  }

  async #reconcile (): Promise<void> {
    const { control, allocations, log, relay } = this.#needs
    for (let attempt = 1; attempt <= RECONCILE_TRIES; attempt++) {
      try {
        return allocations.reconcile(await control.sessions())
      } catch (error) {
        log.debug({ relay, attempt, reason: (error as Error).message }, 'coturn does not tell its sessions yet')
        await wait(RECONCILE_PAUSE_MS, undefined, { ref: false })
      }
    }
    log.warn({ relay }, 'coturn does not tell its sessions; each is known again when it is next refreshed')
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
