/** The tables of projects, keys, signing keys, revoked tokens and the audit log, and nothing but their SQL. */
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
  {
    name: 'access: settings, scopes, revoked tokens, audit',
    sql: `
      ALTER TABLE projects ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
      ALTER TABLE projects ADD COLUMN webhook_secret TEXT NOT NULL DEFAULT '';
      ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
      ALTER TABLE api_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'secret';
      ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
      ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
      ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER;
      CREATE INDEX api_keys_by_project ON api_keys (project, created_at);
      CREATE TABLE revoked_tokens (id TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;
      CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL, project TEXT, target TEXT NOT NULL, detail TEXT NOT NULL, request TEXT NOT NULL) STRICT;
      CREATE INDEX audit_by_project ON audit (project, id);
      CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is only added to'); END;
      CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is only added to'); END;
    `,
  },
]

export type ProjectRow = { id: string, created_at: number, settings: string, webhook_secret: string }
export type ApiKeyRow = { id: string, project: string, digest: Uint8Array, created_at: number, name: string, kind: string, /** Separated by spaces; empty: all. */ scopes: string, expires_at: number | null, last_used_at: number | null }
export type SigningKeyRow = { id: string, secret: string }
export type AuditRow = { id: number, at: number, actor: string, address: string, action: string, project: string | null, target: string, detail: string, request: string }

export function addProject (store: Store, { id, created_at: createdAt, settings, webhook_secret: webhookSecret }: ProjectRow): void {
  store.run('INSERT INTO projects (id, created_at, settings, webhook_secret) VALUES (?, ?, ?, ?)', id, createdAt, settings, webhookSecret)
}

export function listProjects (store: Store): ProjectRow[] {
  return store.all<ProjectRow>('SELECT id, created_at, settings, webhook_secret FROM projects ORDER BY id')
}

export function setProjectSettings (store: Store, id: string, settings: string): void {
  store.run('UPDATE projects SET settings = ? WHERE id = ?', settings, id)
}

export function setWebhookSecret (store: Store, id: string, secret: string): void {
  store.run('UPDATE projects SET webhook_secret = ? WHERE id = ?', secret, id)
}

export function deleteProject (store: Store, id: string): void {
  store.run('DELETE FROM api_keys WHERE project = ?', id)
  store.run('DELETE FROM projects WHERE id = ?', id)
}

export function addApiKey (store: Store, row: ApiKeyRow): void {
  store.run(
    'INSERT INTO api_keys (id, project, digest, created_at, name, kind, scopes, expires_at, last_used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)',
    row.id, row.project, row.digest, row.created_at, row.name, row.kind, row.scopes, row.expires_at
  )
}

export function findApiKey (store: Store, id: string): ApiKeyRow | undefined {
  return store.get<ApiKeyRow>('SELECT * FROM api_keys WHERE id = ?', id)
}

/** In the order in which they were made, from after `cursor` on. */
export function listApiKeys (store: Store, project: string, cursor: number, limit: number): (ApiKeyRow & { rowid: number })[] {
  return store.all('SELECT rowid, * FROM api_keys WHERE project = ? AND rowid > ? ORDER BY rowid LIMIT ?', project, cursor, limit)
}

export function hasApiKey (store: Store, project: string): boolean {
  return store.get('SELECT 1 FROM api_keys WHERE project = ? LIMIT 1', project) !== undefined
}

export function setApiKeyExpiry (store: Store, id: string, expiresAt: number): void {
  store.run('UPDATE api_keys SET expires_at = ? WHERE id = ?', expiresAt, id)
}

export function setApiKeyUse (store: Store, id: string, usedAt: number): void {
  store.run('UPDATE api_keys SET last_used_at = ? WHERE id = ?', usedAt, id)
}

export function deleteApiKey (store: Store, id: string): void {
  store.run('DELETE FROM api_keys WHERE id = ?', id)
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

/** Newest first: tokens are signed with the first and checked with either. */
export function signingKeys (store: Store): SigningKeyRow[] {
  return store.all<SigningKeyRow>('SELECT id, secret FROM signing_keys ORDER BY rowid DESC LIMIT 2')
}

/** Only the two newest are of use. */
export function forgetOldSigningKeys (store: Store): void {
  store.run('DELETE FROM signing_keys WHERE rowid NOT IN (SELECT rowid FROM signing_keys ORDER BY rowid DESC LIMIT 2)')
}

export function addRevokedToken (store: Store, id: string, until: number): void {
  store.run('INSERT INTO revoked_tokens (id, until) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until', id, until)
}

export function forgetPastTokens (store: Store, nowSeconds: number): void {
  store.run('DELETE FROM revoked_tokens WHERE until < ?', nowSeconds)
}

export function revokedTokens (store: Store): { id: string, until: number }[] {
  return store.all('SELECT id, until FROM revoked_tokens ORDER BY until')
}

export function addAudit (store: Store, row: Omit<AuditRow, 'id'>): void {
  store.run('INSERT INTO audit (at, actor, address, action, project, target, detail, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?)', row.at, row.actor, row.address, row.action, row.project, row.target, row.detail, row.request)
}

/** Newest first, from before `cursor` on; of one project where one is named. */
export function listAudit (store: Store, project: string | null, cursor: number, limit: number): AuditRow[] {
  if (project === null) return store.all('SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?', cursor, limit)
  return store.all('SELECT * FROM audit WHERE project = ? AND id < ? ORDER BY id DESC LIMIT ?', project, cursor, limit)
}
