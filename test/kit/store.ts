/** The whole schema in a file of the test's own. */
import { onTestFinished } from 'vitest'
import { migrations as accessMigrations } from '../../src/access/access.ts'
import { migrations as credentialsMigrations } from '../../src/credentials/credentials.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { migrations as usageMigrations } from '../../src/usage/usage.ts'
import { migrations as signalingMigrations } from '../../src/signaling/signaling.ts'
import { migrations as webhooksMigrations } from '../../src/webhooks/webhooks.ts'
import { scratchDirectory } from './files.ts'

export const ALL_MIGRATIONS = [...accessMigrations, ...credentialsMigrations, ...usageMigrations, ...signalingMigrations, ...webhooksMigrations]
export const silentLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export function scratchStore (directory = scratchDirectory()): Store & { directory: string } {
  const store = openStore(`${directory}/turnpike.db`, ALL_MIGRATIONS)
  let closed = false
  const close = (): void => {
    if (closed) return
    closed = true
    store.close()
  }
  onTestFinished(close)
  return { ...store, close, directory }
}
