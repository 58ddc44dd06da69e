/** What was relayed and issued, added up by what is asked for, page by page. */
import type { Store } from '../store/store.ts'
import { dayOf, dayText } from './periods.ts'
import { credentialsOf, summarise, type Grouping, type SummaryRow } from './records.ts'

/** `cursor`: of the last row of the page before, a value for each of `by`. */
export type UsageQuery = { /** Null: all projects. */ project: string | null, /** Unix seconds; days count as a whole (UTC). */ from: number, to: number, by: readonly Grouping[], cursor: readonly (string | number)[] | null, limit: number }
export type UsageGroup = Partial<Record<Grouping, string>> & {
  /** The values of what it is by, with a slash between them. */
  name: string
  bytesFromClient: number
  bytesToClient: number
  packetsFromClient: number
  packetsToClient: number
  allocations: number
  /** By project or day only. */
  credentials?: number
}

export function runQuery (store: Store, query: UsageQuery): { groups: UsageGroup[], next: (string | number)[] | null } {
  const { from, to, by, limit } = query
  const range = { fromDay: dayOf(from), toDay: dayOf(to) }
  const rows = summarise(store, { ...query, ...range, limit: limit + 1 })
  const [only = 'day'] = by
  const credentials = by.length === 1 && (only === 'day' || only === 'project') ? credentialsBy(store, query, range, only) : null
  if (credentials !== null) addMissing(rows, [...credentials.keys()], only)
  const after = rows.filter(row => query.cursor === null || credentials === null || isAfter(row[only], query.cursor[0]))
  const shown = after.slice(0, limit)
  const last = shown.at(-1)
  return {
    groups: shown.map(row => groupOf(row, by, credentials)),
    next: after.length > limit && last !== undefined ? by.map(name => last[name] ?? '') : null,
  }
}

function credentialsBy (store: Store, { project }: UsageQuery, { fromDay, toDay }: { fromDay: number, toDay: number }, by: 'day' | 'project'): Map<string | number, number> {
  const sums = new Map<string | number, number>()
  for (const row of credentialsOf(store, project, fromDay, toDay)) sums.set(row[by], (sums.get(row[by]) ?? 0) + row.credentials)
  return sums
}

/** Days and projects in which credentials were issued and nothing was relayed. */
function addMissing (rows: SummaryRow[], names: readonly (string | number)[], by: Grouping): void {
  for (const name of names) if (!rows.some(row => row[by] === name)) rows.push({ [by]: name, bytes_from_client: 0, bytes_to_client: 0, packets_from_client: 0, packets_to_client: 0, allocations: 0 })
  rows.sort((a, b) => (isAfter(a[by], b[by]) ? 1 : -1))
}

function isAfter (a: string | number | undefined, b: string | number | undefined): boolean {
  return typeof a === 'number' ? a > Number(b) : String(a) > String(b)
}

function groupOf (row: SummaryRow, by: readonly Grouping[], credentials: ReadonlyMap<string | number, number> | null): UsageGroup {
  const values = by.map(name => [name, name === 'day' ? dayText(Number(row.day)) : String(row[name])] as const)
  const [only = 'day'] = by
  return {
    ...Object.fromEntries(values),
    name: values.map(([, value]) => value).join('/'),
    bytesFromClient: row.bytes_from_client,
    bytesToClient: row.bytes_to_client,
    packetsFromClient: row.packets_from_client,
    packetsToClient: row.packets_to_client,
    allocations: row.allocations,
    ...(credentials === null ? {} : { credentials: credentials.get(row[only] ?? '') ?? 0 }),
  }
}
