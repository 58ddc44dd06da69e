import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import type { TrafficEvent } from '../../../src/relay/allocation.ts'
import { Allocations } from '../../../src/relay/allocations.ts'
import type { LiveSession } from '../../../src/relay/control-sessions.ts'
import { parseFeedEvent, type Counts } from '../../../src/relay/feed-events.ts'

type Sum = { from: number, to: number, packetsFrom: number, packetsTo: number }

/** A table that is told what coturn publishes, line by line. */
function follow () {
  const metrics = createMetrics()
  const events: TrafficEvent[] = []
  const begun: string[] = []
  const ended: string[] = []
  const live = { udp: 0, tcp: 0, tls: 0, dtls: 0 }
  const table = new Allocations({
    relay: 'turnpike',
    coturn: 'turnpike.main',
    metrics,
    nowSeconds: () => 1_795_290_000,
    onTraffic: event => events.push(event),
    onBegun: ({ session }) => begun.push(session),
    onListed: () => {},
    onEnded: session => ended.push(session),
    onCount: (transport, change) => { live[transport] += change },
    isOwn: name => name.endsWith(':turnpike-probe'),
    knowsProject: project => project === 'shop',
  })
  return {
    table,
    events,
    begun,
    ended,
    count: live,
    publish: (what: string, payload: string, session = '001000000000000002', user = '1795290552:shop.alice.0') => {
      const event = parseFeedEvent(`turn/realm/turnpike/user/${user}/allocation/${session}/${what}`, payload)
      if (event !== null) table.take(event)
    },
    sum: (): Sum => events.reduce((sum, { counts }) => ({ from: sum.from + counts.receivedBytes, to: sum.to + counts.sentBytes, packetsFrom: sum.packetsFrom + counts.receivedPackets, packetsTo: sum.packetsTo + counts.sentPackets }), { from: 0, to: 0, packetsFrom: 0, packetsTo: 0 }),
    live: () => table.count(),
    metric: async (name: string) => (await metrics.render()).text.split('\n').find(line => line.startsWith(name))?.split(' ').at(-1),
    restart: () => table.restart(),
  }
}

const listed = (session: string, atLeast: Counts, username = '1795290552:shop.alice.0'): LiveSession => ({ session, username, transport: 'tls', tlsVersion: 'TLSv1.3', clientAddress: '192.0.2.7:4000', relayAddress: '192.0.2.1:50000', ageSeconds: 60, expiresInSeconds: 500, atLeast })
const counts = (packets: number): Counts => ({ receivedPackets: packets, receivedBytes: packets * 100, sentPackets: packets, sentBytes: packets * 10 })
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
  expect(table.sum()).toEqual({ from: 524028, to: 523396, packetsFrom: 3017, packetsTo: 3017 })
  expect(table.events.every(({ project, user, transport, coturn }) => `${coturn} ${project}.${user} ${transport}` === 'turnpike.main shop.alice udp')).toBe(true)
  expect(table.ended).toEqual(['001000000000000002'])
  expect(table.live()).toBe(0)
})

test('an allocation whose end got lost ends with its total', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`)
  table.publish('traffic', 'rcvp=1, rcvb=100, sentp=1, sentb=100')
  table.publish('total_traffic', 'rcvp=3, rcvb=300, sentp=3, sentb=300')
  expect(table.live()).toBe(0)
  expect(table.sum()).toMatchObject({ from: 300, packetsTo: 3 })
})

test('metrics carry the project and the direction, never the user', async () => {
  const table = follow()
  wholeSession(table)
  expect(await table.metric('turnpike_relay_bytes_total{project="shop",relay="turnpike",transport="udp",direction="from_client"}')).toBe('524028')
  expect(await table.metric('turnpike_relay_packets_total{project="shop",relay="turnpike",transport="udp",direction="to_client"}')).toBe('3017')
  expect(await table.metric('turnpike_relay_allocations_total{relay="turnpike",transport="udp"}')).toBe('1')
})

test('the probe\'s own allocations are nobody\'s', async () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '7', '1795290552:turnpike-probe')
  table.publish('traffic', 'rcvp=1, rcvb=2, sentp=3, sentb=4', '7', '1795290552:turnpike-probe')
  expect([table.live(), table.sum().from]).toEqual([0, 0])
})

test('an allocation that began before we did is listed when it is refreshed, and its total makes up for what nobody heard', () => {
  const table = follow()
  table.publish('status', `refreshed ${STATUS}`)
  expect(table.live()).toBe(1)
  table.publish('traffic', 'rcvp=10, rcvb=100, sentp=10, sentb=100')
  table.publish('status', 'deleted')
  table.publish('total_traffic', 'rcvp=5000, rcvb=50000, sentp=5000, sentb=50000')
  expect(table.sum()).toMatchObject({ from: 50000, to: 50000 })
})

test('what an earlier process has counted of an allocation is not counted again, and it is not begun again', () => {
  const table = follow()
  table.table.remember([{ session: '001000000000000002', username: '1795290552:shop.alice.0', transport: 'tcp', counted: counts(300), told: counts(300) }])
  // Heard of by its traffic alone: how it is carried is what was known.
  table.publish('traffic', 'rcvp=10, rcvb=1000, sentp=10, sentb=100')
  expect(table.table.list()).toMatchObject([{ transport: 'tcp', counted: counts(310) }])
  table.publish('status', 'deleted')
  table.publish('total_traffic', 'rcvp=5000, rcvb=500000, sentp=5000, sentb=50000')
  expect(table.sum()).toMatchObject({ packetsFrom: 4700, from: 470000 })
  expect(table.begun).toEqual([])
})

test('another allocation with the same number is none that an earlier process knew', () => {
  const table = follow()
  table.table.remember([{ session: '1', username: '1795290000:shop.bob.0', transport: 'udp', counted: counts(300), told: counts(300) }])
  table.publish('status', `new ${STATUS}`, '1')
  table.publish('total_traffic', 'rcvp=10, rcvb=1000, sentp=10, sentb=100', '1')
  expect(table.sum()).toMatchObject({ packetsFrom: 10 })
  expect(table.begun).toEqual(['1'])
})

test('coturn\'s own list tells what no report has, ends what is gone, and knows how each is carried', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '1')
  table.publish('status', `new ${STATUS}`, '2')
  const take = table.table.expectList()
  expect(take([listed('2', counts(5)), listed('3', counts(7)), listed('4', counts(9), '1795290552:turnpike-probe')])).toBe(2)
  expect(table.table.list().map(({ session }) => session)).toEqual(['2', '3'])
  expect(table.table.list()[0]).toMatchObject({ id: 'turnpike.main.2', transport: 'tls', tlsVersion: 'TLSv1.3', relayAddress: '192.0.2.1:50000', since: 1_795_290_000 - 60, lapsesAt: 1_795_290_500, counted: counts(5) })
  expect(table.count).toEqual({ udp: 0, tcp: 0, tls: 2, dtls: 0 })
  expect(table.sum()).toMatchObject({ packetsFrom: 12 })
})

test('a list and a report that tell the same packets count them once; the total has the last word', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '1')
  // The list shows what is not reported yet; the report that follows holds it.
  table.table.expectList()([listed('1', counts(3))])
  table.publish('traffic', 'rcvp=1029, rcvb=102900, sentp=1029, sentb=10290', '1')
  expect(table.sum()).toMatchObject({ packetsFrom: 1029 })
  // Reports got lost: the list knows more, and reports go on from there.
  table.table.expectList()([listed('1', counts(5000))])
  table.publish('traffic', 'rcvp=1000, rcvb=100000, sentp=1000, sentb=10000', '1')
  expect(table.sum()).toMatchObject({ packetsFrom: 5000 })
  table.publish('status', 'deleted', '1')
  table.publish('total_traffic', 'rcvp=6000, rcvb=600000, sentp=6000, sentb=60000', '1')
  expect(table.sum()).toEqual({ from: 600000, to: 60000, packetsFrom: 6000, packetsTo: 6000 })
})

test('a session that was refused an allocation is none, and what it sent is nobody\'s: anybody can say any name', () => {
  const table = follow()
  table.publish('traffic', 'rcvp=4, rcvb=400, sentp=4, sentb=400', '5')
  table.table.expectList()([])
  expect([table.live(), table.begun, table.events]).toEqual([0, [], []])
})

test('what is told of an allocation before it is listed is counted once', () => {
  const table = follow()
  table.publish('traffic', 'rcvp=2048, rcvb=204800, sentp=0, sentb=0', '5')
  table.table.expectList()([listed('5', counts(2048))])
  expect(table.sum()).toMatchObject({ packetsFrom: 2048 })
  table.publish('status', 'deleted', '5')
  table.publish('total_traffic', 'rcvp=2050, rcvb=205000, sentp=0, sentb=20480', '5')
  expect(table.sum()).toMatchObject({ packetsFrom: 2050 })
})

test('a name that a program with a secret of its own made up, of a project that there is not, makes no label and no row of its own', async () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '1', '1795290552:made-up.alice.0.lobby')
  table.publish('traffic', 'rcvp=1, rcvb=100, sentp=1, sentb=100', '1', '1795290552:made-up.alice.0.lobby')
  expect(table.events).toMatchObject([{ project: 'other', user: '', room: '', counts: { receivedBytes: 100 } }])
  // Whether it may live is asked under the name that it has.
  expect(table.table.list()).toMatchObject([{ project: 'made-up', user: 'alice' }])
  expect(await table.metric('turnpike_relay_bytes_total{project="other",relay="turnpike",transport="udp",direction="from_client"}')).toBe('100')
})

test('reports that the list was ahead of are kept all the same, and a list that tells nothing new is not passed on', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '1')
  table.table.expectList()([listed('1', counts(5000))])
  const before = table.events.length
  table.table.expectList()([listed('1', counts(5000))])
  expect(table.events).toHaveLength(before)
  table.publish('traffic', 'rcvp=1000, rcvb=100000, sentp=1000, sentb=10000', '1')
  expect(table.events.at(-1)).toMatchObject({ counts: counts(0), counted: counts(5000), told: counts(1000) })
})

test('what began or ended while the list was on its way is not judged by it', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`, '1')
  const take = table.table.expectList()
  table.publish('status', `new ${STATUS}`, '2')
  table.publish('status', 'deleted', '1')
  take([listed('1', counts(1))])
  expect(table.table.list().map(({ session }) => session)).toEqual(['2'])
})

test('a coturn that is started again numbers from 1 again: the table begins anew, the sums go on', () => {
  const table = follow()
  table.publish('status', `new ${STATUS}`)
  table.publish('traffic', 'rcvp=1, rcvb=100, sentp=1, sentb=100')
  table.restart()
  expect(table.live()).toBe(0)
  expect(table.count.udp).toBe(0)
  wholeSession(table)
  expect(table.sum()).toMatchObject({ from: 524128 })
})

test.each([
  ['TLS/TCP', 'tls'], ['TCP', 'tcp'], ['UDP', 'udp'],
])('a client over %s counts as %s', (type, transport) => {
  const table = follow()
  table.publish('status', `new lifetime=600, type=${type}, local=127.0.0.1:20113, remote=127.0.0.1:41772, ssl=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384`)
  expect(table.count).toMatchObject({ [transport]: 1 })
})

test.each(['__XXX__', 'turn/realm/r/user/u/allocation/x/status', 'turn/realm/r/user/u/allocation/1/other'])('%s is no event', channel => {
  expect(parseFeedEvent(channel, 'deleted')).toBeNull()
})

test('payloads that nobody sends are no events', () => {
  const channel = 'turn/realm/r/user/1:a.b/allocation/1/'
  expect([parseFeedEvent(`${channel}status`, 'gone'), parseFeedEvent(`${channel}traffic`, 'rcvp=1'), parseFeedEvent(`${channel}traffic`, 'rcvp=-1, rcvb=1, sentp=1, sentb=1')]).toEqual([null, null, null])
})
