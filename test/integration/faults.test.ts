/** Faults between us and a coturn that serves: what it reports does not come, what it is told does not arrive, it has no ports, its clients flood its log. */
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import type { Address } from '../../src/stun/attributes.ts'
import { mintLogin, requireTurnserver } from '../kit/coturn.ts'
import { loopbackSettings, startApp, type TestApp } from '../kit/app.ts'
import { run } from '../kit/command.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { refusePort } from '../kit/refused-port.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'
import { allocate, allocated, issue, liveAllocations, relayPort, untilLive } from '../kit/turn.ts'

requireTurnserver()

/** coturn that also logs what it counts. */
function verboseTurnserver (): string {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/turnserver`, `#!/bin/sh\n[ "$1" = --version ] || echo verbose >> "$2"\nexec ${requireTurnserver()} "$@"\n`)
  chmodSync(`${directory}/turnserver`, 0o755)
  return directory
}

type Caller = { client: TurnClient, relayed: Address }

async function caller (relay: TestRelay, user: string): Promise<Caller> {
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: relay.port, timeoutMs: 5000 })
  onTestFinished(() => client.abandon())
  const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600, `shop.${user}.0`))
  if (isRefusal(outcome) || await client.createPermission('127.0.0.1') !== null) throw new Error(`refused: ${JSON.stringify(outcome)}`)
  return { client, relayed: outcome.relayed }
}

/** One sends the other some 750 packets a second until it is told to stop; resolves then to what was sent and what came. */
function call (one: Caller, other: Caller): () => Promise<{ sent: number, received: number }> {
  let [sent, received] = [0, 0]
  other.client.onData(() => received++)
  const sending = setInterval(() => {
    for (let i = 0; i < 15; i++, sent++) one.client.send(other.relayed, Buffer.alloc(160))
  }, 20)
  return async () => {
    clearInterval(sending)
    await until('the rest arrives', () => received === sent, 2000).catch(() => {})
    return { sent, received }
  }
}

/** What coturn's log says of the sessions of a user, client side, that have ended. */
function coturnTotals (relay: TestRelay, user: string): number[] {
  const found = relay.log.flatMap(line => {
    const numbers = new RegExp(`session \\d+: usage: .*username=<\\d+:shop\\.${user}\\.0>, rp=(\\d+), rb=(\\d+), sp=(\\d+), sb=(\\d+)`).exec(line)
    return numbers === null ? [] : [numbers.slice(1).map(Number)]
  })
  return [0, 1, 2, 3].map(i => found.reduce((sum, numbers) => sum + (numbers[i] ?? 0), 0))
}

const counted = (relay: TestRelay, user: string): number[] => relay.traffic.filter(event => event.user === user).reduce(([rp = 0, rb = 0, sp = 0, sb = 0], { counts }) => [rp + counts.receivedPackets, rb + counts.receivedBytes, sp + counts.sentPackets, sb + counts.sentBytes], [0, 0, 0, 0])
const isFed = async (relay: TestRelay): Promise<number | undefined> => await sample(relay.metrics, 'turnpike_relay_feed_connected{relay="turnpike"}')
const usersOf = (relay: TestRelay): string[] => relay.allocations().map(({ user }) => user).sort()

test('reports that do not reach us for a while cost no packet of a call, are told, and are made up for: list and sums are coturn\'s own again', async () => {
  const relay = await makeRelay({}, { programPath: [verboseTurnserver()] })
  await relay.start()
  const [one, other, carol] = [await caller(relay, 'alice'), await caller(relay, 'alice'), await caller(relay, 'carol')]
  const hangUp = call(one, other)
  await until('they are listed', () => usersOf(relay).join() === 'alice,alice,carol')
  // Which is known from coturn's own list alone: it is not asked for again within a minute.
  await until('their addresses are known', () => relay.allocations().every(({ relayAddress }) => relayAddress !== null))
  expect(await isFed(relay)).toBe(1)
  const allow = refusePort('127.0.0.2', relay.feedFile().port)
  const cutAt = performance.now()
  await until('it is told', async () => await isFed(relay) === 0)
  await carol.client.close()
  await caller(relay, 'bob')
  // Long enough for reports to get lost: coturn tells of 4096 packets at a time.
  await until('coturn has had something to report', () => performance.now() - cutAt > 9000, 12_000)
  expect(relay.health()).toMatchObject({ state: 'healthy', restarts: 0 })
  allow()
  await until('it reports again', async () => await isFed(relay) === 1)
  // Who came and who went meanwhile: known within seconds, not with the next comparison.
  await until('the list is right', () => usersOf(relay).join() === 'alice,alice,bob')
  const { sent, received } = await hangUp()
  expect(received).toBe(sent)
  for (const { client } of [one, other]) await client.close()
  await until('they have ended', () => usersOf(relay).join() === 'bob')
  await until('coturn has logged them', () => (coturnTotals(relay, 'alice')[0] ?? 0) > sent)
  await until('the sums are coturn\'s', () => counted(relay, 'alice').join() === coturnTotals(relay, 'alice').join(), 5000).catch(() => {})
  expect(counted(relay, 'alice')).toEqual(coturnTotals(relay, 'alice'))
})

const admin = (app: TestApp, method: string, path: string, body?: object) => app.request(path, { method, key: app.adminKey, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
const COMMAND_LINE_HOST = '127.0.0.2'
const commandLinePort = (dataDir = ''): number => (JSON.parse(readFileSync(`${dataDir}/relay/feed.json`, 'utf8')) as { controlPort: number }).controlPort

/** What our own metrics say at this address. */
async function scraped (url: string, line: string): Promise<number | undefined> {
  const text = await (await fetch(url)).text()
  return await sample({ render: async () => ({ text, contentType: '' }) }, line)
}

test('while coturn\'s command line is refused, a revocation says so and holds, nothing hangs, and the call is cut as soon as coturn listens again', async () => {
  const app = await startApp()
  const alice = await issue(app, { user: 'alice' })
  await allocated(relayPort(app), alice)
  await allocated(relayPort(app), await issue(app, { user: 'bob' }))
  const listed = await untilLive(app, 2)
  const allow = refusePort(COMMAND_LINE_HOST, commandLinePort(app.env['TURNPIKE_DATA_DIR']))
  const askedAt = performance.now()
  for (const path of ['/v1/turn/credentials/alice', `/v1/turn/allocations/${listed.find(({ user }) => user === 'bob')?.id}`]) {
    const answer = await admin(app, 'DELETE', path)
    expect([answer.status, answer.body['code']], path).toEqual([503, 'relay-control-lost'])
  }
  expect((await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}' })).status).toBe(403)
  expect(await liveAllocations(app)).toHaveLength(2)
  expect((await app.request('/readyz')).status).toBe(200)
  expect(performance.now() - askedAt).toBeLessThan(1000)
  allow()
  // Who was revoked goes by itself; who was only to be cut once is asked for again.
  expect(await untilLive(app, 1)).toMatchObject([{ user: 'bob' }])
  expect((await admin(app, 'DELETE', `/v1/turn/allocations/${listed.find(({ user }) => user === 'bob')?.id}`)).body).toEqual({ allocationsClosed: 1 })
})

test('a comparison with a coturn whose command line is refused is counted as failed, and the next one works', async () => {
  const relay = await makeRelay()
  await relay.start()
  await caller(relay, 'alice')
  const results = async (): Promise<(number | undefined)[]> => await Promise.all(['same', 'failed'].map(result => sample(relay.metrics, `turnpike_relay_reconciliations_total{relay="turnpike",result="${result}"}`)))
  await until('its address is known', () => relay.allocations()[0]?.relayAddress !== null && relay.allocations().length === 1)
  const [same = 0] = await results()
  const allow = refusePort(COMMAND_LINE_HOST, commandLinePort(relay.settings['TURNPIKE_DATA_DIR']))
  await expect(relay.reconcile()).rejects.toMatchObject({ code: 'relay-control-lost' })
  expect(await results()).toEqual([same, 1])
  expect(relay.allocations()).toHaveLength(1)
  allow()
  await relay.reconcile()
  expect(await results()).toEqual([same + 1, 1])
})

test('a range of ports that is used up is seen as that in metrics, health and doctor, and the relay is still handed out', async () => {
  const app = await startApp({ TURNPIKE_RELAY_MIN_PORT: '20500', TURNPIKE_RELAY_MAX_PORT: '20511', TURNPIKE_RELAY_PROBE_SECONDS: '1' })
  const noPort = async (): Promise<number> => await scraped(app.metricsUrl(), 'turnpike_relay_refusals_total{relay="turnpike",cause="no_port"}') ?? 0
  expect(await noPort()).toBe(0)
  const codes = new Set<number>()
  await until('the relay is full', async () => {
    // Of a user of its own: one user alone would be at his quota first.
    const { outcome } = await allocate(relayPort(app), await issue(app))
    if (isRefusal(outcome)) codes.add(outcome.code)
    return app.relayHealth().code === 'relay-full'
  }, 20_000)
  expect([...codes]).toEqual([508])
  expect(app.relayHealth()).toMatchObject({ state: 'degraded', ready: true, handedOut: true, restarts: 0 })
  await until('it is counted', async () => await noPort() > 0)
  expect((await issue(app, { user: 'bob' })).iceServers).toHaveLength(2)
  const { findings } = (await admin(app, 'GET', '/v1/doctor')).body as { findings: { check: string, result: string, what: string, cure: string | null }[] }
  expect(findings.find(({ check }) => check === 'relay-state')).toMatchObject({ result: 'warning', what: expect.stringContaining('508'), cure: expect.stringContaining('TURNPIKE_RELAY_MAX_PORT') })
})

test('after a jump of the clock, hard expiry judges by the new time: what has ended is cut, what is issued then lives', async () => {
  let offset = 0
  const app = await startApp({}, { nowSeconds: () => Math.floor(Date.now() / 1000) + offset })
  expect((await admin(app, 'PATCH', '/v1/projects/default', { expiry: 'hard' })).status).toBe(200)
  const [short, long] = [await issue(app, { user: 'short', ttl: 600 }), await issue(app, { user: 'long', ttl: 7200 })]
  for (const one of [short, long]) await allocated(relayPort(app), one)
  await untilLive(app, 2)
  offset = 3600
  const jumpedAt = performance.now()
  expect(await untilLive(app, 1)).toMatchObject([{ user: 'long' }])
  expect(performance.now() - jumpedAt).toBeLessThan(2000)
  expect(await scraped(app.metricsUrl(), 'turnpike_relay_cuts_total{relay="turnpike",reason="expired"}')).toBe(1)
  await allocated(relayPort(app), await issue(app, { user: 'new', ttl: 600 }))
  // To coturn, whose clock did not jump here, the old one is still good; to us it is not.
  await allocate(relayPort(app), short)
  await until('it is cut too', async () => await scraped(app.metricsUrl(), 'turnpike_relay_cuts_total{relay="turnpike",reason="expired"}') === 2)
  expect((await untilLive(app, 2)).map(({ user }) => user).sort()).toEqual(['long', 'new'])
})

/** Floods the relay from a process of its own; resolves to how many of its requests were answered. */
async function flood (port: number, packetsPerSecond: number, seconds: number, kind: 'wrong-passwords' | 'forbidden-peers', login: string[] = []): Promise<number> {
  const flooding = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'test/kit/flood.ts', '127.0.0.1', String(port), String(packetsPerSecond), String(seconds), kind, ...login], {})
  await flooding.exit
  return (JSON.parse(flooding.out()) as { answered: number }).answered
}

test('clients that fill coturn\'s log with errors by the thousand leave a few lines in ours, are counted, and keep us from nothing', async () => {
  const [httpPort = 0, metricsPort = 0] = await freePorts(2)
  const settings: Record<string, string> = { ...await loopbackSettings(), TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_METRICS_PORT: String(metricsPort), TURNPIKE_LOG_LEVEL: 'info', TURNPIKE_API_KEY: 'api-key-of-24-characters-or-more', TURNPIKE_RELAY_USER_QUOTA: '100' }
  const server = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], settings)
  const ask = async (path: string, options: RequestInit = {}): Promise<Response> => await fetch(`http://127.0.0.1:${httpPort}${path}`, { ...options, headers: { authorization: `Bearer ${settings['TURNPIKE_API_KEY']}` } })
  await until('it is ready', () => ask('/readyz').then(({ ok }) => ok, () => false), 20_000)
  const { username, credential } = await (await ask('/v1/turn/credentials', { method: 'POST' })).json() as { username: string, credential: string }
  const metric = async (line: string): Promise<number> => await scraped(`http://127.0.0.1:${metricsPort}/metrics`, line) ?? 0
  const refused = async (cause: string): Promise<number> => await metric(`turnpike_relay_refusals_total{relay="turnpike",cause="${cause}"}`)
  // Told since the last scrape: what the start took is not meant.
  await metric('turnpike_process_event_loop_lag_seconds')
  const linesBefore = server.all().split('\n').length
  const statuses: Promise<number>[] = []
  const asking = setInterval(() => statuses.push(ask('/healthz').then(({ status }) => status, () => 0)), 50)
  const port = Number(settings['TURNPIKE_RELAY_PORT'])
  const answered = await Promise.all([flood(port, 3000, 4, 'wrong-passwords'), flood(port, 2000, 4, 'forbidden-peers', [username, credential])]).finally(() => clearInterval(asking))
  const lag = await metric('turnpike_process_event_loop_lag_seconds{stat="max"}')
  expect(Math.min(...answered)).toBeGreaterThan(2000)
  expect(lag).toBeLessThan(0.2)
  expect(new Set(await Promise.all(statuses))).toEqual(new Set([200]))
  expect(statuses.length).toBeGreaterThan(40)
  expect(server.all().split('\n').length - linesBefore).toBeLessThanOrEqual(30)
  expect(await refused('wrong_credentials')).toBeGreaterThan(1000)
  expect(await refused('forbidden_peer')).toBeGreaterThan(1000)
  await until('the log of coturn is emptied', () => statSync(`${settings['TURNPIKE_DATA_DIR']}/relay/turnserver.log`).size === 0)
  expect((await ask('/readyz')).status).toBe(200)
})
