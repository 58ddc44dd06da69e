/** The tables of shared secrets, integrations and revocations, and nothing but their SQL. */
import type { Migration, Store } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  { name: 'credentials: secrets', sql: 'CREATE TABLE turn_secrets (id INTEGER PRIMARY KEY, secret TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL) STRICT' },
  {
    name: 'credentials: rotation, integrations, revocations',
    sql: `
      ALTER TABLE turn_secrets ADD COLUMN integration TEXT;
      ALTER TABLE turn_secrets ADD COLUMN state TEXT NOT NULL DEFAULT 'current';
      ALTER TABLE turn_secrets ADD COLUMN retire_at INTEGER;
      CREATE TABLE revocations (kind TEXT NOT NULL, project TEXT NOT NULL, subject TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (kind, project, subject)) STRICT;
    `,
  },
  { name: 'credentials: longest lifetimes', sql: 'CREATE TABLE ttl_bounds (seconds INTEGER PRIMARY KEY, last_at INTEGER NOT NULL) STRICT' },
]

export type TtlBoundRow = { seconds: number, last_at: number }
/** `pending`: made, and not yet proved to be accepted. `old`: accepted until `retire_at`, and nothing is signed with it any more. */
export type SecretState = 'pending' | 'current' | 'old'
export type SecretRow = { id: number, secret: string, created_at: number, /** Its name, where others sign with it; null for our own. */ integration: string | null, state: SecretState, retire_at: number | null }
/** `peer`: what a peer was issued for a room until it was sent out of it. */
export type RevocationKind = 'user' | 'credential' | 'key' | 'project' | 'peer'
export type RevocationRow = { kind: RevocationKind, project: string, subject: string, since: number, until: number }

/** Newest first. */
export function listSecrets (store: Store): SecretRow[] {
  return store.all<SecretRow>('SELECT id, secret, created_at, integration, state, retire_at FROM turn_secrets ORDER BY id DESC')
}

export function addSecret (store: Store, secret: string, nowSeconds: number, state: SecretState, integration: string | null): void {
  store.run('INSERT INTO turn_secrets (secret, created_at, state, integration) VALUES (?, ?, ?, ?)', secret, nowSeconds, state, integration)
}

export function setSecretState (store: Store, id: number, state: SecretState, retireAt: number | null): void {
  store.run('UPDATE turn_secrets SET state = ?, retire_at = ? WHERE id = ?', state, retireAt, id)
}

export function deleteSecret (store: Store, id: number): void {
  store.run('DELETE FROM turn_secrets WHERE id = ?', id)
}

export function putRevocation (store: Store, { kind, project, subject, since, until }: RevocationRow): void {
  store.run('INSERT INTO revocations (kind, project, subject, since, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, project, subject) DO UPDATE SET since = excluded.since, until = max(until, excluded.until)', kind, project, subject, since, until)
}

export function deleteRevocation (store: Store, kind: RevocationKind, project: string, subject: string): void {
  store.run('DELETE FROM revocations WHERE kind = ? AND project = ? AND subject = ?', kind, project, subject)
}

export function deletePastRevocations (store: Store, nowSeconds: number): void {
  store.run('DELETE FROM revocations WHERE until < ?', nowSeconds)
}

export function listRevocations (store: Store): RevocationRow[] {
  return store.all<RevocationRow>('SELECT kind, project, subject, since, until FROM revocations')
}

export function ttlBounds (store: Store): TtlBoundRow[] {
  return store.all<TtlBoundRow>('SELECT seconds, last_at FROM ttl_bounds')
}

export function noteTtlBound (store: Store, seconds: number, nowSeconds: number): void {
  store.run('INSERT INTO ttl_bounds (seconds, last_at) VALUES (?, ?) ON CONFLICT (seconds) DO UPDATE SET last_at = max(last_at, excluded.last_at)', seconds, nowSeconds)
}
