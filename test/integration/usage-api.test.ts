/** What was relayed, as the API tells it: by rooms and transports, as CSV; and what of it the metrics may tell. */
import { expect, test } from 'vitest'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { Allocations } from '../../src/relay/allocations.ts'
import { startApp } from '../kit/app.ts'
import { until } from '../kit/files.ts'
import { allocated, issue, relayPort, startCall, untilLive } from '../kit/turn.ts'

test('a call in a room is told by room and transport, in JSON over pages and in CSV that a spreadsheet takes for text', async () => {
  const app = await startApp()
  const call = await startCall(app, relayPort(app), '=cmd|"x", küche')
  await until('some of it is relayed', () => call.received() > 30)
  await untilLive(app, 2)
  expect((await app.request('/v1/turn/allocations', { key: app.adminKey })).body['allocations']).toMatchObject([{ room: '=cmd|"x", küche' }, { room: '=cmd|"x", küche' }])
  await call.end()
  await call.hangUp()
  await untilLive(app, 0)
  const by = async (groups: string, more = '') => await app.request(`/v1/usage?by=${groups}${more}`)
  const { body } = await by('room,transport')
  expect(body['usage']).toMatchObject([{ room: '=cmd|"x", küche', transport: 'udp', allocations: 2 }])
  const first = (await by('user,room', '&limit=1')).body
  expect(first['usage']).toMatchObject([{ user: 'alice' }])
  const second = (await by('user,room', `&limit=1&cursor=${String(first['next'])}`)).body
  expect([second['usage'], second['next']]).toMatchObject([[{ user: 'bob' }], null])
  const csv = await by('user,room', '&format=csv')
  expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  const lines = String(csv.body['text']).split('\r\n')
  expect(lines[0]).toBe('user,room,bytesFromClient,bytesToClient,packetsFromClient,packetsToClient,allocations')
  expect(lines[1]).toMatch(/^alice,"'=cmd\|""x"", küche",\d+,\d+,\d+,\d+,1$/)
  expect(String((await by('day', '&format=csv')).body['text'])).toMatch(/^day,.*,credentials\r\n\d{4}-\d\d-\d\d,/)
  for (const wrong of ['nonsense', 'day,day', 'day,user,room,relay', '']) expect((await by(wrong)).body).toMatchObject({ status: 400, errors: [{ field: 'by' }] })
  expect((await by('project')).body).toMatchObject({ status: 400, errors: [{ field: 'by', message: 'project needs an admin key' }] })
  expect((await by('user', `&cursor=${String(first['next'])}`)).body).toMatchObject({ status: 400, errors: [{ field: 'cursor' }] })
})

test('allocations are cut by user, room, relay and transport, or all of them, and never without saying which', async () => {
  const app = await startApp()
  const port = relayPort(app)
  for (const [user, room] of [['alice', 'lobby'], ['alice', 'garden'], ['bob', 'lobby'], ['carol', 'attic']]) await allocated(port, await issue(app, { user, room }))
  await untilLive(app, 4)
  const cut = async (query: string) => (await app.request(`/v1/turn/allocations${query}`, { method: 'DELETE', key: app.adminKey })).body
  expect(await cut('')).toMatchObject({ status: 400, errors: [{ field: 'all' }] })
  expect(await cut('?project=default')).toMatchObject({ status: 400 })
  expect(await cut('?room=lobby&user=alice')).toEqual({ allocationsClosed: 1 })
  expect(await cut('?relay=elsewhere')).toEqual({ allocationsClosed: 0 })
  expect(await cut('?room=lobby')).toEqual({ allocationsClosed: 1 })
  expect(await cut('?transport=udp')).toEqual({ allocationsClosed: 2 })
  await untilLive(app, 0)
  const entries = (await app.request('/v1/audit', { key: app.adminKey })).body['entries'] as { action: string, target: string }[]
  expect(entries.filter(({ action }) => action === 'allocations.cut').map(({ target }) => target)).toEqual(['transport=udp', 'room=lobby', 'relay=elsewhere', 'room=lobby user=alice'])
})

test('10,000 users, rooms and addresses make no series: the metrics grow with projects, relays and routes alone', async () => {
  const app = await startApp({ TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '1000000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '1000000' })
  const series = async (): Promise<string[]> => (await (await fetch(app.metricsUrl())).text()).split('\n').filter(line => line !== '' && !line.startsWith('#') && !line.startsWith('turnpike_process_'))
  const ask = async (i: number): Promise<void> => {
    await app.request('/v1/turn/credentials', { method: 'POST', body: JSON.stringify({ user: `warm-${i}`, room: `room-${i}` }) })
    if (i % 10 === 0) await Promise.all([app.request(`/v1/turn/credentials/user-${i}`, { method: 'DELETE' }), app.request(`/nowhere/${i}`)])
  }
  await allocated(relayPort(app), await issue(app))
  await untilLive(app, 1)
  await ask(0)
  const before = (await series()).length
  for (let i = 0; i < 10_000; i += 50) await Promise.all(Array.from({ length: 50 }, async (_, j) => await ask(i + j)))
  const after = await series()
  // Status codes that had not been seen before (a revocation too many) may add a line each.
  expect(after.length - before).toBeLessThan(10)
  expect(after.join('\n')).not.toMatch(/user-\d|warm-|room-\d|nowhere/)
}, 120_000)

test('10,000 users relaying make as many series as one', async () => {
  const metrics = createMetrics()
  const table = new Allocations({ relay: 'r', coturn: 'r.main', metrics, nowSeconds: () => 1000, onTraffic: () => {}, onBegun: () => {}, onListed: () => {}, onEnded: () => {}, onCount: () => {}, isOwn: () => false, knowsProject: () => true })
  const relayed = (i: number): void => {
    const of = { realm: 'r', session: String(i), username: `2000:shop.user-${i}.0.room-${i}` }
    table.take({ ...of, kind: 'new', lifetimeSeconds: 600, transport: 'udp', tlsVersion: null, clientAddress: `192.0.2.1:${i}` })
    table.take({ ...of, kind: 'traffic', counts: { receivedPackets: 1, receivedBytes: 100, sentPackets: 1, sentBytes: 100 } })
  }
  const count = async (): Promise<number> => (await metrics.render()).text.split('\n').filter(line => line !== '' && !line.startsWith('#')).length
  relayed(0)
  const before = await count()
  for (let i = 1; i < 10_000; i++) relayed(i)
  expect(await count()).toBe(before)
})
