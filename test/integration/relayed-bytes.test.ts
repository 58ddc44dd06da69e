/** What is counted is what was relayed: real coturn, real turnutils_uclient, the sums against coturn's own totals. */
import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { createServer } from 'node:net'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { mintLogin, verboseTurnserver } from '../kit/coturn.ts'
import { until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'

const MESSAGES = 1000
const BYTES = 170

/** The reports of usage in coturn's log (with `verbose`), added up: every session of the user, client side. */
function coturnTotals (log: readonly string[]): { from: number, to: number, packetsFrom: number } {
  return log.flatMap(line => /session \d+: usage: .*username=<\d+:shop\.alice\.0>, rp=(\d+), rb=(\d+), sp=\d+, sb=(\d+)/.exec(line) ?? [])
    .reduce((sum, value, i) => {
      if (i % 4 === 1) sum.packetsFrom += Number(value)
      if (i % 4 === 2) sum.from += Number(value)
      if (i % 4 === 3) sum.to += Number(value)
      return sum
    }, { from: 0, to: 0, packetsFrom: 0 })
}

/** The same with a client of ours over UDP, which releases its allocations. */
async function sendMessages (relay: TestRelay): Promise<void> {
  const open = async (): Promise<TurnClient> => await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: relay.port, timeoutMs: 2000 })
  const [one, other] = [await open(), await open()]
  const login = mintLogin(RELAY_SECRET, 600, 'shop.alice.0')
  const allocations = [await one.allocate(login), await other.allocate(login)].map(allocation => (isRefusal(allocation) ? { address: '', port: 0 } : allocation.relayed))
  await one.createPermission('127.0.0.1')
  await other.createPermission('127.0.0.1')
  let received = 0
  other.onData(() => received++)
  for (let i = 0; i < MESSAGES; i++) {
    one.send(allocations[1] ?? { address: '', port: 0 }, Buffer.alloc(BYTES))
    // In step, so that no buffer on the way overflows.
    if (i % 50 === 49) await until('they arrive', () => received === i + 1)
  }
  await one.close()
  await other.close()
}

/** Relays messages from one client to another and back; resolves when coturn has let go of all of them. */
async function relayMessages (relay: TestRelay, options: string[] = []): Promise<void> {
  const args = ['-u', 'shop.alice.0', '-W', RELAY_SECRET, '-e', '127.0.0.1', '-r', '20900', '-p', String(relay.port), '-n', String(MESSAGES), '-m', '1', '-l', String(BYTES), '-z', '1', '-X', '-c', ...options, '127.0.0.1']
  const client = spawn('turnutils_uclient', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const output: string[] = []
  for (const stream of [client.stdout, client.stderr]) stream.on('data', (bytes: Buffer) => output.push(bytes.toString()))
  const code = await new Promise(resolve => client.on('exit', resolve))
  if (code !== 0) throw new Error(`turnutils_uclient ended with ${code}: ${output.join('').slice(-500)}`)
}

const CLIENTS: [string, (relay: TestRelay) => Promise<void>][] = [
  // Over UDP turnutils_uclient leaves an allocation behind; a client of ours says goodbye to both, so that every total comes.
  ['udp', sendMessages],
  ['tcp', relay => relayMessages(relay, ['-t'])],
]

test.each(CLIENTS)('over %s, bytes and packets are those of coturn\'s totals, and those that were sent within the STUN overhead', async (transport, send) => {
  const relay = await makeRelay({}, { programPath: [verboseTurnserver()] })
  await relay.start()
  await send(relay)
  expect(await sample(relay.metrics, `turnpike_relay_allocations_total{relay="turnpike",transport="${transport}"}`)).toBeGreaterThanOrEqual(2)
  await until('every allocation is gone', async () => await sample(relay.metrics, `turnpike_relay_allocations{relay="turnpike",transport="${transport}"}`) === 0, 20_000)
  const total = relay.traffic.reduce((sum, event) => ({ from: sum.from + event.counts.receivedBytes, to: sum.to + event.counts.sentBytes, packetsFrom: sum.packetsFrom + event.counts.receivedPackets }), { from: 0, to: 0, packetsFrom: 0 })
  const sent = MESSAGES * BYTES
  expect(total.packetsFrom).toBeGreaterThanOrEqual(MESSAGES)
  expect(total.from).toBeGreaterThanOrEqual(sent)
  // ChannelData adds 4 bytes to a message, an indication 36 to 44; allocating, binding and refreshing a few thousand in all.
  expect(total.from).toBeLessThan(sent + MESSAGES * 44 + 20_000)
  expect(await sample(relay.metrics, `turnpike_relay_bytes_total{project="shop",relay="turnpike",transport="${transport}",direction="from_client"}`)).toBe(total.from)
  expect(await sample(relay.metrics, `turnpike_relay_bytes_total{project="shop",relay="turnpike",transport="${transport}",direction="to_client"}`)).toBe(total.to)
  expect(new Set(relay.traffic.map(({ project, user }) => `${project}.${user}`))).toEqual(new Set(['shop.alice']))
  // coturn's own last words on each session, as it wrote them to its log.
  await until('coturn has logged them', () => coturnTotals(relay.log).from >= total.from)
  expect(coturnTotals(relay.log)).toEqual(total)
})

test('the port of the feed is kept; where another program has taken it, a new one is used and the relay is started again for it', async () => {
  const first = await makeRelay()
  await first.start()
  const { port } = first.feedFile()
  await first.stop(2000)
  const thief = createServer()
  await new Promise<void>(resolve => thief.listen(port, '127.0.0.2', resolve))
  const second = await makeRelay(first.settings)
  await second.start()
  expect(second.health().ready).toBe(true)
  expect(second.feedFile().port).not.toBe(port)
  thief.close()
})

test('a stranger on the feed port is refused and counted for nothing', async () => {
  const relay = await makeRelay()
  await relay.start()
  const { port } = relay.feedFile()
  const { connect } = await import('node:net')
  const socket = connect({ host: '127.0.0.2', port })
  const answers: string[] = []
  socket.on('data', (bytes: Buffer) => answers.push(bytes.toString()))
  socket.on('error', () => {})
  const publish = '*3\r\n$7\r\nPUBLISH\r\n$63\r\nturn/realm/turnpike/user/9:shop.eve.0/allocation/000000000001/traffic\r\n$36\r\nrcvp=1, rcvb=999999, sentp=1, sentb=1\r\n'
  socket.write('*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nKEYS\r\n')
  await until('answers come', () => answers.join('').includes('-NOAUTH'))
  expect(answers.join('')).toBe('-WRONGPASS invalid password\r\n+PONG\r\n-NOAUTH Authentication required.\r\n')
  socket.write(publish)
  socket.write('GET / HTTP/1.1\r\n\r\n')
  await until('garbage closes the connection', () => socket.destroyed || socket.readyState === 'closed')
  expect(relay.traffic).toEqual([])
  expect(relay.health().ready).toBe(true)
})
