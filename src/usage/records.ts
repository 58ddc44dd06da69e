/** The tables of the ledger and of quota events, and nothing but their SQL. The first outbox of webhooks was made here too; `webhooks` owns what became of it. */
import type { Migration, Store } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  {
    name: 'usage: ledger, quota events, outbox',
    sql: `
      CREATE TABLE usage_of_users (
        project TEXT NOT NULL, day INTEGER NOT NULL, user TEXT NOT NULL, relay TEXT NOT NULL,
        bytes_from_client INTEGER NOT NULL, bytes_to_client INTEGER NOT NULL, packets_from_client INTEGER NOT NULL, packets_to_client INTEGER NOT NULL, allocations INTEGER NOT NULL,
        PRIMARY KEY (project, day, user, relay)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE usage_of_projects (
        project TEXT NOT NULL, day INTEGER NOT NULL,
        bytes INTEGER NOT NULL, credentials INTEGER NOT NULL,
        PRIMARY KEY (project, day)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE quota_events (project TEXT NOT NULL, quota TEXT NOT NULL, period TEXT NOT NULL, level INTEGER NOT NULL, amount INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (project, quota, period, level, amount)) STRICT, WITHOUT ROWID;
      CREATE TABLE webhook_outbox (id TEXT PRIMARY KEY, project TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL, created_at INTEGER NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER NOT NULL) STRICT;
    `,
  },
  {
    name: 'usage: by room and transport; allocations that live',
    sql: `
      CREATE TABLE usage_by_day (
        project TEXT NOT NULL, day INTEGER NOT NULL, user TEXT NOT NULL, room TEXT NOT NULL, relay TEXT NOT NULL, transport TEXT NOT NULL,
        bytes_from_client INTEGER NOT NULL, bytes_to_client INTEGER NOT NULL, packets_from_client INTEGER NOT NULL, packets_to_client INTEGER NOT NULL, allocations INTEGER NOT NULL,
        PRIMARY KEY (project, day, user, room, relay, transport)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO usage_by_day SELECT project, day, user, '', relay, '', bytes_from_client, bytes_to_client, packets_from_client, packets_to_client, allocations FROM usage_of_users;
      DROP TABLE usage_of_users;
      CREATE INDEX usage_by_day_day ON usage_by_day (day);
      CREATE TABLE live_allocations (
        coturn TEXT NOT NULL, session TEXT NOT NULL, username TEXT NOT NULL, transport TEXT NOT NULL,
        counted_received_packets INTEGER NOT NULL, counted_received_bytes INTEGER NOT NULL, counted_sent_packets INTEGER NOT NULL, counted_sent_bytes INTEGER NOT NULL,
        told_received_packets INTEGER NOT NULL, told_received_bytes INTEGER NOT NULL, told_sent_packets INTEGER NOT NULL, told_sent_bytes INTEGER NOT NULL,
        PRIMARY KEY (coturn, session)
      ) STRICT, WITHOUT ROWID;
    `,
  },
]

export type UsageRow = { project: string, /** Days since 1970-01-01, UTC. */ day: number, user: string, room: string, relay: string, transport: string, bytes_from_client: number, bytes_to_client: number, packets_from_client: number, packets_to_client: number, allocations: number }
export type ProjectDayRow = { project: string, day: number, bytes: number, credentials: number }
/** What usage can be added up by: the columns that tell rows apart. */
export const GROUPINGS = ['day', 'user', 'room', 'relay', 'transport', 'project'] as const
export type Grouping = typeof GROUPINGS[number]
export type SummaryRow = Partial<Record<Grouping, string | number>> & Omit<UsageRow, Grouping>

export function addUsage (store: Store, row: UsageRow): void {
  store.run(
    `INSERT INTO usage_by_day (project, day, user, room, relay, transport, bytes_from_client, bytes_to_client, packets_from_client, packets_to_client, allocations) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET bytes_from_client = bytes_from_client + excluded.bytes_from_client, bytes_to_client = bytes_to_client + excluded.bytes_to_client,
       packets_from_client = packets_from_client + excluded.packets_from_client, packets_to_client = packets_to_client + excluded.packets_to_client, allocations = allocations + excluded.allocations`,
    row.project, row.day, row.user, row.room, row.relay, row.transport, row.bytes_from_client, row.bytes_to_client, row.packets_from_client, row.packets_to_client, row.allocations
  )
}

export function addProjectDay (store: Store, { project, day, bytes, credentials }: ProjectDayRow): void {
  store.run('INSERT INTO usage_of_projects (project, day, bytes, credentials) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, credentials = credentials + excluded.credentials', project, day, bytes, credentials)
}

/** Bytes of a project from one day to another, both included. */
export function bytesOf (store: Store, project: string, fromDay: number, toDay: number): number {
  return store.get<{ bytes: number }>('SELECT coalesce(sum(bytes), 0) AS bytes FROM usage_of_projects WHERE project = ? AND day BETWEEN ? AND ?', project, fromDay, toDay)?.bytes ?? 0
}

export function credentialsOf (store: Store, project: string | null, fromDay: number, toDay: number): { project: string, day: number, credentials: number }[] {
  if (project === null) return store.all('SELECT project, day, credentials FROM usage_of_projects WHERE day BETWEEN ? AND ? AND credentials > 0', fromDay, toDay)
  return store.all('SELECT project, day, credentials FROM usage_of_projects WHERE project = ? AND day BETWEEN ? AND ? AND credentials > 0', project, fromDay, toDay)
}

/** Sums by what `by` names, in its order, from after `cursor` (a value for each of them) on. */
export function summarise (store: Store, { project, fromDay, toDay, by, cursor, limit }: { project: string | null, fromDay: number, toDay: number, by: readonly Grouping[], cursor: readonly (string | number)[] | null, limit: number }): SummaryRow[] {
  // Not what anybody typed: names out of GROUPINGS alone.
  const columns = GROUPINGS.filter(name => by.includes(name)).sort((a, b) => by.indexOf(a) - by.indexOf(b)).join(', ')
  const after = cursor === null ? '' : `AND (${columns}) > (${cursor.map(() => '?').join(', ')})`
  return store.all<SummaryRow>(
    `SELECT ${columns}, sum(bytes_from_client) AS bytes_from_client, sum(bytes_to_client) AS bytes_to_client,
       sum(packets_from_client) AS packets_from_client, sum(packets_to_client) AS packets_to_client, sum(allocations) AS allocations
     FROM usage_by_day WHERE (? IS NULL OR project = ?) AND day BETWEEN ? AND ? ${after} GROUP BY ${columns} ORDER BY ${columns} LIMIT ?`,
    project, project, fromDay, toDay, ...cursor ?? [], limit
  )
}

/** Adds up the details of one old day by project, relay and transport. Returns whether there was such a day. */
export function rollUpADay (store: Store, beforeDay: number): boolean {
  const day = store.get<{ day: number }>("SELECT day FROM usage_by_day WHERE day < ? AND (user <> '' OR room <> '') LIMIT 1", beforeDay)?.day
  if (day === undefined) return false
  store.transaction(() => {
    const sums = store.all<UsageRow>(
      `SELECT project, day, '' AS user, '' AS room, relay, transport, sum(bytes_from_client) AS bytes_from_client, sum(bytes_to_client) AS bytes_to_client,
         sum(packets_from_client) AS packets_from_client, sum(packets_to_client) AS packets_to_client, sum(allocations) AS allocations
       FROM usage_by_day WHERE day = ? GROUP BY project, relay, transport`, day
    )
    store.run('DELETE FROM usage_by_day WHERE day = ?', day)
    for (const row of sums) addUsage(store, row)
  })
  return true
}

export function forgetUsage (store: Store, beforeDay: number): void {
  store.run('DELETE FROM usage_by_day WHERE day < ?', beforeDay)
  store.run('DELETE FROM usage_of_projects WHERE day < ?', beforeDay)
}

/** Returns whether it is new: each is told once in its period, and again where the quota was changed. */
export function addQuotaEvent (store: Store, project: string, quota: string, period: string, level: number, amount: number, nowSeconds: number): boolean {
  return store.get('INSERT INTO quota_events (project, quota, period, level, amount, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1', project, quota, period, level, amount, nowSeconds) !== undefined
}

export function forgetQuotaEvents (store: Store, before: number): void {
  store.run('DELETE FROM quota_events WHERE at < ?', before)
}

export type LiveRow = {
  coturn: string
  session: string
  username: string
  transport: 'udp' | 'tcp' | 'tls' | 'dtls'
  counted_received_packets: number
  counted_received_bytes: number
  counted_sent_packets: number
  counted_sent_bytes: number
  told_received_packets: number
  told_received_bytes: number
  told_sent_packets: number
  told_sent_bytes: number
}

export function saveLive (store: Store, row: LiveRow): void {
  store.run(
    'INSERT OR REPLACE INTO live_allocations (coturn, session, username, transport, counted_received_packets, counted_received_bytes, counted_sent_packets, counted_sent_bytes, told_received_packets, told_received_bytes, told_sent_packets, told_sent_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    row.coturn, row.session, row.username, row.transport, row.counted_received_packets, row.counted_received_bytes, row.counted_sent_packets, row.counted_sent_bytes, row.told_received_packets, row.told_received_bytes, row.told_sent_packets, row.told_sent_bytes
  )
}

export function deleteLive (store: Store, coturn: string, session: string): void {
  store.run('DELETE FROM live_allocations WHERE coturn = ? AND session = ?', coturn, session)
}

export function deleteLiveOf (store: Store, coturn: string): void {
  store.run('DELETE FROM live_allocations WHERE coturn = ?', coturn)
}

export function liveOf (store: Store, coturn: string): LiveRow[] {
  return store.all<LiveRow>('SELECT * FROM live_allocations WHERE coturn = ?', coturn)
}
