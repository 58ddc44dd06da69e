/** Keeps one relay running and proved: launches it, probes it, starts it again after a crash or a hang, ever later where that does not help. */
import { isTurnpikeError, TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import type { RelayCheck } from './driver.ts'
import { isReady, judge, nextState, type RelayEvent, type RelayState, type Verdict } from './relay-states.ts'

export type SupervisorNeeds = {
  /** Starts or takes over coturn; throws a TurnpikeError where it cannot. */
  launch (onExit: (reason: TurnpikeError) => void): Promise<void>
  /** Ends coturn, with force at the end of the deadline (ms). */
  end (deadlineMs: number): Promise<void>
  /** Never throws. It is abandoned where coturn ends meanwhile: what is then still on its way is to be closed. */
  probe (isAbandoned: AbortSignal): Promise<RelayCheck[]>
  /** False for a relay that somebody else runs. */
  mayRestart: () => boolean
  onChange (status: Status): void
  onRestart (code: ErrorCode): void
  nowSeconds (): number
  /** Seconds between probes of a healthy relay. */
  probeSeconds: number
}
export type Status = { state: RelayState, code: ErrorCode | null, reason: string, since: number, restarts: number, checks: RelayCheck[], lastReadyAt: number | null }
/** How one life of coturn ended. */
type End = { event: Extract<RelayEvent, 'launch-failed' | 'exited' | 'hung' | 'unproven' | 'serves-strangers'>, code: ErrorCode, reason: string }

const RESTART_DELAYS_MS = [0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000] as const
/** What kept it from being launched is hardly gone at once. */
const LAUNCH_DELAY_MS = 500
/** A relay that was well for so long has got over what ailed it. */
const CALM_SECONDS = 60
/** An open relay is not given many chances to be one. */
const OPEN_DELAY_MS = 30_000
const FIRST_PROOF_MS = 8000
const FIRST_PROBE_PAUSE_MS = 40
const RETRY_PROBE_MS = 1000
const FAILURES_UNTIL_HUNG = 3
const KILL_DEADLINE_MS = 1500

export class Supervisor {
  readonly #needs: SupervisorNeeds
  #status: Status
  #attempt = 0
  /** When this life of coturn was first proved, in Unix seconds. */
  #provedAt: number | null = null
  #loop: Promise<void> = Promise.resolve()
  #interrupt = (): void => {}
  #stopping = false
  #settled: () => void = () => {}

  constructor (needs: SupervisorNeeds) {
    this.#needs = needs
    this.#status = { state: 'stopped', code: null, reason: 'not started', since: needs.nowSeconds(), restarts: 0, checks: [], lastReadyAt: null }
  }

  status (): Status {
    return this.#status
  }

  /** Begins; resolves when the relay is ready, or has failed or ended for the first time, or after the deadline (ms). */
  async start (deadlineMs: number): Promise<void> {
    const settled = new Promise<void>(resolve => { this.#settled = resolve })
    this.#stopping = false
    this.#apply('start', null, 'being started')
    this.#loop = this.#run()
    const timer = setTimeout(() => this.#settled(), deadlineMs)
    await settled
    clearTimeout(timer)
  }

  /** Ends the watching, at once but for a launch, which is not broken off. What becomes of coturn is the caller's to say. */
  async stop (): Promise<void> {
    this.#stopping = true
    this.#interrupt()
    this.#settled()
    await this.#loop
    this.#apply('stop', null, 'stopped')
  }

  async #run (): Promise<void> {
    while (!this.#stopping) {
      const end = await this.#live()
      if (end === null || this.#stopping) return
      const delayMs = end.event === 'serves-strangers' ? OPEN_DELAY_MS : Math.max(this.#nextDelay(), end.event === 'launch-failed' ? LAUNCH_DELAY_MS : 0)
      const { state, restarts } = this.#apply(end.event, end.code, end.reason)
      if (state === 'restarting') {
        this.#status = { ...this.#status, restarts: restarts + 1 }
        this.#needs.onRestart(end.code)
      }
      if (this.#needs.mayRestart()) await this.#needs.end(KILL_DEADLINE_MS).catch(() => {})
      await this.#pause(delayMs)
      if (!this.#stopping) this.#apply('start', end.code, `being started again after: ${end.reason}`)
    }
  }

  /** One life of coturn, from its launch to its end; null where it was told to stop. */
  async #live (): Promise<End | null> {
    const life: { exit: End | null } = { exit: null }
    this.#provedAt = null
    try {
      await this.#needs.launch(({ code, message }) => {
        life.exit = { event: 'exited', code, reason: message }
        this.#interrupt()
      })
    } catch (error) {
      const { code, message } = isTurnpikeError(error) ? error : new TurnpikeError('internal', String(error), { cause: error })
      return { event: 'launch-failed', code, reason: message }
    }
    return await this.#watch(life)
  }

  async #watch (life: { exit: End | null }): Promise<End | null> {
    const startedAt = performance.now()
    for (let failures = 0; !this.#stopping && life.exit === null;) {
      const abandoned = new AbortController()
      const checks = await this.#unlessInterrupted(this.#needs.probe(abandoned.signal))
      if (checks === undefined) {
        abandoned.abort()
        break
      }
      const verdict = judge(checks)
      const isFirst = this.#status.state === 'starting'
      failures = verdict.event === 'probe-failed' ? failures + 1 : 0
      const sinceStartMs = performance.now() - startedAt
      const end = this.#endAfter(verdict, failures, isFirst, sinceStartMs)
      this.#status = { ...this.#status, checks }
      // The noise of a start is not shown; a start that comes to nothing is.
      if (verdict.event !== 'serves-strangers' && !(isFirst && verdict.event === 'probe-failed')) this.#apply(verdict.event, verdict.code, verdict.reason)
      if (end !== null) return end
      await this.#pause(this.#pauseAfter(isFirst, verdict.event === 'probe-failed', sinceStartMs))
    }
    return life.exit
  }

  /** Does this verdict end coturn's life? */
  #endAfter ({ event, reason }: Verdict, failures: number, isFirst: boolean, sinceStartMs: number): End | null {
    if (event === 'serves-strangers') return { event, code: 'relay-open', reason }
    if (event !== 'probe-failed') return null
    if (isFirst) return sinceStartMs > FIRST_PROOF_MS ? { event: 'unproven', code: 'relay-unproven', reason } : null
    if (failures < FAILURES_UNTIL_HUNG) return null
    return { event: this.#needs.mayRestart() ? 'hung' : 'unproven', code: 'relay-unproven', reason: `${failures} probes in a row failed: ${reason}` }
  }

  #pauseAfter (isFirst: boolean, hasFailed: boolean, sinceStartMs: number): number {
    if (!hasFailed) return this.#needs.probeSeconds * 1000
    return isFirst ? Math.max(FIRST_PROBE_PAUSE_MS, sinceStartMs / 8) : RETRY_PROBE_MS
  }

  #nextDelay (): number {
    if (this.#provedAt !== null && this.#needs.nowSeconds() - this.#provedAt >= CALM_SECONDS) this.#attempt = 0
    return RESTART_DELAYS_MS[Math.min(this.#attempt++, RESTART_DELAYS_MS.length - 1)] ?? 0
  }

  #apply (event: RelayEvent, code: ErrorCode | null, reason: string): Status {
    const before = this.#status
    const state = nextState(before.state, event)
    const now = this.#needs.nowSeconds()
    if (isReady(state)) this.#provedAt ??= now
    this.#status = { ...before, state, code, reason, since: state === before.state ? before.since : now, lastReadyAt: isReady(state) ? now : before.lastReadyAt }
    this.#needs.onChange(this.#status)
    if (isReady(state) || state === 'failed' || state === 'restarting') this.#settled()
    return this.#status
  }

  async #pause (ms: number): Promise<void> {
    if (this.#stopping || ms <= 0) return
    let timer: NodeJS.Timeout | undefined
    await this.#unlessInterrupted(new Promise<void>(resolve => { timer = setTimeout(resolve, ms) }))
    clearTimeout(timer)
  }

  /** What the work comes to; undefined where coturn ended or a stop was asked for before. */
  async #unlessInterrupted<T> (work: Promise<T>): Promise<T | undefined> {
    try {
      return await new Promise<T | undefined>((resolve, reject) => {
        this.#interrupt = () => resolve(undefined)
        work.then(resolve, reject)
      })
    } finally {
      this.#interrupt = () => {}
    }
  }
}
