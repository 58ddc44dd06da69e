/** Quotas of a project: what is used of them, when they reset, and what that means for a wish or a live allocation. */
import { TurnpikeError } from '../protocol/errors.ts'
import type { ProjectSettings } from '../protocol/project-settings.ts'
import type { Ledger } from './ledger.ts'
import { dayOf, dayPeriod, monthPeriod, type Period } from './periods.ts'

export type ByteQuota = 'bytesPerDay' | 'bytesPerMonth'
export type QuotaState = { quota: ByteQuota, limit: number, used: number, period: Period }
export type QuotasNeeds = { ledger: Pick<Ledger, 'bytesIn'>, nowSeconds: () => number, settingsOf: (project: string) => ProjectSettings | null }

const MINUTE_MS = 60_000

export class Quotas {
  readonly #needs: QuotasNeeds
  /** Windows of a minute that begin with their first credential, by a clock that nobody can turn back. */
  readonly #minutes = new Map<string, { beganMs: number, issued: number }>()

  #periods: { day: Period, month: Period } | null = null

  constructor (needs: QuotasNeeds) {
    this.#needs = needs
  }

  /** The byte quotas that the project has. */
  states (project: string): QuotaState[] {
    const quotas = this.#needs.settingsOf(project)?.quotas
    const stateOf = (quota: ByteQuota, limit: number | null, period: Period): QuotaState[] => (limit === null ? [] : [{ quota, limit, used: this.#needs.ledger.bytesIn(project, period), period }])
    if (quotas === undefined || (quotas.bytesPerDay === null && quotas.bytesPerMonth === null)) return []
    const { day, month } = this.#periodsNow()
    return [...stateOf('bytesPerDay', quotas.bytesPerDay, day), ...stateOf('bytesPerMonth', quotas.bytesPerMonth, month)]
  }

  /** They change once a day, and are asked for with every credential. */
  #periodsNow (): { day: Period, month: Period } {
    const now = this.#needs.nowSeconds()
    if (this.#periods === null || this.#periods.day.firstDay !== dayOf(now)) this.#periods = { day: dayPeriod(now), month: monthPeriod(now) }
    return this.#periods
  }

  /** The one that stops the project now: of two, the one that resets last. */
  usedUp (project: string): QuotaState | null {
    const settings = this.#needs.settingsOf(project)
    if (settings === null || settings.quotaAction !== 'disable') return null
    return this.states(project).filter(({ used, limit }) => used >= limit).sort((a, b) => b.period.resetsAt - a.period.resetsAt)[0] ?? null
  }

  /** Counts one credential of the project, which it returns. Throws quota-exceeded, which says which quota and when it resets. */
  take (project: string): string {
    const usedUp = this.usedUp(project)
    if (usedUp !== null) {
      const { quota, limit, used, period } = usedUp
      throw exceeded(quota, `${used} of ${limit} bytes are used`, period.resetsAt - this.#needs.nowSeconds(), new Date(period.resetsAt * 1000).toISOString())
    }
    const limit = this.#needs.settingsOf(project)?.quotas.credentialsPerMinute ?? null
    if (limit !== null) this.#takeOfMinute(project, limit)
    return project
  }

  #takeOfMinute (project: string, limit: number): void {
    const now = performance.now()
    let minute = this.#minutes.get(project)
    if (minute === undefined || now - minute.beganMs >= MINUTE_MS) {
      minute = { beganMs: now, issued: 0 }
      this.#minutes.set(project, minute)
    }
    const leftSeconds = Math.max(1, Math.ceil((minute.beganMs + MINUTE_MS - now) / 1000))
    if (minute.issued >= limit) throw exceeded('credentialsPerMinute', `${limit} credentials were issued in this minute`, leftSeconds, new Date((this.#needs.nowSeconds() + leftSeconds) * 1000).toISOString())
    minute.issued++
  }
}

function exceeded (quota: string, what: string, retryAfterSeconds: number, resetsAt: string): TurnpikeError {
  const message = `${what}; it resets at ${resetsAt}`
  return new TurnpikeError('quota-exceeded', `${quota}: ${message}`, { fields: [{ field: `quotas.${quota}`, message }], retryAfterSeconds: Math.max(1, retryAfterSeconds) })
}
