/** The door of usage: what was relayed and issued, what may still be, and who is told when a quota nears its end. */
import { randomBytes } from 'node:crypto'
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { ProjectSettings } from '../protocol/project-settings.ts'
import type { Store } from '../store/store.ts'
import { Ledger, type Traffic } from './ledger.ts'
import { dayOf, dayText } from './periods.ts'
import { Quotas, type QuotaState } from './quotas.ts'
import { addQuotaEvent, addToOutbox, credentialsOf, forgetQuotaEvents, migrations, summarise, type Grouping, type SummaryRow } from './records.ts'
import { signatureOf, Webhooks } from './webhooks.ts'

export { migrations, signatureOf }
export type { Grouping, QuotaState }
export type UsageNeeds = {
  store: Store
  log: Log
  metrics: Pick<Metrics, 'add'>
  nowSeconds: () => number
  /** Null for a project that does not exist (any more). */
  settingsOf: (project: string) => ProjectSettings | null
  /** Null for a project that does not exist (any more). */
  webhookSecretOf: (project: string) => string | null
}
export type UsageQuery = { /** Null: all projects. */ project: string | null, /** Unix seconds; days count as a whole (UTC). */ from: number, to: number, by: Grouping, cursor: string | null, limit: number }
export type UsageGroup = { name: string, bytesFromClient: number, bytesToClient: number, packetsFromClient: number, packetsToClient: number, allocations: number, /** By project and day only. */ credentials?: number }
export type Usage = Part & {
  /** A report of the relay. */
  addTraffic (traffic: Traffic): void
  addAllocation (allocation: Pick<Traffic, 'relay' | 'project' | 'user'>): void
  /** Counts a credential that is about to be issued. Throws quota-exceeded. */
  requireAllowance (project: string): void
  /** Why an allocation must not live. `crowd`: how many of the user and of the project live, where it has just begun. */
  reasonToCut (project: string, crowd: { ofUser: number, ofProject: number } | null): 'quota' | null
  /** Its quotas may be others now. */
  settingsChanged (project: string): void
  quotas (project: string): QuotaState[]
  query (query: UsageQuery): { groups: UsageGroup[], next: string | null }
}

const TICK_MS = 250
const WARNING_PERCENT = 80
const EVENTS_KEPT_SECONDS = 90 * 86_400

export function createUsage (needs: UsageNeeds): Usage {
  const { store, log, nowSeconds, settingsOf } = needs
  const ledger = new Ledger(needs)
  const quotas = new Quotas({ ...needs, ledger })
  const webhooks = new Webhooks({ ...needs, secretOf: needs.webhookSecretOf })
  let ticking: NodeJS.Timeout | undefined
  let complained = false

  /** Whose quotas are to be looked at: what was used has changed, or what may be used. */
  const touched = new Set<string>()
  const tick = (): void => {
    for (const project of ledger.pendingProjects()) touched.add(project)
    try {
      ledger.flush()
      for (const project of touched) {
        tellQuotas(needs, project, quotas.states(project))
        touched.delete(project)
      }
      complained = false
    } catch (error) {
      if (!complained) log.error({ reason: (error as Error).message }, 'usage cannot be written down; it is kept in memory, and tried again')
      complained = true
    }
    webhooks.deliver()
  }
  return {
    name: 'usage',
    start: async () => {
      forgetQuotaEvents(store, nowSeconds() - EVENTS_KEPT_SECONDS)
      ticking = setInterval(tick, TICK_MS).unref()
    },
    stop: async () => {
      clearInterval(ticking)
      tick()
      await webhooks.stop()
    },
    addTraffic: traffic => ledger.addTraffic(traffic),
    addAllocation: allocation => ledger.addAllocation(allocation),
    requireAllowance: project => ledger.addCredential(quotas.take(project)),
    reasonToCut: (project, crowd) => {
      const limits = settingsOf(project)?.quotas
      return limits !== undefined && (isTooMany(limits, crowd) || quotas.usedUp(project) !== null) ? 'quota' : null
    },
    settingsChanged: project => { touched.add(project) },
    quotas: project => quotas.states(project),
    query: query => {
      tick()
      return runQuery(store, query)
    },
  }
}

function isTooMany ({ allocationsPerUser, allocations }: ProjectSettings['quotas'], crowd: { ofUser: number, ofProject: number } | null): boolean {
  return crowd !== null && ((allocationsPerUser !== null && crowd.ofUser > allocationsPerUser) || (allocations !== null && crowd.ofProject > allocations))
}

/** 80 % and 100 % of a byte quota, each once in its period; the event and its webhook are written down together. */
function tellQuotas ({ store, log, nowSeconds, settingsOf }: UsageNeeds, project: string, states: readonly QuotaState[]): void {
  const settings = settingsOf(project)
  if (settings === null || settings.quotaAction === 'none') return
  for (const { quota, limit, used, period } of states) {
    for (const level of [WARNING_PERCENT, 100]) {
      if (used < limit * level / 100) continue
      store.transaction(() => {
        if (!addQuotaEvent(store, project, quota, period.name, level, limit, nowSeconds())) return
        log.warn({ project, quota, limit, used, level, resetsAt: period.resetsAt }, level === 100 ? 'a quota is used up' : 'a quota nears its end')
        if (settings.webhook === null) return
        const id = `evt_${randomBytes(12).toString('base64url')}`
        const body = JSON.stringify({ id, type: level === 100 ? 'quota.exceeded' : 'quota.warning', at: nowSeconds(), project, quota, limit, used, period: period.name, resetsAt: period.resetsAt, action: settings.quotaAction })
        addToOutbox(store, { id, project, url: settings.webhook, body, created_at: nowSeconds() })
      })
    }
  }
}

function runQuery (store: Store, query: UsageQuery): ReturnType<Usage['query']> {
  const { project, from, to, by, limit } = query
  const [fromDay, toDay] = [dayOf(from), dayOf(to)]
  const rows = summarise(store, { ...query, fromDay, toDay, limit: limit + 1 })
  const credentials = new Map<string, number>()
  if (by === 'day' || by === 'project') {
    for (const row of credentialsOf(store, project, fromDay, toDay)) {
      const name = by === 'day' ? String(row.day) : row.project
      credentials.set(name, (credentials.get(name) ?? 0) + row.credentials)
      if (!rows.some(known => known.name === name)) rows.push(emptyRow(name))
    }
    rows.sort((a, b) => (by === 'day' ? Number(a.name) - Number(b.name) : a.name < b.name ? -1 : 1))
  }
  const after = rows.filter(({ name }) => query.cursor === null || (by === 'day' ? Number(name) > Number(query.cursor) : name > query.cursor))
  const shown = after.slice(0, limit)
  return { groups: shown.map(row => groupOf(row, by, credentials)), next: after.length > limit ? shown.at(-1)?.name ?? null : null }
}

function groupOf (row: SummaryRow, by: Grouping, credentials: ReadonlyMap<string, number>): UsageGroup {
  return {
    name: by === 'day' ? dayText(Number(row.name)) : row.name,
    bytesFromClient: row.bytes_from_client,
    bytesToClient: row.bytes_to_client,
    packetsFromClient: row.packets_from_client,
    packetsToClient: row.packets_to_client,
    allocations: row.allocations,
    ...(by === 'day' || by === 'project' ? { credentials: credentials.get(row.name) ?? 0 } : {}),
  }
}

function emptyRow (name: string): SummaryRow {
  return { name, bytes_from_client: 0, bytes_to_client: 0, packets_from_client: 0, packets_to_client: 0, allocations: 0 }
}
