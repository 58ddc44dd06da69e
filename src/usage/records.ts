/** The tables of the ledger, of quota events and of webhooks that wait, and nothing but their SQL. */
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
]

export type UsageRow = { project: string, /** Days since 1970-01-01, UTC. */ day: number, user: string, relay: string, bytes_from_client: number, bytes_to_client: number, packets_from_client: number, packets_to_client: number, allocations: number }
export type ProjectDayRow = { project: string, day: number, bytes: number, credentials: number }
export type OutboxRow = { id: string, project: string, url: string, body: string, created_at: number, attempts: number, next_at: number }
export type Grouping = 'day' | 'user' | 'relay' | 'project'
export type SummaryRow = { name: string, bytes_from_client: number, bytes_to_client: number, packets_from_client: number, packets_to_client: number, allocations: number }

export function addUsage (store: Store, row: UsageRow): void {
  store.run(
    `INSERT INTO usage_of_users (project, day, user, relay, bytes_from_client, bytes_to_client, packets_from_client, packets_to_client, allocations) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET bytes_from_client = bytes_from_client + excluded.bytes_from_client, bytes_to_client = bytes_to_client + excluded.bytes_to_client,
       packets_from_client = packets_from_client + excluded.packets_from_client, packets_to_client = packets_to_client + excluded.packets_to_client, allocations = allocations + excluded.allocations`,
    row.project, row.day, row.user, row.relay, row.bytes_from_client, row.bytes_to_client, row.packets_from_client, row.packets_to_client, row.allocations
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

const COLUMN: Readonly<Record<Grouping, string>> = { day: 'day', user: 'user', relay: 'relay', project: 'project' }

/** Sums by what `by` names, in its order, from after `cursor` on. */
export function summarise (store: Store, { project, fromDay, toDay, by, cursor, limit }: { project: string | null, fromDay: number, toDay: number, by: Grouping, cursor: string | null, limit: number }): SummaryRow[] {
  const column = COLUMN[by]
  const isNumber = by === 'day'
  return store.all<SummaryRow>(
    `SELECT CAST(${column} AS TEXT) AS name, sum(bytes_from_client) AS bytes_from_client, sum(bytes_to_client) AS bytes_to_client,
       sum(packets_from_client) AS packets_from_client, sum(packets_to_client) AS packets_to_client, sum(allocations) AS allocations
     FROM usage_of_users WHERE (?1 IS NULL OR project = ?1) AND day BETWEEN ?2 AND ?3 AND (?4 IS NULL OR ${column} > ?4) GROUP BY ${column} ORDER BY ${column} LIMIT ?5`,
    project, fromDay, toDay, cursor !== null && isNumber ? Number(cursor) : cursor, limit
  )
}

/** Returns whether it is new: each is told once in its period, and again where the quota was changed. */
export function addQuotaEvent (store: Store, project: string, quota: string, period: string, level: number, amount: number, nowSeconds: number): boolean {
  return store.get('INSERT INTO quota_events (project, quota, period, level, amount, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1', project, quota, period, level, amount, nowSeconds) !== undefined
}

export function forgetQuotaEvents (store: Store, before: number): void {
  store.run('DELETE FROM quota_events WHERE at < ?', before)
}

export function addToOutbox (store: Store, { id, project, url, body, created_at: createdAt }: Pick<OutboxRow, 'id' | 'project' | 'url' | 'body' | 'created_at'>): void {
  store.run('INSERT INTO webhook_outbox (id, project, url, body, created_at, attempts, next_at) VALUES (?, ?, ?, ?, ?, 0, ?)', id, project, url, body, createdAt, createdAt)
}

export function dueInOutbox (store: Store, nowSeconds: number, limit: number): OutboxRow[] {
  return store.all<OutboxRow>('SELECT id, project, url, body, created_at, attempts, next_at FROM webhook_outbox WHERE next_at <= ? ORDER BY next_at LIMIT ?', nowSeconds, limit)
}

export function setNextAttempt (store: Store, id: string, attempts: number, nextAt: number): void {
  store.run('UPDATE webhook_outbox SET attempts = ?, next_at = ? WHERE id = ?', attempts, nextAt, id)
}

export function deleteFromOutbox (store: Store, id: string): void {
  store.run('DELETE FROM webhook_outbox WHERE id = ?', id)
}
