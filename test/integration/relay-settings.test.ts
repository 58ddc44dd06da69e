/** Settings of the relay that only coturn can show to hold: a limit for each allocation, DTLS, IPv6 beside IPv4. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { mintLogin } from '../kit/coturn.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DRIVERS: [string, Record<string, string>][] = [['4.6.1', {}], ['4.18.0', { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }]]

async function startRelay (settings: Record<string, string>): Promise<TestRelay> {
  const relay = await makeRelay(settings)
  await relay.start()
  expect(relay.health(), relay.health().reason).toMatchObject({ state: 'healthy' })
  return relay
}

async function allocated (relay: TestRelay, host: string, user: string, family?: string): Promise<{ client: TurnClient, relayed: { address: string, port: number } }> {
  const client = await TurnClient.open({ transport: 'udp', host, port: relay.port, timeoutMs: 2000 })
  const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600, user), family)
  if (isRefusal(outcome)) throw new Error(`refused: ${outcome.code}`)
  return { client, relayed: outcome.relayed }
}

test.each(DRIVERS)('coturn %s lets through no more than the bytes a second that an allocation may have', async (_version, driver) => {
  const limit = 20_000
  const relay = await startRelay({ ...driver, TURNPIKE_RELAY_SESSION_BYTES_PER_SECOND: String(limit) })
  const [one, other] = [await allocated(relay, '127.0.0.1', 'shop.alice.0'), await allocated(relay, '127.0.0.1', 'shop.bob.0')]
  await one.client.createPermission('127.0.0.1')
  await other.client.createPermission('127.0.0.1')
  let bytes = 0
  other.client.onData((_, data) => { bytes += data.length })
  // Five times as much as it may.
  const sending = setInterval(() => one.client.send(other.relayed, Buffer.alloc(1000)), 10)
  await new Promise(resolve => setTimeout(resolve, 1000))
  const [before, began] = [bytes, performance.now()]
  await new Promise(resolve => setTimeout(resolve, 3000))
  const rate = (bytes - before) / (performance.now() - began) * 1000
  clearInterval(sending)
  expect(rate).toBeGreaterThan(limit * 0.5)
  expect(rate).toBeLessThan(limit * 1.4)
})

test.each(DRIVERS)('coturn %s serves DTLS where it is asked for, and not where it is not', async (_version, driver) => {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  const tls = { ...driver, TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key }
  // Each with the client of its own version: they do not agree on the numbers of channels.
  const program = driver['TURNPIKE_RELAY_IMAGE'] === undefined ? ['turnutils_uclient'] : ['docker', 'run', '--rm', '--network', 'host', COTURN_IMAGE, 'turnutils_uclient']
  const client = async (relay: TestRelay, seconds = '20'): Promise<void> => { await promisify(execFile)('timeout', [seconds, ...program, '-S', '-u', 'shop.alice.0', '-W', RELAY_SECRET, '-e', '127.0.0.1', '-r', '20900', '-p', relay.settings['TURNPIKE_RELAY_TLS_PORT'] ?? '', '-n', '5', '-m', '2', '-y', '-c', '127.0.0.1']) }
  const open = await startRelay({ ...tls, TURNPIKE_TLS_DTLS: 'on' })
  await client(open)
  await until('it is counted', async () => (await sample(open.metrics, 'turnpike_relay_allocations_total{relay="turnpike",transport="dtls"}') ?? 0) >= 1)
  await open.stop(2000)
  const shut = await startRelay({ ...tls, TURNPIKE_RELAY_MIN_PORT: '20600', TURNPIKE_RELAY_MAX_PORT: '20699' })
  await expect(client(shut, '4')).rejects.toThrow()
}, 90_000)

test.each(DRIVERS)('coturn %s relays over IPv6 beside IPv4 where it is given an address, and refuses private peers there too', async (_version, driver) => {
  const relay = await startRelay({ ...driver, TURNPIKE_RELAY_LISTEN_IP6: '::1' })
  expect(relay.health()).toMatchObject({ publicAddress: '127.0.0.1', publicAddress6: '::1' })
  const { client, relayed } = await allocated(relay, '::1', 'shop.alice.0', 'ipv6')
  expect(relayed.address).toBe('::1')
  for (const peer of ['fd00::1', 'fe80::1', '64:ff9b::7f00:1', '::ffff:10.0.0.1']) expect((await client.createPermission(peer))?.code, peer).toBe(403)
  const [one, other] = [await allocated(relay, '::1', 'shop.bob.0'), await allocated(relay, '127.0.0.1', 'shop.carol.0')]
  expect([one.relayed.address, other.relayed.address]).toEqual(['127.0.0.1', '127.0.0.1'])
  await until('all three are seen', () => relay.allocations().length === 3)
  await Promise.all([client, one.client, other.client].map(each => each.close()))
})
