/** The table of webhooks that wait and of those that were given up, and nothing but its SQL. */
import type { Migration, Store } from '../store/store.ts'

/** After those of usage, in which the first outbox was made. */
export const migrations: readonly Migration[] = [
  {
    name: 'webhooks: deliveries that wait and dead ones',
    sql: `
      CREATE TABLE webhook_deliveries (
        position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, project TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL,
        waits_since INTEGER NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, reason TEXT, given_up_at INTEGER
      ) STRICT;
      CREATE INDEX webhook_deliveries_by_project ON webhook_deliveries (project, position);
      CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (project, next_at, position) WHERE given_up_at IS NULL;
      CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (project, given_up_at, position) WHERE given_up_at IS NOT NULL;
      INSERT INTO webhook_deliveries (id, project, body, at, waits_since, attempts, next_at)
        SELECT id, project, body, created_at, created_at, attempts, created_at FROM webhook_outbox ORDER BY created_at, rowid;
      DROP TABLE webhook_outbox;
    `,
  },
]

export type DeliveryRow = {
  /** The order in which they were written down. */
  position: number
  id: string
  project: string
  body: string
  /** Unix seconds of the event. */
  at: number
  /** From when on the time is counted after which it is given up. */
  waits_since: number
  attempts: number
  /** Not before this. The row that comes next has the smallest: one that keeps its place has the time of its event. */
  next_at: number
  /** Why it was not taken the last time. */
  reason: string | null
  /** Null while it waits. */
  given_up_at: number | null
}
export type NewDelivery = Pick<DeliveryRow, 'id' | 'project' | 'body' | 'at'>

export function addDelivery (store: Store, { id, project, body, at }: NewDelivery): void {
  store.run('INSERT INTO webhook_deliveries (id, project, body, at, waits_since, attempts, next_at) VALUES (?, ?, ?, ?, ?, 0, ?)', id, project, body, at, at, at)
}

export function projectsWaiting (store: Store): string[] {
  return store.all<{ project: string }>('SELECT DISTINCT project FROM webhook_deliveries WHERE given_up_at IS NULL').map(({ project }) => project)
}

export function countWaiting (store: Store, project: string): number {
  return store.get<{ n: number }>('SELECT count(*) AS n FROM webhook_deliveries WHERE project = ? AND given_up_at IS NULL', project)?.n ?? 0
}

export function countAll (store: Store): { waiting: number, dead: number } {
  return store.get('SELECT (SELECT count(*) FROM webhook_deliveries WHERE given_up_at IS NULL) AS waiting, (SELECT count(*) FROM webhook_deliveries WHERE given_up_at IS NOT NULL) AS dead') ?? { waiting: 0, dead: 0 }
}

export function hasWaiting (store: Store, project: string): boolean {
  return store.get('SELECT 1 FROM webhook_deliveries WHERE project = ? AND given_up_at IS NULL LIMIT 1', project) !== undefined
}

export function nextDue (store: Store, project: string, nowSeconds: number): DeliveryRow | undefined {
  return store.get('SELECT * FROM webhook_deliveries WHERE project = ? AND given_up_at IS NULL AND next_at <= ? ORDER BY next_at, position LIMIT 1', project, nowSeconds)
}

export function setFailed (store: Store, id: string, { attempts, next_at: nextAt, reason }: Pick<DeliveryRow, 'attempts' | 'next_at'> & { reason: string }): void {
  store.run('UPDATE webhook_deliveries SET attempts = ?, next_at = ?, reason = ? WHERE id = ?', attempts, nextAt, reason, id)
}

/** All that wait are due now, in the order of their events. */
export function makeAllDue (store: Store, project: string): void {
  store.run('UPDATE webhook_deliveries SET next_at = at WHERE project = ? AND given_up_at IS NULL AND next_at > at', project)
}

/** Of a project's dead ones the newest stay, so many. */
export function giveUp (store: Store, { id, project, attempts, reason }: { id: string, project: string, attempts: number, reason: string }, nowSeconds: number, mostDead: number): void {
  store.transaction(() => {
    store.run('UPDATE webhook_deliveries SET attempts = ?, reason = ?, given_up_at = ? WHERE id = ?', attempts, reason, nowSeconds, id)
    store.run('DELETE FROM webhook_deliveries WHERE position IN (SELECT position FROM webhook_deliveries WHERE project = ? AND given_up_at IS NOT NULL ORDER BY given_up_at DESC, position DESC LIMIT -1 OFFSET ?)', project, mostDead)
  })
}

export function deleteDelivery (store: Store, id: string): void {
  store.run('DELETE FROM webhook_deliveries WHERE id = ?', id)
}

export function forgetDeliveries (store: Store, project: string): void {
  store.run('DELETE FROM webhook_deliveries WHERE project = ?', project)
}

export function forgetDead (store: Store, before: number): void {
  store.run('DELETE FROM webhook_deliveries WHERE given_up_at < ?', before)
}

/** In the order in which they were written down, from after `cursor` on. */
export function listDeliveries (store: Store, project: string, { state, cursor, limit }: { state: 'waiting' | 'dead' | null, cursor: number, limit: number }): DeliveryRow[] {
  const isDead = state === null ? null : Number(state === 'dead')
  return store.all('SELECT * FROM webhook_deliveries WHERE project = ? AND position > ? AND (? IS NULL OR (given_up_at IS NOT NULL) = ?) ORDER BY position LIMIT ?', project, cursor, isDead, isDead, limit)
}

/** As if it had just been announced, but in its old place. Returns it, or undefined where the project has none of this id. */
export function replay (store: Store, project: string, id: string, nowSeconds: number): DeliveryRow | undefined {
  return store.get('UPDATE webhook_deliveries SET given_up_at = NULL, attempts = 0, waits_since = ?, next_at = min(at, ?) WHERE project = ? AND id = ? RETURNING *', nowSeconds, nowSeconds, project, id)
}

/** The same for all dead ones of a project. Returns how many. */
export function replayDead (store: Store, project: string, nowSeconds: number): number {
  return store.all('UPDATE webhook_deliveries SET given_up_at = NULL, attempts = 0, waits_since = ?, next_at = min(at, ?) WHERE project = ? AND given_up_at IS NOT NULL RETURNING 1', nowSeconds, nowSeconds, project).length
}
