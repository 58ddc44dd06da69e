/** The tables of projects, keys and signing keys, and nothing but their SQL. */
import type { Migration, Store } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  {
    name: 'access: projects and keys',
    sql: `
      CREATE TABLE projects (id TEXT PRIMARY KEY, created_at INTEGER NOT NULL) STRICT;
      CREATE TABLE api_keys (id TEXT PRIMARY KEY, project TEXT NOT NULL REFERENCES projects (id), digest BLOB NOT NULL, created_at INTEGER NOT NULL) STRICT;
      CREATE TABLE admin_keys (digest BLOB PRIMARY KEY, created_at INTEGER NOT NULL) STRICT;
      CREATE TABLE signing_keys (id TEXT PRIMARY KEY, secret TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT;
    `,
  },
]

export type ApiKeyRow = { id: string, project: string, digest: Uint8Array }
export type SigningKeyRow = { id: string, secret: string }

export function addProject (store: Store, id: string, nowSeconds: number): void {
  store.run('INSERT INTO projects (id, created_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING', id, nowSeconds)
}

export function addApiKey (store: Store, { id, project, digest }: ApiKeyRow, nowSeconds: number): void {
  store.run('INSERT INTO api_keys (id, project, digest, created_at) VALUES (?, ?, ?, ?)', id, project, digest, nowSeconds)
}

export function findApiKey (store: Store, id: string): ApiKeyRow | undefined {
  return store.get<ApiKeyRow>('SELECT id, project, digest FROM api_keys WHERE id = ?', id)
}

export function hasApiKey (store: Store, project: string): boolean {
  return store.get('SELECT 1 FROM api_keys WHERE project = ? LIMIT 1', project) !== undefined
}

export function addAdminKey (store: Store, digest: Uint8Array, nowSeconds: number): void {
  store.run('INSERT INTO admin_keys (digest, created_at) VALUES (?, ?)', digest, nowSeconds)
}

export function adminDigests (store: Store): Uint8Array[] {
  return store.all<{ digest: Uint8Array }>('SELECT digest FROM admin_keys').map(({ digest }) => digest)
}

export function addSigningKey (store: Store, { id, secret }: SigningKeyRow, nowSeconds: number): void {
  store.run('INSERT INTO signing_keys (id, secret, created_at) VALUES (?, ?, ?)', id, secret, nowSeconds)
}

/** Newest first: tokens are signed with the first and checked with any. */
export function signingKeys (store: Store): SigningKeyRow[] {
  return store.all<SigningKeyRow>('SELECT id, secret FROM signing_keys ORDER BY rowid DESC LIMIT 2')
}
