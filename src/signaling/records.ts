/** The tables of sessions that wait for the next process, of rooms that were made ahead and of leases in topics, and nothing but their SQL. */
import type { RoomKind, TopicRole } from '../protocol/frames.ts'
import type { Migration, Store } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  {
    name: 'signaling: sessions',
    sql: 'CREATE TABLE signaling_sessions (id TEXT PRIMARY KEY, saved_at INTEGER NOT NULL, state TEXT NOT NULL) STRICT',
  },
  {
    name: 'signaling: rooms made ahead, leases',
    sql: `
      CREATE TABLE signaling_rooms (project TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, capacity INTEGER NOT NULL, metadata TEXT NOT NULL, PRIMARY KEY (project, id)) STRICT;
      CREATE TABLE signaling_leases (project TEXT NOT NULL, topic TEXT NOT NULL, role TEXT NOT NULL, peer TEXT NOT NULL, metadata TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (project, topic, role, peer)) STRICT;
    `,
  },
]

export type RoomRow = { project: string, id: string, kind: RoomKind, capacity: number, /** JSON. */ metadata: string }
export type LeaseRow = { project: string, topic: string, role: TopicRole, peer: string, /** JSON. */ metadata: string, /** Unix seconds. */ until: number }

export function saveSession (store: Store, id: string, savedAt: number, state: string): void {
  store.run('INSERT OR REPLACE INTO signaling_sessions (id, saved_at, state) VALUES (?, ?, ?)', id, savedAt, state)
}

export function savedSessions (store: Store): { id: string, savedAt: number, state: string }[] {
  return store.all('SELECT id, saved_at AS savedAt, state FROM signaling_sessions ORDER BY id')
}

export function deleteSavedSession (store: Store, id: string): void {
  store.run('DELETE FROM signaling_sessions WHERE id = ?', id)
}

export function deleteSavedSessions (store: Store): void {
  store.run('DELETE FROM signaling_sessions')
}

export function putRoom (store: Store, { project, id, kind, capacity, metadata }: RoomRow): void {
  store.run('INSERT OR REPLACE INTO signaling_rooms (project, id, kind, capacity, metadata) VALUES (?, ?, ?, ?, ?)', project, id, kind, capacity, metadata)
}

export function deleteRoom (store: Store, project: string, id: string): void {
  store.run('DELETE FROM signaling_rooms WHERE project = ? AND id = ?', project, id)
}

export function madeRooms (store: Store): RoomRow[] {
  return store.all<RoomRow>('SELECT project, id, kind, capacity, metadata FROM signaling_rooms')
}

export function putLease (store: Store, { project, topic, role, peer, metadata, until }: LeaseRow): void {
  store.run('INSERT OR REPLACE INTO signaling_leases (project, topic, role, peer, metadata, until) VALUES (?, ?, ?, ?, ?, ?)', project, topic, role, peer, metadata, until)
}

export function deleteLease (store: Store, { project, topic, role, peer }: Pick<LeaseRow, 'project' | 'topic' | 'role' | 'peer'>): void {
  store.run('DELETE FROM signaling_leases WHERE project = ? AND topic = ? AND role = ? AND peer = ?', project, topic, role, peer)
}

export function deletePastLeases (store: Store, nowSeconds: number): void {
  store.run('DELETE FROM signaling_leases WHERE until <= ?', nowSeconds)
}

export function leases (store: Store): LeaseRow[] {
  return store.all<LeaseRow>('SELECT project, topic, role, peer, metadata, until FROM signaling_leases')
}

/** Nothing is left of a project: one that is made under its name later begins empty. */
export function deleteProject (store: Store, project: string): void {
  store.run('DELETE FROM signaling_rooms WHERE project = ?', project)
  store.run('DELETE FROM signaling_leases WHERE project = ?', project)
}
