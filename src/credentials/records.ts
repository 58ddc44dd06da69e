/** The table of shared secrets, and nothing but its SQL. */
import type { Migration, Store } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  { name: 'credentials: secrets', sql: 'CREATE TABLE turn_secrets (id INTEGER PRIMARY KEY, secret TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL) STRICT' },
]

/** The newest secret, or undefined before the first start. */
export function newestSecret (store: Store): string | undefined {
  return store.get<{ secret: string }>('SELECT secret FROM turn_secrets ORDER BY id DESC LIMIT 1')?.secret
}

export function addSecret (store: Store, secret: string, nowSeconds: number): void {
  store.run('INSERT INTO turn_secrets (secret, created_at) VALUES (?, ?)', secret, nowSeconds)
}
