import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { Allocations, type TrafficEvent } from '../../../src/relay/allocations.ts'
import { parseFeedEvent } from '../../../src/relay/feed-events.ts'

/** A table that is told what coturn publishes, line by line. */
function follow (): { publish (what: string, payload: string, session?: string, user?: string): void, sum (): TrafficEvent, live (): number, metric (line: string): Promise<string | undefined>, restart (): void } {
  const metrics = createMetrics()
  const events: TrafficEvent[] = []
  const allocations = new Allocations({ relay: 'turnpike', metrics, nowSeconds: () => 1_795_290_000, onTraffic: event => events.push(event), onBegun: () => {}, isOwn: name => name.endsWith(':turnpike-probe') })
  return {
    publish: (what, payload, session = '001000000000000002', user = '1795290552:shop.alice.0') => {
      const event = parseFeedEvent(`turn/realm/turnpike/user/${user}/allocation/${session}/${what}`, payload)
      if (event !== null) allocations.take(event)
    },
    sum: () => events.reduce((sum, event) => ({ ...event, bytesFromClient: sum.bytesFromClient + event.bytesFromClient, bytesToClient: sum.bytesToClient + event.bytesToClient, packetsFromClient: sum.packetsFromClient + event.packetsFromClient, packetsToClient: sum.packetsToClient + event.packetsToClient }), { relay: '', project: '', user: '', bytesFromClient: 0, bytesToClient: 0, packetsFromClient: 0, packetsToClient: 0 }),
    live: () => allocations.list().length,
    metric: async name => (await metrics.render()).text.split('\n').find(line => line.startsWith(name))?.split(' ').at(-1),
    restart: () => allocations.restart(),
  }
}
const STATUS = 'lifetime=777, type=UDP, local=127.0.0.1:20100, remote=127.0.0.1:49791, ssl=NONE, cipher=NONE'

/** A whole session as coturn 4.6.1 published it. */
function wholeSession (table: ReturnType<typeof follow>, loseOneReport = false): void {
  table.publish('status', `new ${STATUS}`)
  table.publish('status', `refreshed ${STATUS}`)
  table.publish('traffic', 'rcvp=1029, rcvb=178490, sentp=1029, sentb=178146')
  table.publish('traffic/peer', 'rcvp=1019, rcvb=173230, sentp=1019, sentb=173230')
  if (!loseOneReport) table.publish('traffic', 'rcvp=1026, rcvb=178366, sentp=1025, sentb=178064')
  table.publish('traffic', 'rcvp=962, rcvb=167172, sentp=963, sentb=167186')
  table.publish('status', 'deleted')
  table.publish('total_traffic', 'rcvp=3017, rcvb=524028, sentp=3017, sentb=523396')
  table.publish('total_traffic/peer', 'rcvp=3000, rcvb=510000, sentp=3000, sentb=510000')
}

test.each([false, true])('the sums are what coturn\'s totals say (a report lost: %s)', lost => {
  const table = follow()
  wholeSession(table, lost)
  expect(table.sum()).toEqual({ relay: 'turnpike', project: 'shop', user: 'alice', bytesFromClient: 524028, bytesToClient: 523396, packetsFromClient: 3017, packetsToClient: 3017 })
  expect(table.live()).toBe(0)
})

test('an allocation whose end got lost ends with its total', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`)
  table.publish('traffic', 'rcvp=1, rcvb=100, sentp=1, sentb=100')
  table.publish('total_traffic', 'rcvp=3, rcvb=300, sentp=3, sentb=300')
  expect(table.live()).toBe(0)
  expect(table.sum()).toMatchObject({ bytesFromClient: 300, packetsToClient: 3 })
})

test('metrics carry the project and the direction, never the user', async () => {
  const table = follow()
  wholeSession(table)
  expect(await table.metric('turnpike_relay_bytes_total{project="shop",relay="turnpike",direction="from_client"}')).toBe('524028')
  expect(await table.metric('turnpike_relay_packets_total{project="shop",relay="turnpike",direction="to_client"}')).toBe('3017')
  expect(await table.metric('turnpike_relay_allocations_total{relay="turnpike",transport="udp"}')).toBe('1')
})

test('the probe\'s own allocations are nobody\'s', async () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '7', '1795290552:turnpike-probe')
  table.publish('traffic', 'rcvp=1, rcvb=2, sentp=3, sentb=4', '7', '1795290552:turnpike-probe')
  expect([table.live(), table.sum().bytesFromClient]).toEqual([0, 0])
})

test('an allocation that began before we did is listed when it is refreshed, and its old traffic is not counted again', () => {
  const table = follow()
  table.publish('status', `refreshed ${STATUS}`)
  expect(table.live()).toBe(1)
  table.publish('traffic', 'rcvp=10, rcvb=100, sentp=10, sentb=100')
  table.publish('status', 'deleted')
  table.publish('total_traffic', 'rcvp=5000, rcvb=50000, sentp=5000, sentb=50000')
  expect(table.sum()).toMatchObject({ bytesFromClient: 100, bytesToClient: 100 })
})

test('a coturn that is started again numbers from 1 again: the table begins anew, the sums go on', async () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`)
  table.publish('traffic', 'rcvp=1, rcvb=100, sentp=1, sentb=100')
  table.restart()
  expect(table.live()).toBe(0)
  expect(await table.metric('turnpike_relay_allocations{relay="turnpike",transport="udp"}')).toBe('0')
  wholeSession(table)
  expect(table.sum()).toMatchObject({ bytesFromClient: 524128 })
})

test.each([
  ['TLS/TCP', 'tls'], ['TCP', 'tcp'], ['UDP', 'udp'],
])('a client over %s counts as %s', async (type, transport) => {
  const table = follow()
  table.publish('status', `new lifetime=600, type=${type}, local=127.0.0.1:20113, remote=127.0.0.1:41772, ssl=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384`)
  expect(await table.metric(`turnpike_relay_allocations{relay="turnpike",transport="${transport}"}`)).toBe('1')
})

test.each(['__XXX__', 'turn/realm/r/user/u/allocation/x/status', 'turn/realm/r/user/u/allocation/1/other'])('%s is no event', channel => {
  expect(parseFeedEvent(channel, 'deleted')).toBeNull()
})

test('payloads that nobody sends are no events', () => {
  const channel = 'turn/realm/r/user/1:a.b/allocation/1/'
  expect([parseFeedEvent(`${channel}status`, 'gone'), parseFeedEvent(`${channel}traffic`, 'rcvp=1'), parseFeedEvent(`${channel}traffic`, 'rcvp=-1, rcvb=1, sentp=1, sentb=1')]).toEqual([null, null, null])
})
