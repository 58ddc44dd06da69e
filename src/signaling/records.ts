/** The table of sessions that wait for the next process, and nothing but its SQL. */
import type { Migration, Store } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  {
    name: 'signaling: sessions',
    sql: 'CREATE TABLE signaling_sessions (id TEXT PRIMARY KEY, saved_at INTEGER NOT NULL, state TEXT NOT NULL) STRICT',
  },
]

export function saveSession (store: Store, id: string, savedAt: number, state: string): void {
  store.run('INSERT OR REPLACE INTO signaling_sessions (id, saved_at, state) VALUES (?, ?, ?)', id, savedAt, state)
}

export function savedSessions (store: Store): { id: string, savedAt: number, state: string }[] {
  return store.all('SELECT id, saved_at AS savedAt, state FROM signaling_sessions ORDER BY id')
}

export function deleteSavedSessions (store: Store): void {
  store.run('DELETE FROM signaling_sessions')
}
