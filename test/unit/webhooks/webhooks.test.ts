import { expect, test } from 'vitest'
import { migrations as accessMigrations } from '../../../src/access/access.ts'
import { migrations as credentialsMigrations } from '../../../src/credentials/credentials.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { applyPatch } from '../../../src/protocol/project-settings.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { migrations as usageMigrations } from '../../../src/usage/usage.ts'
import { pauseSeconds } from '../../../src/webhooks/lane.ts'
import { addDelivery, forgetDead, giveUp } from '../../../src/webhooks/records.ts'
import { createWebhooks, signatureOf, type Webhooks, type WebhooksNeeds } from '../../../src/webhooks/webhooks.ts'
import { scratchDirectory } from '../../kit/files.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

const NOW = 1_800_000_000
const webhooksOver = (store: Store, more: Partial<WebhooksNeeds> = {}): Webhooks => createWebhooks({ store, log: silentLog, metrics: createMetrics(), nowSeconds: () => NOW, settingsOf: () => applyPatch({}, { webhook: 'http://127.0.0.1:9/hook' }).settings, secretOf: () => 'whsec_x', ...more })
const all = { state: null, cursor: null, limit: 1000 }
const joined = (peer: string) => ({ room: 'lobby', peer, role: null, session: 's' })

test('pauses double from a second to an hour, and are up to a fifth shorter', () => {
  expect([1, 2, 3, 4, 5, 12, 13, 50].map(attempts => pauseSeconds(attempts, 0))).toEqual([1, 2, 4, 8, 16, 2048, 3600, 3600])
  expect([1, 2, 3, 4, 5, 12, 13, 50].map(attempts => pauseSeconds(attempts, 1))).toEqual([1, 2, 3, 6, 13, 1638, 2880, 2880])
})

test('a signature is HMAC-SHA-256 over time and body: a vector that OpenSSL made', () => {
  // printf '1800000000.{"id":"evt_a"}' | openssl dgst -sha256 -hmac whsec_x
  expect(signatureOf('whsec_x', 1_800_000_000, '{"id":"evt_a"}')).toBe('3c69a5d3b679b9c7767ca1aed52e4858132b74bafa2dbe9d1557d1d176222e15')
})

test('an event is a part of the transaction around it: with one that is taken back, it never was', () => {
  const store = scratchStore()
  const webhooks = webhooksOver(store)
  const announce = (): void => webhooks.announce('shop', 'room.started', { room: 'lobby', kind: 'mesh' })
  expect(() => store.transaction(() => {
    announce()
    expect(webhooks.list('shop', all).deliveries).toHaveLength(1)
    throw new Error('taken back')
  })).toThrow('taken back')
  expect(webhooks.list('shop', all).deliveries).toEqual([])
  store.transaction(announce)
  const [one] = webhooks.list('shop', all).deliveries
  expect(one).toEqual({ id: expect.stringMatching(/^evt_[\w-]{16}$/), type: 'room.started', at: NOW, state: 'waiting', attempts: 0, reason: null, nextAttemptAt: NOW, givenUpAt: null, event: { id: one?.id, type: 'room.started', at: NOW, project: 'shop', room: 'lobby', kind: 'mesh' } })
})

test('what a project has not chosen, and what happens where there is no webhook or no project, is not kept', async () => {
  const store = scratchStore()
  const settings = new Map<string, object>([['all', { webhook: 'http://a.example' }], ['some', { webhook: 'http://a.example', webhookEvents: ['room.ended'] }], ['none', { webhook: 'http://a.example', webhookEvents: [] }], ['no-webhook', {}]])
  const webhooks = webhooksOver(store, { settingsOf: project => (settings.has(project) ? applyPatch({}, settings.get(project)).settings : null) })
  const projects = [...settings.keys(), 'gone']
  for (const project of projects) {
    webhooks.announce(project, 'room.started', { room: 'a', kind: 'mesh' })
    webhooks.announceSoon(project, 'room.ended', { room: 'a', kind: 'mesh' })
  }
  await webhooks.stop(1000)
  expect(projects.map(project => webhooks.list(project, all).deliveries.map(({ type }) => type))).toEqual([['room.started', 'room.ended'], ['room.ended'], [], [], []])
})

test('12,000 events at once cost a few transactions; those beyond 10,000 are counted and told of once, and none throws', async () => {
  const store = scratchStore()
  const errors: { fields: object, message: string }[] = []
  const metrics = createMetrics()
  let transactions = 0
  const transaction: Store['transaction'] = work => {
    transactions++
    return store.transaction(work)
  }
  const webhooks = webhooksOver({ ...store, transaction }, { metrics, log: { ...silentLog, error: (fields, message) => errors.push({ fields, message }) } })
  for (let i = 0; i < 12_000; i++) webhooks.announceSoon('shop', 'peer.joined', joined(String(i)))
  expect([transactions, webhooks.list('shop', all).deliveries]).toEqual([0, []])
  await webhooks.stop(1000)
  expect(transactions).toBe(5)
  const page = webhooks.list('shop', { ...all, cursor: 9998 })
  expect([page.deliveries.map(({ event }) => event['peer']), page.next]).toEqual([['9998', '9999'], null])
  expect(errors).toEqual([{ fields: { events: 2000 }, message: expect.stringContaining('dropped') }])
  expect((await metrics.render()).text).toContain('turnpike_webhook_events_dropped_total{reason="queue_full"} 2000')
})

test('on a disk that takes nothing, events of the hot path are kept in memory and written when it does; a quota event is refused', async () => {
  const store = scratchStore()
  let isFull = true
  const told: string[] = []
  const refuseWhereFull = (): void => { if (isFull) throw new Error('the disk is full') }
  const transaction: Store['transaction'] = work => {
    refuseWhereFull()
    return store.transaction(work)
  }
  const run: Store['run'] = (sql, ...values) => {
    refuseWhereFull()
    store.run(sql, ...values)
  }
  const failing: Store = { ...store, transaction, run }
  const webhooks = webhooksOver(failing, { log: { ...silentLog, error: (_fields, message) => told.push(message) } })
  expect(() => webhooks.announce('shop', 'room.started', { room: 'a', kind: 'mesh' })).toThrow('the disk is full')
  webhooks.announceSoon('shop', 'peer.joined', joined('alice'))
  await webhooks.start()
  await expect.poll(() => told).toEqual([expect.stringContaining('kept in memory')])
  isFull = false
  await expect.poll(() => webhooks.list('shop', all).deliveries.map(({ event }) => event['peer'])).toEqual(['alice'])
  await webhooks.stop(1000)
  expect(told).toHaveLength(1)
})

test('of one project 100,000 wait at most: what is beyond is counted, another project is not touched', async () => {
  const store = scratchStore()
  const metrics = createMetrics()
  const webhooks = webhooksOver(store, { metrics })
  store.transaction(() => { for (let i = 0; i < 99_999; i++) addDelivery(store, { id: `evt_${i}`, project: 'full', body: '{}', at: NOW }) })
  for (const project of ['full', 'other', 'full', 'other']) webhooks.announceSoon(project, 'peer.joined', joined('alice'))
  await webhooks.stop(1000)
  expect(store.all('SELECT project, count(*) AS n FROM webhook_deliveries GROUP BY project')).toEqual([{ project: 'full', n: 100_000 }, { project: 'other', n: 2 }])
  expect((await metrics.render()).text).toContain('turnpike_webhook_events_dropped_total{reason="too_many_waiting"} 1')
})

test('dead ones: the oldest go beyond the bound and after their time, what waits stays; replaying takes them out', () => {
  const store = scratchStore()
  const webhooks = webhooksOver(store)
  for (const id of ['a', 'b', 'c', 'd', 'waits']) addDelivery(store, { id, project: 'shop', body: '{}', at: NOW - 100 })
  for (const [i, id] of ['c', 'a', 'b', 'd'].entries()) giveUp(store, { id, project: 'shop', attempts: 7, reason: 'it answered 500' }, NOW - 10 + i, 3)
  const ids = (state: 'waiting' | 'dead'): string[] => webhooks.list('shop', { ...all, state }).deliveries.map(({ id }) => id)
  expect([ids('dead'), ids('waiting')]).toEqual([['a', 'b', 'd'], ['waits']])
  forgetDead(store, NOW - 8)
  expect([ids('dead'), ids('waiting')]).toEqual([['b', 'd'], ['waits']])
  expect(webhooks.replay('shop', 'd')).toMatchObject({ id: 'd', state: 'waiting', attempts: 0, givenUpAt: null })
  for (const [project, id] of [['shop', 'a'], ['elsewhere', 'b']] as const) expect(() => webhooks.replay(project, id)).toThrow(expect.objectContaining({ code: 'not-found' }))
  expect([webhooks.replayDead('elsewhere'), webhooks.replayDead('shop'), webhooks.replayDead('shop')]).toEqual([0, 1, 0])
  expect([ids('dead'), ids('waiting')]).toEqual([[], ['b', 'd', 'waits']])
})

test('a list by pages has nothing twice and nothing missing', () => {
  const store = scratchStore()
  const webhooks = webhooksOver(store)
  for (let i = 0; i < 25; i++) addDelivery(store, { id: `e${i}`, project: i % 5 === 4 ? 'other' : 'shop', body: '{}', at: NOW })
  const found: string[] = []
  let cursor: number | null = null
  let pages = 0
  do {
    const page: ReturnType<Webhooks['list']> = webhooks.list('shop', { state: 'waiting', cursor, limit: 7 })
    found.push(...page.deliveries.map(({ id }) => id))
    cursor = page.next
    pages++
  } while (cursor !== null)
  expect([pages, found]).toEqual([3, Array.from({ length: 25 }, (_, i) => `e${i}`).filter((_, i) => i % 5 !== 4)])
})

test('what waited in the outbox of an earlier version waits on, in the order of its time', () => {
  const directory = scratchDirectory()
  const old = openStore(`${directory}/turnpike.db`, [...accessMigrations, ...credentialsMigrations, ...usageMigrations])
  for (const [id, at] of [['late', NOW - 5], ['early', NOW - 90]] as const) old.run('INSERT INTO webhook_outbox (id, project, url, body, created_at, attempts, next_at) VALUES (?, ?, ?, ?, ?, 9, ?)', id, 'shop', 'http://a.example', `{"type":"quota.warning","n":"${id}"}`, at, NOW + 900)
  old.close()
  const { deliveries } = webhooksOver(scratchStore(directory)).list('shop', all)
  expect(deliveries).toMatchObject([{ id: 'early', type: 'quota.warning', at: NOW - 90, state: 'waiting', attempts: 9, nextAttemptAt: NOW - 90, event: { n: 'early' } }, { id: 'late', at: NOW - 5 }])
})
