import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { createAccess, type AuditEntry } from '../../../src/access/access.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

const ENTRY: AuditEntry = { actor: 'a', address: '', action: 'b', project: null, target: 'c', detail: {}, request: 'd' }

test('a change whose audit entry cannot be written is not made, and is not remembered either', () => {
  const store = scratchStore()
  const access = createAccess({ store, metrics: createMetrics(), config: loadConfig({ env: {}, readFile: () => '' }).config, log: silentLog, nowSeconds: () => 1000 })
  const { key, text } = access.keys.make('default', {})
  expect(access.callerOf(text)).toMatchObject({ keyId: key.id })
  const other = new DatabaseSync(`${store.directory}/turnpike.db`)
  other.exec('ALTER TABLE audit RENAME TO audit_is_away')
  other.close()
  const change = (work: () => void): void => { access.change(() => ENTRY, work) }
  expect(() => change(() => { access.projects.update('default', { expiry: 'hard' }) })).toThrow('audit')
  expect(() => change(() => { access.projects.create('shop', {}) })).toThrow('audit')
  expect(() => change(() => { access.keys.revoke('default', key.id) })).toThrow('audit')
  expect(() => change(() => { access.revokeRoomToken(null, 'token') })).toThrow('audit')
  expect([access.projects.require('default').settings.expiry, access.projects.get('shop'), access.callerOf(text).kind]).toEqual(['soft', undefined, 'project'])
  const back = new DatabaseSync(`${store.directory}/turnpike.db`)
  back.exec('ALTER TABLE audit_is_away RENAME TO audit')
  back.close()
  change(() => { access.projects.update('default', { expiry: 'hard' }) })
  expect(access.projects.require('default').settings.expiry).toBe('hard')
  expect(access.audit.list(null, null, 10).entries).toHaveLength(1)
})

test('a token that a project revokes is its own: another\'s with the same id goes on', () => {
  const store = scratchStore()
  const clock = { now: 1000 }
  const access = createAccess({ store, metrics: createMetrics(), config: loadConfig({ env: {}, readFile: () => '' }).config, log: silentLog, nowSeconds: () => clock.now })
  onTestFinished(async () => { await access.stop(0) })
  const { token, tokenId } = access.issueRoomToken('default', { room: 'r', peer: 'a' }, null)
  access.revokeRoomToken('call', tokenId)
  expect(access.checkRoomToken(token).peer).toBe('a')
  access.revokeRoomToken('default', tokenId)
  expect(() => access.checkRoomToken(token)).toThrow(expect.objectContaining({ code: 'token-invalid' }))
})

test('one project cannot use up the room for revoked tokens, and an admin always has some; what has expired is forgotten', () => {
  const clock = { now: 1000 }
  const access = createAccess({ store: scratchStore(), metrics: createMetrics(), config: loadConfig({ env: {}, readFile: () => '' }).config, log: silentLog, nowSeconds: () => clock.now })
  access.change(() => ENTRY, () => { for (let i = 0; i < 10_000; i++) access.revokeRoomToken('call', `t${i}`) })
  expect(() => access.revokeRoomToken('call', 'one-more')).toThrow(expect.objectContaining({ code: 'quota-exceeded' }))
  access.revokeRoomToken('default', 'mine')
  access.revokeRoomToken(null, 'anybodys')
}, 30_000)

test('metadata that is nested without bound is refused by its name', () => {
  const access = createAccess({ store: scratchStore(), metrics: createMetrics(), config: loadConfig({ env: {}, readFile: () => '' }).config, log: silentLog, nowSeconds: () => 1000 })
  const deep = JSON.parse(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`) as Record<string, never>
  expect(() => access.issueRoomToken('default', { room: 'r', peer: 'a', metadata: deep }, null)).toThrow(expect.objectContaining({ code: 'invalid-request', fields: [{ field: 'metadata', message: 'must not be nested deeper than 32' }] }))
})
