/** The door of usage: what was relayed and issued, what may still be, and who is told when a quota nears its end. */
import type { Config } from '../config/schema.ts'
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { EventFields } from '../protocol/events.ts'
import type { ProjectSettings } from '../protocol/project-settings.ts'
import type { Store } from '../store/store.ts'
import { Ledger, type Begun, type Traffic } from './ledger.ts'
import type { LiveAllocation } from './live-allocations.ts'
import { dayOf } from './periods.ts'
import { Quotas, type QuotaState } from './quotas.ts'
import { runQuery, type UsageGroup, type UsageQuery } from './query.ts'
import { addQuotaEvent, forgetQuotaEvents, forgetUsage, migrations, rollUpADay, type Grouping } from './records.ts'

export { migrations }
export type { Grouping, LiveAllocation, QuotaState, UsageGroup, UsageQuery }
export type UsageNeeds = {
  store: Store
  log: Log
  metrics: Pick<Metrics, 'add' | 'set' | 'observe' | 'remove'>
  config: Config['usage']
  nowSeconds: () => number
  projects: () => readonly string[]
  /** Null for a project that does not exist (any more). */
  settingsOf: (project: string) => ProjectSettings | null
  /** Tells the project's own server, as a part of the transaction around it. */
  announce: (project: string, type: 'quota.warning' | 'quota.exceeded', fields: EventFields<'quota.warning'>) => void
}
export type Usage = Part & {
  /** A report of the relay. */
  addTraffic (traffic: Traffic): void
  addAllocation (allocation: Begun): void
  /** Nothing more will be reported of it. */
  endAllocation (of: { coturn: string, session: string }): void
  /** A coturn has ended, and whatever lived on it. */
  forgetCoturn (coturn: string): void
  /** What is in the books of the allocations of a coturn, which may go on. */
  liveAllocations (coturn: string): LiveAllocation[]
  /** Counts a credential that is about to be issued. Throws quota-exceeded. */
  requireAllowance (project: string): void
  /** Why an allocation must not live. `crowd`: how many of the user and of the project live, where it has just begun. */
  reasonToCut (project: string, crowd: { ofUser: number, ofProject: number } | null): 'quota' | null
  /** Its quotas may be others now. */
  settingsChanged (project: string): void
  quotas (project: string): QuotaState[]
  query (query: UsageQuery): { groups: UsageGroup[], next: (string | number)[] | null }
}

const TICK_MS = 250
const HOUSEKEEPING_MS = 3_600_000
const MOST_DAYS_AT_ONCE = 400
const WARNING_PERCENT = 80
const EVENTS_KEPT_SECONDS = 90 * 86_400

export function createUsage (needs: UsageNeeds): Usage {
  return new Office(needs)
}

class Office implements Usage {
  readonly name = 'usage'
  readonly #needs: UsageNeeds
  readonly #ledger: Ledger
  readonly #quotas: Quotas
  /** Whose quotas are to be looked at: what was used has changed, or what may be used. */
  readonly #touched = new Set<string>()
  /** The quotas that the metrics show, by project. */
  readonly #shown = new Map<string, string[]>()
  #ticking: NodeJS.Timeout | undefined
  #housekeeping: NodeJS.Timeout | undefined
  #complained = false

  constructor (needs: UsageNeeds) {
    this.#needs = needs
    this.#ledger = new Ledger(needs)
    this.#quotas = new Quotas({ ...needs, ledger: this.#ledger })
  }

  async start (): Promise<void> {
    this.#keepHouse()
    for (const project of this.#needs.projects()) this.#touched.add(project)
    this.#ticking = setInterval(() => this.#tick(), TICK_MS).unref()
    this.#housekeeping = setInterval(() => this.#keepHouse(), HOUSEKEEPING_MS).unref()
  }

  async stop (): Promise<void> {
    clearInterval(this.#ticking)
    clearInterval(this.#housekeeping)
    this.#tick()
  }

  addTraffic (traffic: Traffic): void {
    this.#ledger.addTraffic(traffic)
  }

  addAllocation (begun: Begun): void {
    this.#ledger.addAllocation(begun)
  }

  endAllocation (of: { coturn: string, session: string }): void {
    this.#ledger.live.end(of)
  }

  forgetCoturn (coturn: string): void {
    this.#ledger.live.forget(coturn)
  }

  liveAllocations (coturn: string): LiveAllocation[] {
    return this.#ledger.live.of(coturn)
  }

  requireAllowance (project: string): void {
    this.#ledger.addCredential(this.#quotas.take(project))
  }

  reasonToCut (project: string, crowd: { ofUser: number, ofProject: number } | null): 'quota' | null {
    const limits = this.#needs.settingsOf(project)?.quotas
    return limits !== undefined && (isTooMany(limits, crowd) || this.#quotas.usedUp(project) !== null) ? 'quota' : null
  }

  settingsChanged (project: string): void {
    this.#touched.add(project)
  }

  quotas (project: string): QuotaState[] {
    return this.#quotas.states(project)
  }

  query (query: UsageQuery): ReturnType<Usage['query']> {
    this.#tick()
    return runQuery(this.#needs.store, query)
  }

  #tick (): void {
    const { metrics, log } = this.#needs
    for (const project of this.#ledger.pendingProjects()) this.#touched.add(project)
    try {
      flush(this.#needs, this.#ledger)
      for (const project of this.#touched) {
        this.#showQuotas(project)
        tellQuotas(this.#needs, project, this.#quotas.states(project))
        this.#touched.delete(project)
      }
      this.#complained = false
    } catch (error) {
      metrics.add('turnpike_usage_write_failures_total', {})
      if (!this.#complained) log.error({ reason: (error as Error).message }, 'usage cannot be written down; it is kept in memory, and tried again')
      this.#complained = true
    }
  }

  #keepHouse (): void {
    try {
      tendBooks(this.#needs)
      this.#ledger.forgetRead()
      // A period that has ended leaves nothing used.
      for (const project of [...this.#shown.keys()]) this.#showQuotas(project)
    } catch (error) {
      this.#needs.log.warn({ reason: (error as Error).message }, 'old usage could not be added up; tried again in an hour')
    }
  }

  #showQuotas (project: string): void {
    const { metrics } = this.#needs
    const states = this.#quotas.states(project)
    for (const quota of this.#shown.get(project) ?? []) if (!states.some(state => state.quota === quota)) metrics.remove('turnpike_quota_used_ratio', { project, quota })
    for (const { quota, used, limit } of states) metrics.set('turnpike_quota_used_ratio', { project, quota }, limit === 0 ? 1 : used / limit)
    if (states.length > 0) this.#shown.set(project, states.map(({ quota }) => quota))
    else this.#shown.delete(project)
  }
}

function flush ({ metrics, nowSeconds }: UsageNeeds, ledger: Ledger): void {
  const hasNews = ledger.hasNews()
  const began = performance.now()
  ledger.flush()
  if (hasNews) metrics.observe('turnpike_usage_write_duration_seconds', {}, (performance.now() - began) / 1000)
  metrics.set('turnpike_usage_last_write_timestamp_seconds', {}, nowSeconds())
}

/** What is old goes: events, details, and in the end the days themselves. */
function tendBooks ({ store, nowSeconds, config, log }: UsageNeeds): void {
  forgetQuotaEvents(store, nowSeconds() - EVENTS_KEPT_SECONDS)
  const today = dayOf(nowSeconds())
  forgetUsage(store, today - config.keepDays)
  let days = 0
  // So many days at once are years behind; the rest waits for the next hour.
  while (days < MOST_DAYS_AT_ONCE && rollUpADay(store, today - config.detailDays)) days++
  if (days > 0) log.info({ days }, 'usage of old days is kept by project, relay and transport from now on')
}

function isTooMany ({ allocationsPerUser, allocations }: ProjectSettings['quotas'], crowd: { ofUser: number, ofProject: number } | null): boolean {
  return crowd !== null && ((allocationsPerUser !== null && crowd.ofUser > allocationsPerUser) || (allocations !== null && crowd.ofProject > allocations))
}

/** 80 % and 100 % of a byte quota, each once in its period; the event and its webhook are written down together. */
function tellQuotas ({ store, log, nowSeconds, settingsOf, announce }: UsageNeeds, project: string, states: readonly QuotaState[]): void {
  const settings = settingsOf(project)
  if (settings === null || settings.quotaAction === 'none') return
  const { quotaAction: action } = settings
  for (const { quota, limit, used, period } of states) {
    for (const level of [WARNING_PERCENT, 100]) {
      if (used < limit * level / 100) continue
      store.transaction(() => {
        if (!addQuotaEvent(store, project, quota, period.name, level, limit, nowSeconds())) return
        log.warn({ project, quota, limit, used, level, resetsAt: period.resetsAt }, level === 100 ? 'a quota is used up' : 'a quota nears its end')
        announce(project, level === 100 ? 'quota.exceeded' : 'quota.warning', { quota, limit, used, period: period.name, resetsAt: period.resetsAt, action })
      })
    }
  }
}
