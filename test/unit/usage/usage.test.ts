import { spawn } from 'node:child_process'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { applyPatch } from '../../../src/protocol/project-settings.ts'
import { dayPeriod, monthPeriod } from '../../../src/usage/periods.ts'
import { openStore } from '../../../src/store/store.ts'
import { createUsage, migrations, type Grouping, type Usage, type UsageNeeds } from '../../../src/usage/usage.ts'
import { scratchDirectory } from '../../kit/files.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

const begun = (user: string, project = 'shop', room = '', session = user) => ({ relay: 'turnpike', coturn: 'turnpike.main', session, username: `1:${project}.${user}.0`, project, user, room, transport: 'udp' as const })
const traffic = (user: string, bytes: number, project = 'shop', room = '') => {
  const counts = { receivedPackets: 1, receivedBytes: bytes, sentPackets: 1, sentBytes: bytes }
  return { ...begun(user, project, room), counts, counted: counts, told: counts }
}

function usageWith (settings: object, clock: { now: number }): Usage {
  const store = scratchStore()
  return createUsage({ store, log: silentLog, metrics: createMetrics(), nowSeconds: () => clock.now, config: { detailDays: 92, keepDays: 1096 }, projects: () => ['shop'], settingsOf: project => (project === 'shop' ? applyPatch({}, settings).settings : null), announce: () => {} })
}

test('periods are those of UTC, over months of every length and over the year', () => {
  const at = (text: string): number => Date.parse(text) / 1000
  expect(dayPeriod(at('2026-11-21T23:59:59Z'))).toMatchObject({ name: '2026-11-21', resetsAt: at('2026-11-22T00:00:00Z') })
  expect(monthPeriod(at('2028-02-29T12:00:00Z'))).toMatchObject({ name: '2028-02', resetsAt: at('2028-03-01T00:00:00Z') })
  const december = monthPeriod(at('2026-12-31T23:59:59Z'))
  expect([december.name, december.resetsAt, december.lastDay - december.firstDay]).toEqual(['2026-12', at('2027-01-01T00:00:00Z'), 30])
})

test('a byte quota ends with its day, and a clock that is set back finds what the day before had used', () => {
  const clock = { now: Date.parse('2026-11-21T23:30:00Z') / 1000 }
  const usage = usageWith({ quotas: { bytesPerDay: 1000 } }, clock)
  usage.addTraffic(traffic('alice', 500))
  expect(() => usage.requireAllowance('shop')).toThrow(expect.objectContaining({ code: 'quota-exceeded', retryAfterSeconds: 1800 }))
  expect(usage.reasonToCut('shop', null)).toBe('quota')
  usage.query({ project: 'shop', from: 0, to: clock.now, by: ['day'], cursor: null, limit: 10 })
  expect(usage.reasonToCut('shop', null)).toBe('quota')
  clock.now += 3600
  usage.requireAllowance('shop')
  expect(usage.reasonToCut('shop', null)).toBeNull()
  clock.now -= 3600
  expect(usage.reasonToCut('shop', null)).toBe('quota')
})

test('usage by day, user, relay and project, by pages, with nothing twice and nothing missing', () => {
  const clock = { now: Date.parse('2026-11-20T12:00:00Z') / 1000 }
  const usage = usageWith({}, clock)
  for (let i = 0; i < 25; i++) usage.addTraffic(traffic(`user-${String(i).padStart(2, '0')}`, i))
  usage.requireAllowance('shop')
  clock.now += 86_400
  usage.addTraffic(traffic('user-00', 1000))
  usage.addAllocation(begun('user-00'))
  const query = (by: 'day' | 'user' | 'relay' | 'project', more = {}) => usage.query({ project: 'shop', from: 0, to: clock.now, by: [by], cursor: null, limit: 100, ...more })
  expect(query('day').groups).toEqual([
    { name: '2026-11-20', day: '2026-11-20', bytesFromClient: 300, bytesToClient: 300, packetsFromClient: 25, packetsToClient: 25, allocations: 0, credentials: 1 },
    { name: '2026-11-21', day: '2026-11-21', bytesFromClient: 1000, bytesToClient: 1000, packetsFromClient: 1, packetsToClient: 1, allocations: 1, credentials: 0 },
  ])
  expect(query('relay').groups).toMatchObject([{ name: 'turnpike', bytesFromClient: 1300 }])
  expect(query('project').groups).toMatchObject([{ name: 'shop', bytesFromClient: 1300, credentials: 1 }])
  expect(query('user', { from: clock.now }).groups).toMatchObject([{ name: 'user-00', bytesFromClient: 1000, allocations: 1 }])
  const names: string[] = []
  let cursor: (string | number)[] | null = null
  do {
    const page: ReturnType<Usage['query']> = query('user', { cursor, limit: 7 })
    names.push(...page.groups.map(({ name }) => name))
    cursor = page.next
  } while (cursor !== null)
  expect(names).toEqual(Array.from({ length: 25 }, (_, i) => `user-${String(i).padStart(2, '0')}`))
  const days = query('day', { limit: 1 })
  expect(query('day', { limit: 1, cursor: days.next }).groups).toMatchObject([{ name: '2026-11-21' }])
})

test('usage by several things at once, over pages, tells rooms and transports apart', () => {
  const clock = { now: Date.parse('2026-11-20T12:00:00Z') / 1000 }
  const usage = usageWith({}, clock)
  for (const [user, room, transport] of [['alice', 'lobby', 'udp'], ['alice', 'lobby', 'tls'], ['alice', '', 'udp'], ['bob', 'lobby', 'udp']] as const) usage.addTraffic({ ...traffic(user, 100, 'shop', room), transport })
  clock.now += 86_400
  usage.addTraffic(traffic('alice', 7, 'shop', 'lobby'))
  const query = (by: Grouping[], more = {}) => usage.query({ project: 'shop', from: 0, to: clock.now, by, cursor: null, limit: 100, ...more })
  expect(query(['room']).groups).toMatchObject([{ room: '', bytesFromClient: 100 }, { room: 'lobby', bytesFromClient: 307 }])
  expect(query(['transport']).groups).toMatchObject([{ transport: 'tls', bytesFromClient: 100 }, { transport: 'udp', bytesFromClient: 307 }])
  const names: string[] = []
  let cursor: (string | number)[] | null = null
  do {
    const page: ReturnType<Usage['query']> = query(['day', 'user', 'room'], { cursor, limit: 2 })
    names.push(...page.groups.map(({ name }) => name))
    cursor = page.next
  } while (cursor !== null)
  expect(names).toEqual(['2026-11-20/alice/', '2026-11-20/alice/lobby', '2026-11-20/bob/lobby', '2026-11-21/alice/lobby'])
})

test('details of old days are added up, sums stay what they were, and in the end the days go; twice does no harm', async () => {
  const clock = { now: Date.parse('2026-11-20T12:00:00Z') / 1000 }
  const store = scratchStore()
  const usage = createUsage({ store, log: silentLog, metrics: createMetrics(), nowSeconds: () => clock.now, config: { detailDays: 10, keepDays: 100 }, projects: () => [], settingsOf: () => null, announce: () => {} })
  for (const [i, user] of ['alice', 'bob', 'carol'].entries()) usage.addTraffic(traffic(user, 100 * (i + 1), 'shop', `room-${i}`))
  usage.addTraffic(traffic('dave', 1, 'other'))
  const query = (by: Grouping[]) => usage.query({ project: null, from: 0, to: clock.now, by, cursor: null, limit: 100 }).groups
  expect(query(['user'])).toHaveLength(4)
  const house = async (): Promise<void> => {
    await usage.start()
    await usage.stop(1000)
  }
  clock.now += 10 * 86_400
  await house()
  expect(query(['user'])).toHaveLength(4)
  for (let i = 0; i < 2; i++) {
    clock.now += 86_400
    await house()
    expect(query(['project', 'user', 'room'])).toMatchObject([{ project: 'other', user: '', bytesFromClient: 1 }, { project: 'shop', user: '', room: '', bytesFromClient: 600, packetsToClient: 3 }])
  }
  clock.now += 90 * 86_400
  await house()
  expect(query(['day'])).toEqual([])
})

test('what was written before rooms and transports were told apart is still there', () => {
  const directory = scratchDirectory()
  openStore(`${directory}/turnpike.db`, migrations.slice(0, 1)).close()
  const before = new DatabaseSync(`${directory}/turnpike.db`)
  before.exec("INSERT INTO usage_of_users VALUES ('shop', 20778, 'alice', 'turnpike', 10, 20, 1, 2, 3)")
  before.close()
  const store = openStore(`${directory}/turnpike.db`, migrations)
  expect(store.all('SELECT * FROM usage_by_day')).toEqual([{ project: 'shop', day: 20778, user: 'alice', room: '', relay: 'turnpike', transport: '', bytes_from_client: 10, bytes_to_client: 20, packets_from_client: 1, packets_to_client: 2, allocations: 3 }])
  store.close()
})

test('the allocations that live are written with their sums, forgotten when they end, and those of a coturn that has ended with it', () => {
  const usage = usageWith({}, { now: 1_800_000_000 })
  const tick = (): void => { usage.query({ project: null, from: 0, to: 1, by: ['day'], cursor: null, limit: 1 }) }
  usage.addAllocation(begun('alice', 'shop', '', '1'))
  usage.addAllocation(begun('bob', 'shop', '', '2'))
  usage.addAllocation(begun('carol', 'shop', '', '3'))
  usage.endAllocation({ coturn: 'turnpike.main', session: '3' })
  usage.addTraffic({ ...traffic('alice', 500), session: '1' })
  tick()
  expect(usage.liveAllocations('turnpike.main').map(({ session, counted }) => [session, counted.receivedBytes])).toEqual([['1', 500], ['2', 0]])
  usage.endAllocation({ coturn: 'turnpike.main', session: '1' })
  tick()
  expect(usage.liveAllocations('turnpike.main')).toMatchObject([{ session: '2', username: '1:shop.bob.0', transport: 'udp' }])
  expect(usage.liveAllocations('turnpike.alternate')).toEqual([])
  usage.forgetCoturn('turnpike.main')
  usage.addAllocation(begun('dave', 'shop', '', '1'))
  tick()
  expect(usage.liveAllocations('turnpike.main')).toMatchObject([{ session: '1', username: '1:shop.dave.0' }])
})

test('a quota that is lowered below what is used is told at once, although nothing is relayed any more; the event and what is told of it are written down together', () => {
  const clock = { now: 1_800_000_000 }
  const store = scratchStore()
  let settings: object = {}
  const told: object[] = []
  let isDiskFull = true
  const announce: UsageNeeds['announce'] = (project, type, fields) => {
    if (isDiskFull) throw new Error('the disk is full')
    told.push({ project, type, ...fields })
  }
  const usage = createUsage({ store, log: silentLog, metrics: createMetrics(), nowSeconds: () => clock.now, config: { detailDays: 92, keepDays: 1096 }, projects: () => ['shop'], settingsOf: () => applyPatch({}, settings).settings, announce })
  const tick = (): void => { usage.query({ project: null, from: 0, to: clock.now, by: ['day'], cursor: null, limit: 1 }) }
  const levels = (): number[] => store.all<{ level: number }>('SELECT level FROM quota_events ORDER BY level').map(({ level }) => level)
  usage.addTraffic(traffic('alice', 500))
  tick()
  expect([told, levels()]).toEqual([[], []])
  settings = { quotas: { bytesPerDay: 1000 } }
  usage.settingsChanged('shop')
  tick()
  expect([told, levels()]).toEqual([[], []])
  isDiskFull = false
  tick()
  expect(told).toMatchObject([{ project: 'shop', type: 'quota.warning', quota: 'bytesPerDay', limit: 1000, used: 1000, action: 'disable' }, { type: 'quota.exceeded' }])
  expect(levels()).toEqual([80, 100])
  tick()
  expect(told).toHaveLength(2)
})

test('killed 200 times while it writes: the store opens, and what users used is what projects used', async () => {
  const directory = scratchDirectory()
  let written = 0
  for (let i = 0; i < 200; i++) {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'test/kit/ledger-writer.ts', directory], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise(resolve => child.stdout.once('data', resolve))
    await new Promise(resolve => setTimeout(resolve, i % 20))
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('exit', resolve))
    if (i % 20 !== 19) continue
    const database = new DatabaseSync(`${directory}/turnpike.db`)
    expect(database.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    const { users } = database.prepare('SELECT sum(bytes_from_client + bytes_to_client) AS users FROM usage_by_day').get() as { users: number }
    const { projects } = database.prepare('SELECT sum(bytes) AS projects FROM usage_of_projects').get() as { projects: number }
    database.close()
    expect(users).toBe(projects)
    expect(users).toBeGreaterThan(written)
    written = users
  }
}, 180_000)
