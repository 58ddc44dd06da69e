/** What the relay refuses, on the coturn of Debian and on the newest, as Turnpike configures them for the internet: where to, how much back to strangers, and under a flood. */
import { createSocket, type Socket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createServer, isIPv6 } from 'node:net'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { isDenied } from '../../src/relay/denied-peers.ts'
import type { Address } from '../../src/stun/attributes.ts'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { run } from '../kit/command.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { freePorts, scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { FORBIDDEN, ownAddresses } from '../kit/forbidden.ts'
import { GRANTED, IPV4, IPV6, rawMessage, RawTurn, TCP, UDP } from '../kit/raw-turn.ts'
import { issue, relayPort } from '../kit/turn.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

type Settings = Record<string, string>
const DRIVERS: [version: string, driver: Settings][] = [['4.6.1', {}], ['4.18.0', { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }]]
/** Not loopback: the relay is to have an address that the rest of this machine trusts, such as Docker's bridge. */
const OWN_IPV4 = ownAddresses().find(address => !isIPv6(address) && !address.startsWith('127.')) ?? 'an IPv4 address is missing'
/** Whoever is on the internet reaches the others too: a public address of this machine is no forbidden destination (docs/decisions/005). */
const OWN_PRIVATE = ownAddresses().filter(address => isDenied(address, 'internet'))
/** An IPv6 peer is only looked at for an allocation of its family. A kernel without IPv6 has none, and then 443 is all that can be seen. */
const RELAYS = DRIVERS.flatMap(([version, driver]): [version: string, allocation: string, host: string, driver: Settings][] => ownAddresses().includes('::1')
  ? [[version, 'an IPv4 allocation', OWN_IPV4, driver], [version, 'an IPv6 allocation', '::1', driver]]
  : [[version, 'an IPv4 allocation (this kernel has no IPv6: what an IPv6 allocation is refused is left unproved)', OWN_IPV4, driver]])

async function settingsFor (host: string, driver: Settings): Promise<Settings> {
  const [port = 0] = await freePorts(1, host)
  return { ...driver, TURNPIKE_RELAY_PEERS: 'internet', TURNPIKE_RELAY_LISTEN_IP: host, TURNPIKE_PUBLIC_HOST: isIPv6(host) ? 'localhost' : host, TURNPIKE_RELAY_STUN_SERVERS: '', TURNPIKE_RELAY_PORT: String(port), TURNPIKE_HTTP_HOST: '0.0.0.0' }
}

async function attackerOf (app: TestApp, transport: 'udp' | 'tcp', host: string): Promise<RawTurn> {
  const { username, credential } = await issue(app)
  return await RawTurn.open(transport, { host, port: relayPort(app) }, { username, password: credential })
}

/** Listens on one port of all addresses of this machine, over UDP and TCP; tells what came. */
async function listenEverywhere (): Promise<{ port: number, heard: string[], udp: Socket }> {
  const [family, any] = ownAddresses().includes('::1') ? ['udp6' as const, '::'] : ['udp4' as const, '0.0.0.0']
  const heard: string[] = []
  const server = createServer(socket => { heard.push(`a TCP connection to ${socket.destroy().localAddress}`) })
  await new Promise<void>(resolve => server.listen(0, any, resolve))
  const { port } = server.address() as { port: number }
  const udp = createSocket(family).on('message', bytes => { heard.push(bytes.toString()) })
  await new Promise<void>(resolve => udp.bind(port, any, resolve))
  onTestFinished(() => {
    server.close()
    udp.close()
  })
  return { port, heard, udp }
}

type Tried = { what: string, address: string, code: number }

/** Everything there is to try, at each destination; a packet is sent after each, in case that it is let through all the same. */
async function tryAll (withUdp: RawTurn, withTcp: RawTurn, destinations: readonly string[], port: number): Promise<Tried[]> {
  const tried: Tried[] = []
  for (const address of destinations) {
    const peer = { address, port }
    const note = (what: string, code: number): void => { tried.push({ what, address, code }) }
    withUdp.send(peer, Buffer.from(`Send to ${address} without permission`))
    note('CreatePermission', await withUdp.createPermission(peer))
    withUdp.send(peer, Buffer.from(`Send to ${address}`))
    note('ChannelBind', await withUdp.channelBind(peer, Buffer.from(`channel to ${address}`)))
    note('Connect', await withUdp.connect(peer))
    note('Connect of TCP', await withTcp.connect(peer))
  }
  return tried
}

test.each(RELAYS)('coturn %s, %s: a valid credential leads to no forbidden destination, by permission, channel, Send or Connect, over UDP and TCP', async (version, _allocation, host, driver) => {
  const app = await startApp(await settingsFor(host, driver))
  expect(app.relayHealth().version).toBe(version)
  const { port, heard, udp } = await listenEverywhere()
  // The relay's own address may be a peer, unless it is loopback.
  const destinations = [...new Set([...FORBIDDEN, ...OWN_PRIVATE])].filter(address => address !== host || address === '::1')
  const ofFamily = (address: string): boolean => isIPv6(address) === isIPv6(host)
  expect(destinations.length).toBeGreaterThan(90)
  expect(destinations.filter(ofFamily).length).toBeGreaterThanOrEqual(40)
  const [family, other] = isIPv6(host) ? [IPV6, IPV4] : [IPV4, IPV6]
  for (const transport of ['udp', 'tcp'] as const) {
    const [withUdp, withTcp] = [await attackerOf(app, transport, host), await attackerOf(app, transport, host)]
    expect(await withUdp.allocate(UDP, family)).toMatchObject({ address: host })
    expect([await withTcp.allocate(UDP, other), await withTcp.allocate(TCP, family)]).toEqual([440, 442])
    // What is public is let through, so that what is not is not refused for another reason. Nothing is sent there.
    expect(await withUdp.createPermission({ address: isIPv6(host) ? '2606:4700::1111' : '8.8.8.8', port: 53 })).toBe(GRANTED)
    const tried = await tryAll(withUdp, withTcp, destinations, port)
    // 443: another family than that of the allocation.
    expect(tried.filter(({ what, address, code }) => code !== 403 && (ofFamily(address) || what.startsWith('Connect') || code !== 443))).toEqual([])
    expect(await withUdp.refresh()).toBe(GRANTED)
    // What is sent last comes last: the listener does hear, and there was nothing before.
    if (isIPv6(host)) {
      udp.send('the last', port, host)
    } else {
      expect(await withUdp.createPermission({ address: host, port })).toBe(GRANTED)
      withUdp.send({ address: host, port }, Buffer.from('the last'))
    }
    await until('the listener hears', () => heard.includes('the last'))
    expect(heard.splice(0)).toEqual(['the last'])
  }
})

test.each(DRIVERS)('coturn %s: the control plane is not reached through the relay: not on loopback, and on the relay\'s own address, which may be a peer, it has no UDP', async (_version, driver) => {
  const [metricsPort = 0] = await freePorts(1)
  const app = await startApp({ ...await settingsFor(OWN_IPV4, driver), TURNPIKE_METRICS_PORT: String(metricsPort) })
  const kept = JSON.parse(readFileSync(`${app.env['TURNPIKE_DATA_DIR']}/relay/feed.json`, 'utf8')) as { port: number, controlPort: number }
  const ports = [Number(new URL(app.url()).port), metricsPort, kept.port, kept.controlPort]
  for (const transport of ['udp', 'tcp'] as const) {
    const [withUdp, withTcp] = [await attackerOf(app, transport, OWN_IPV4), await attackerOf(app, transport, OWN_IPV4)]
    expect(await withUdp.allocate(UDP, IPV4)).toMatchObject({ address: OWN_IPV4 })
    expect(await withTcp.allocate(TCP, IPV4)).toBe(442)
    for (const port of ports) {
      const tried = await tryAll(withUdp, withTcp, ['127.0.0.1', '127.0.0.2', '0.0.0.0'], port)
      expect(tried.filter(({ code }) => code !== 403)).toEqual([])
      expect([await withUdp.connect({ address: OWN_IPV4, port }), await withTcp.connect({ address: OWN_IPV4, port })]).toEqual([403, 403])
    }
  }
  for (const port of ports) {
    // It could not be bound where somebody has it.
    const udp = createSocket('udp4')
    await new Promise<void>((resolve, reject) => udp.once('error', reject).bind(port, '0.0.0.0', resolve))
    udp.close()
  }
})

/** What strangers may send, each kind as small as it can be: the smaller the request, the larger the factor. */
const OF_STRANGERS: readonly Buffer[] = [
  // Requests of each method that STUN and TURN know, and of one that nobody knows.
  ...[0x001, 0x003, 0x004, 0x008, 0x009, 0x00A, 0x00B, 0x00C, 0x3EEF].map(method => rawMessage(method)),
  // Indications and answers.
  ...[0x011, 0x016, 0x017, 0x101, 0x111, 0x103, 0x113].map(type => rawMessage(type)),
  // RFC 5780 has the server pad, and answer to and from elsewhere: PADDING, RESPONSE-PORT, CHANGE-REQUEST; RFC 3489 even to another address.
  rawMessage(0x001, [[0x0026, Buffer.alloc(0)]]), rawMessage(0x001, [[0x0026, Buffer.alloc(64)]]), rawMessage(0x001, [[0x0027, Buffer.from([0x30, 0x39, 0, 0])]]), rawMessage(0x001, [[0x0003, Buffer.from([0, 0, 0, 6])]]),
  rawMessage(0x001, [[0x0002, Buffer.from([0, 1, 0x30, 0x39, 127, 0, 0, 1])]]), rawMessage(0x001, [], 0), rawMessage(0x001, [[0x0003, Buffer.from([0, 0, 0, 6])]], 0),
  // Attributes that must be understood and are not come back in a list.
  rawMessage(0x001, [[0x7001, Buffer.alloc(0)]]), rawMessage(0x001, Array.from({ length: 250 }, (_, i) => [0x7000 + i, Buffer.alloc(0)] as const)), rawMessage(0x003, [[0x7001, Buffer.alloc(0)]]),
  // Allocates with what a client may add: a transport, MOBILITY-TICKET, ORIGIN, and a login that is none.
  rawMessage(0x003, [[0x0019, Buffer.from([17, 0, 0, 0])]]), rawMessage(0x003, [[0x8010, Buffer.alloc(0)]]), rawMessage(0x003, [[0x802F, Buffer.from('https://a.example')]]),
  rawMessage(0x003, [[0x0006, Buffer.from('9999999999:a')], [0x0014, Buffer.from('turnpike')], [0x0015, Buffer.from('n')], [0x0008, Buffer.alloc(20)]]),
  // Not STUN: ChannelData, a DTLS ClientHello, HTTP, nothing, noise.
  Buffer.from('4000000401020304', 'hex'), Buffer.from('16feff000000000000000000360100002a000000000000002afefd0000000000000000000000000000000000000000000000000000000000000000000000000002c02b0100', 'hex'), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(1), randomBytes(20), randomBytes(1200),
]
/** Of a packet, before its UDP payload. */
const headerBytes = (host: string): number => isIPv6(host) ? 48 : 28

/** Each from a socket of its own; what comes back, in bytes and packets. */
async function answersTo (requests: readonly Buffer[], host: string, port: number): Promise<{ request: string, asked: number, bytes: number, packets: number }[]> {
  return await Promise.all(requests.map(async request => {
    const sizes: number[] = []
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').on('message', ({ length }) => { sizes.push(length) })
    socket.send(request, port, host)
    // Nothing tells that no answer will come, or no second one.
    await new Promise(resolve => setTimeout(resolve, 500))
    socket.close()
    return { request: request.toString('hex', 0, 40), asked: request.length, bytes: sizes.reduce((sum, size) => sum + size, 0), packets: sizes.length }
  }))
}

test.each(RELAYS)('coturn %s as for %s: strangers get one answer at most, of at most 5 times the bytes they sent, 3 times with headers, and 120 bytes or no more than they sent', async (_version, _allocation, host, driver) => {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  const app = await startApp({ ...await settingsFor(host, driver), TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key })
  const answers = await answersTo(OF_STRANGERS, host, relayPort(app))
  // A 401 needs an ERROR-CODE, a REALM and a NONCE (RFC 8489 §9.2.4): never below 3 times an empty request. 4.6.1 adds phrases (92 bytes for
  // 20, 108 for 28), FINGERPRINT takes 8. A factor of 3 with headers is what RFC 9000 §8.1 still lets a server send to who has not been proved.
  const header = headerBytes(host)
  expect(answers.filter(({ asked, bytes, packets }) => packets > 1 || bytes > 5 * asked || bytes + header * packets > 3 * (asked + header) || bytes > Math.max(120, asked))).toEqual([])
  // What must be answered is: Binding first, then Allocate.
  expect(answers.slice(0, 2).map(({ packets }) => packets)).toEqual([1, 1])
})

type Flood = { sent: number, answered: number }

/** In a process of its own; resolves when it is over. */
async function flood (host: string, port: number, packetsPerSecond: number, seconds: number, kind: 'strangers' | 'wrong-passwords'): Promise<Flood> {
  const flooding = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'test/kit/flood.ts', host, String(port), String(packetsPerSecond), String(seconds), kind], {})
  await flooding.exit
  return JSON.parse(flooding.out()) as Flood
}

async function caller (app: TestApp, host: string, user: string): Promise<{ client: TurnClient, relayed: Address }> {
  const { username, credential } = await issue(app, { user })
  const client = await TurnClient.open({ transport: 'udp', host, port: relayPort(app), timeoutMs: 5000 })
  const outcome = await client.allocate({ username, password: credential })
  if (isRefusal(outcome) || await client.createPermission(host) !== null) throw new Error(`refused: ${JSON.stringify(outcome)}`)
  return { client, relayed: outcome.relayed }
}

/** Two that meet at the relay's own address and send each other 50 packets a second, while something goes on; the share that was lost. */
async function lossOfCallDuring (app: TestApp, host: string, meanwhile: () => Promise<unknown>): Promise<{ sent: number, loss: number }> {
  const [one, other] = [await caller(app, host, 'alice'), await caller(app, host, 'bob')]
  let [sent, received] = [0, 0]
  for (const { client } of [one, other]) client.onData(() => received++)
  const sending = setInterval(() => {
    one.client.send(other.relayed, Buffer.alloc(160))
    other.client.send(one.relayed, Buffer.alloc(160))
    sent += 2
  }, 20)
  await meanwhile().finally(() => clearInterval(sending))
  await until('the rest arrives', () => received === sent, 500).catch(() => {})
  await Promise.all([one.client.close(), other.client.close()])
  return { sent, loss: (sent - received) / sent }
}

test.each(DRIVERS)('coturn %s: 10,000 packets a second of strangers take less than 2 % out of a call, and no more than that beyond a quiet run', async (_version, driver) => {
  const app = await startApp(await settingsFor(OWN_IPV4, driver))
  const quiet = await lossOfCallDuring(app, OWN_IPV4, async () => { await new Promise(resolve => setTimeout(resolve, 5000)) })
  let flooded: Flood = { sent: 0, answered: 0 }
  const during = await lossOfCallDuring(app, OWN_IPV4, async () => { flooded = await flood(OWN_IPV4, relayPort(app), 10_000, 5, 'strangers') })
  expect(flooded.sent).toBe(50_000)
  // Two of three ask for an answer.
  expect(flooded.answered).toBeGreaterThan(20_000)
  expect([quiet.sent, during.sent].filter(sent => sent < 400)).toEqual([])
  expect(quiet.loss).toBeLessThan(0.02)
  expect(during.loss - quiet.loss).toBeLessThan(0.02)
  expect(app.relayHealth()).toMatchObject({ ready: true, restarts: 0 })
})

test.each(DRIVERS)('coturn %s: 2000 guessed passwords a second leave no more than 30 lines in our log, and the control plane answers meanwhile', async (_version, driver) => {
  const [httpPort = 0] = await freePorts(1)
  const settings: Settings = { ...await settingsFor(OWN_IPV4, driver), TURNPIKE_DATA_DIR: scratchDirectory(), TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_METRICS_PORT: '0', TURNPIKE_LOG_LEVEL: 'info' }
  const server = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], { TURNPIKE_RELAY_DRIVER: 'process', ...settings })
  const answers = async (path: string): Promise<boolean> => await fetch(`http://127.0.0.1:${httpPort}${path}`).then(({ status }) => status === 200, () => false)
  await until('it is ready', () => answers('/readyz'), 20_000)
  const linesBefore = server.all().split('\n').length
  const asked: Promise<number>[] = []
  const ask = async (): Promise<number> => {
    const began = performance.now()
    return await answers('/healthz') ? performance.now() - began : Number.POSITIVE_INFINITY
  }
  const asking = setInterval(() => asked.push(ask()), 50)
  const { sent, answered } = await flood(OWN_IPV4, Number(settings['TURNPIKE_RELAY_PORT']), 2000, 3, 'wrong-passwords').finally(() => clearInterval(asking))
  const waits = await Promise.all(asked)
  expect([sent, answered > 2000]).toEqual([6000, true])
  expect(server.all().split('\n').length - linesBefore).toBeLessThanOrEqual(30)
  expect(waits.length).toBeGreaterThan(30)
  expect(Math.max(...waits)).toBeLessThan(1000)
  // What coturn wrote of it is read and gone.
  if (driver['TURNPIKE_RELAY_DRIVER'] === undefined) await until('the log of coturn is emptied', () => statSync(`${settings['TURNPIKE_DATA_DIR']}/relay/turnserver.log`).size === 0)
  expect(await answers('/readyz')).toBe(true)
})
