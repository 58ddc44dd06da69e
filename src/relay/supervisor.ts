/** Keeps one relay running and proved: launches it, probes it, starts it again after a crash or a hang, ever later where that does not help. */
import { isTurnpikeError, TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import type { RelayCheck } from './driver.ts'
import { isReady, judge, nextState, type RelayEvent, type RelayState } from './relay-states.ts'

export type SupervisorNeeds = {
  /** Starts or takes over coturn; throws a TurnpikeError where it cannot. */
  launch (onExit: (reason: TurnpikeError) => void): Promise<void>
  /** Ends coturn, with force at the end of the deadline (ms). */
  end (deadlineMs: number): Promise<void>
  probe (): Promise<RelayCheck[]>
  /** False for a relay that somebody else runs. */
  mayRestart: () => boolean
  onChange (status: Status): void
  onRestart (code: ErrorCode): void
  nowSeconds (): number
  /** Seconds between probes of a healthy relay. */
  probeSeconds: number
}
export type Status = { state: RelayState, code: ErrorCode | null, reason: string, since: number, restarts: number, checks: RelayCheck[], lastReadyAt: number | null }
type End = { event: Extract<RelayEvent, 'exited' | 'hung' | 'unproven' | 'serves-strangers' | 'stop'>, code: ErrorCode, reason: string }

const RESTART_DELAYS_MS = [0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000] as const
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
  #loop: Promise<void> = Promise.resolve()
  #wake = (): void => {}
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

  /** Ends the watching. What becomes of coturn is the caller's to say. */
  async stop (): Promise<void> {
    this.#stopping = true
    this.#wake()
    await this.#loop
    this.#apply('stop', null, 'stopped')
  }

  async #run (): Promise<void> {
    while (!this.#stopping) {
      const end = await this.#launchAndWatch()
      if (this.#stopping || end === null) return
      const delayMs = end.event === 'serves-strangers' ? OPEN_DELAY_MS : this.#nextDelay()
      this.#apply(end.event, end.code, end.reason)
      if (this.#status.state === 'restarting') {
        this.#status = { ...this.#status, restarts: this.#status.restarts + 1 }
        this.#needs.onRestart(end.code)
      }
      if (this.#needs.mayRestart()) await this.#needs.end(KILL_DEADLINE_MS).catch(() => {})
      await this.#pause(delayMs)
      if (!this.#stopping) this.#apply('start', end.code, `being started again after: ${end.reason}`)
    }
  }

  /** One life of coturn, to its end; null where it was told to stop. */
  async #launchAndWatch (): Promise<End | null> {
    let exited: End | null = null
    try {
      await this.#needs.launch(reason => {
        exited = { event: 'exited', code: reason.code, reason: reason.message }
        this.#wake()
      })
    } catch (error) {
      const { code, message } = isTurnpikeError(error) ? error : new TurnpikeError('internal', String(error), { cause: error })
      this.#apply('launch-failed', code, message)
      return { event: 'unproven', code, reason: message }
    }
    const startedAt = performance.now()
    for (let failures = 0; !this.#stopping;) {
      const checks = await this.#needs.probe()
      if (exited !== null) return exited
      const verdict = judge(checks)
      const isFirst = this.#status.state === 'starting'
      failures = verdict.event === 'probe-failed' ? failures + 1 : 0
      if (verdict.event === 'serves-strangers') return { ...verdict, event: verdict.event, code: 'relay-open' }
      // The noise of a start is not shown; a start that comes to nothing is.
      if (!isFirst || verdict.event !== 'probe-failed') this.#apply(verdict.event, verdict.code, verdict.reason, checks)
      else this.#status = { ...this.#status, checks }
      if (isFirst && verdict.event === 'probe-failed' && performance.now() - startedAt > FIRST_PROOF_MS) return { event: 'unproven', code: 'relay-unproven', reason: verdict.reason }
      if (!isFirst && failures >= FAILURES_UNTIL_HUNG) return { event: this.#needs.mayRestart() ? 'hung' : 'unproven', code: 'relay-unproven', reason: `${failures} probes in a row failed: ${verdict.reason}` }
      await this.#pause(this.#pauseAfter(isFirst, verdict.event === 'probe-failed', performance.now() - startedAt))
      if (exited !== null) return exited
    }
    return null
  }

  #pauseAfter (isFirst: boolean, hasFailed: boolean, sinceStartMs: number): number {
    if (!hasFailed) return this.#needs.probeSeconds * 1000
    return isFirst ? Math.max(FIRST_PROBE_PAUSE_MS, sinceStartMs / 8) : RETRY_PROBE_MS
  }

  #nextDelay (): number {
    const { state, since } = this.#status
    if (state === 'healthy' && this.#needs.nowSeconds() - since >= CALM_SECONDS) this.#attempt = 0
    return RESTART_DELAYS_MS[Math.min(this.#attempt++, RESTART_DELAYS_MS.length - 1)] ?? 0
  }

  #apply (event: RelayEvent, code: ErrorCode | null, reason: string, checks = this.#status.checks): void {
    const before = this.#status
    const state = nextState(before.state, event)
    const now = this.#needs.nowSeconds()
    this.#status = { ...before, state, code, reason, checks, since: state === before.state ? before.since : now, lastReadyAt: isReady(state) ? now : before.lastReadyAt }
    this.#needs.onChange(this.#status)
    if (isReady(state) || state === 'failed' || state === 'restarting') this.#settled()
  }

  async #pause (ms: number): Promise<void> {
    if (this.#stopping || ms <= 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = () => {}
  }
}
