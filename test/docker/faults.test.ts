/** Faults of Docker under a relay that serves, each for real: no memory left, a container that somebody removes, an engine that is restarted. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { whenDone } from '../kit/cleanup.ts'
import { mintLogin } from '../kit/coturn.ts'
import { COTURN_IMAGE, docker, requireDocker } from '../kit/docker.ts'
import { until } from '../kit/files.ts'
import { startPrivateEngine, type PrivateEngine } from '../kit/private-engine.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DOCKER = { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }
const isHealthy = (relay: TestRelay) => (): boolean => relay.health().state === 'healthy'
const restarts = async (relay: TestRelay): Promise<number | undefined> => await sample(relay.metrics, 'turnpike_relay_restarts_total{relay="turnpike",reason="relay-stopped"}')

/** All of them, also those that have ended. */
function containersOf (relay: TestRelay, ask = docker): string[] {
  const owner = createHash('sha256').update(relay.feedFile().password).digest('hex').slice(0, 12)
  return ask('ps', '-aq', '--no-trunc', '--filter', `name=turnpike-relay-turnpike-${owner}`).split('\n').filter(id => id !== '')
}

/** A live allocation of shop.alice, or null where nobody answers or it is refused. */
async function allocate (relay: TestRelay, port = relay.port): Promise<TurnClient | null> {
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 1000 })
  onTestFinished(() => client.abandon())
  const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600, 'shop.alice.0')).catch(() => null)
  return outcome === null || isRefusal(outcome) ? null : client
}

test('a coturn that the kernel ends because its container has no memory left is back in seconds, and the reason is told', { retry: 2 }, async () => {
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_RELAY_USER_QUOTA: '10000' })
  await relay.start()
  const [id = ''] = containersOf(relay)
  // Twice what coturn alone takes; some hundred calls are too much for the rest.
  docker('update', '--memory', '12m', '--memory-swap', '12m', id)
  let isUp = true
  while (isUp && relay.health().restarts === 0) isUp = await allocate(relay) !== null
  const startedAt = performance.now()
  await until('its end is noticed', () => relay.health().restarts === 1, 20_000)
  await until('it is back', isHealthy(relay), 20_000)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  // The engine's own word that it was the kernel. It forgets it now and then where much else goes on: hence the retries.
  await until('the engine tells', () => docker('events', '--since', '60s', '--until', '0s', '--filter', `container=${id}`, '--filter', 'event=oom', '--format', '{{.Action}}') === 'oom', 20_000)
  expect(containersOf(relay)).toHaveLength(1)
  expect(containersOf(relay)).not.toContain(id)
  expect(await restarts(relay)).toBe(1)
  expect(relay.log.find(line => line.startsWith('relay restarting: '))).toContain('out of memory')
  expect(await allocate(relay)).not.toBeNull()
})

test('a container that somebody removes while it serves is made anew, once, and its end is told', async () => {
  const relay = await makeRelay(DOCKER)
  await relay.start()
  const [id = ''] = containersOf(relay)
  expect(await allocate(relay)).not.toBeNull()
  docker('rm', '-f', id)
  const startedAt = performance.now()
  await until('its end is noticed', () => relay.health().restarts === 1)
  expect(relay.endpoints()).toHaveLength(1)
  await until('it is back', isHealthy(relay))
  expect(performance.now() - startedAt).toBeLessThan(3000)
  expect(containersOf(relay)).toHaveLength(1)
  expect(await restarts(relay)).toBe(1)
  expect(relay.log.find(line => line.startsWith('relay restarting: '))).toMatch(/has ended.*relay-stopped.*started again by itself/)
  expect([relay.allocations(), await sample(relay.metrics, 'turnpike_relay_allocations{relay="turnpike",transport="udp"}')]).toEqual([[], 0])
  expect(await allocate(relay)).not.toBeNull()
})

/** The engine is away for as long as it takes to see it told. */
async function restartEngine (engine: PrivateEngine, whileAway: () => Promise<void>): Promise<void> {
  await engine.stop()
  await whileAway()
  await engine.start()
}

test('an engine that is stopped under a relay is told with its cure; when it runs again the relay is back by itself, and there is one of it', async () => {
  const engine = await startPrivateEngine()
  const relay = await makeRelay(DOCKER, { dockerHost: engine.host })
  await relay.start()
  const [id = ''] = containersOf(relay, engine.docker)
  expect(await allocate(relay)).not.toBeNull()
  await restartEngine(engine, async () => {
    await until('it is told', () => relay.health().code === 'docker-unreachable')
    expect(relay.health()).toMatchObject({ ready: false, reason: expect.stringContaining(engine.host) })
    expect(relay.log.findLast(line => line.startsWith('relay failed: '))).toMatch(/docker-unreachable.*Start Docker/)
  })
  await until('it is back', isHealthy(relay), 20_000)
  expect(containersOf(relay, engine.docker)).toHaveLength(1)
  expect(containersOf(relay, engine.docker)).not.toContain(id)
  expect(relay.allocations()).toEqual([])
  expect(await restarts(relay)).toBe(1)
  expect(await allocate(relay)).not.toBeNull()
  await until('the call is listed', () => relay.allocations().length === 1)
})

test('a restart of the engine that coturn outlives (live-restore) cuts no call, and its log and its end are seen afterwards', async () => {
  const engine = await startPrivateEngine('--live-restore')
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_RELAY_PROBE_SECONDS: '60' }, { dockerHost: engine.host })
  await relay.start()
  const [id = ''] = containersOf(relay, engine.docker)
  const call = await allocate(relay)
  await restartEngine(engine, async () => { expect(await allocate(relay)).not.toBeNull() })
  expect(await call?.createPermission('127.0.0.1')).toBeNull()
  const refusals = async (): Promise<number> => await sample(relay.metrics, 'turnpike_relay_refusals_total{relay="turnpike",cause="wrong_credentials"}') ?? 0
  const before = await refusals()
  await until('its log is read again', async () => {
    const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: relay.port, timeoutMs: 1000 })
    await client.allocate(mintLogin('a guess', 600))
    await client.close()
    return await refusals() > before
  })
  expect(containersOf(relay, engine.docker)).toEqual([id])
  expect([relay.health().state, relay.health().restarts]).toEqual(['healthy', 0])
  engine.docker('kill', id)
  await until('its end is noticed, long before the next probe', () => relay.health().restarts === 1)
  await until('it is back', isHealthy(relay))
  expect(containersOf(relay, engine.docker)).toHaveLength(1)
})

test('a control plane that is killed while an upgrade to another image hands over leaves both coturns and their calls to the next one', async () => {
  const image = `turnpike-test-other:${process.pid}`
  execFileSync('docker', ['build', '-q', '-t', image, '-'], { input: `FROM ${COTURN_IMAGE}\nLABEL io.turnpike.test=other\n`, stdio: ['pipe', 'ignore', 'pipe'] })
  whenDone(() => docker('rmi', '-f', image))
  const first = await makeRelay(DOCKER)
  await first.start()
  const [old = ''] = containersOf(first)
  const oldCall = await allocate(first)
  first.begin('turnpike', 'upgrade', { image, handOverSeconds: 60 })
  await until('the other serves', () => first.health().operation?.phase === 'handing-over', 20_000)
  const newCall = await allocate(first, first.health().port)
  const running = (): string[] => docker('ps', '-q', '--no-trunc', ...['relay', 'relay/alternate'].flatMap(place => ['--filter', `volume=${first.settings['TURNPIKE_DATA_DIR']}/${place}/userdb`])).split('\n').sort()
  const both = running()
  expect(both).toHaveLength(2)
  expect(both).toContain(old)
  await first.release()
  const second = await makeRelay(first.settings)
  await second.start()
  expect(second.health()).toMatchObject({ state: 'healthy', slot: 'alternate' })
  expect(running()).toEqual(both)
  await until('both calls are listed', () => second.allocations().length === 2)
  for (const call of [oldCall, newCall]) expect(await call?.createPermission('127.0.0.1')).toBeNull()
})
