/** What an operator may ask of a relay, under running calls: another coturn in its place, the same again, out of service. */
import { createServer } from 'node:net'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import type { TurnClient } from '../../src/stun/turn-client.ts'
import type { RelayHealth } from '../../src/relay/relay.ts'
import { loopbackSettings, startApp } from '../kit/app.ts'
import { run, signalGroup } from '../kit/command.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { until } from '../kit/files.ts'
import { joinAs } from '../kit/peer.ts'
import { alternatePort, ask, metric, relay, untilPhase } from '../kit/operations.ts'
import { allocated, issue, relayPort, startCall, untilLive } from '../kit/turn.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DOCKER = { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE, TURNPIKE_RELAY_MIN_PORT: '20500', TURNPIKE_RELAY_MAX_PORT: '20699' }
test('peers in rooms are given the URLs of the new coturn at once', async () => {
  const app = await startApp({ TURNPIKE_RELAY_HAND_OVER_SECONDS: '2' })
  const peer = await joinAs(app, 'room', 'a')
  expect(JSON.stringify(peer.welcome['iceServers'])).toContain(`:${relayPort(app)}?`)
  await ask(app, 'upgrade', { drainSeconds: 0 })
  expect(JSON.stringify((await peer.next('ice-servers'))['iceServers'])).toContain(`:${alternatePort(app)}?`)
  await untilPhase(app, 'done', 'main')
  // And back.
  expect(JSON.stringify((await peer.next('ice-servers'))['iceServers'])).toContain(`:${relayPort(app)}?`)
})

test('a new coturn that cannot be proved is ended, and the old one serves on with its calls', async () => {
  const app = await startApp()
  const call = await startCall(app)
  const thief = createServer().listen(alternatePort(app), '127.0.0.1')
  onTestFinished(() => { thief.close() })
  await new Promise(resolve => thief.once('listening', resolve))
  await ask(app, 'upgrade')
  await untilPhase(app, 'failed', 'main', 30_000)
  const { operation, ...health } = await relay(app)
  expect(operation).toMatchObject({ kind: 'upgrade', detail: expect.stringMatching(/not well.*tcp port \d+ on 127\.0\.0\.1 is taken/) })
  expect(health).toMatchObject({ state: 'healthy', handedOut: true, leaving: null })
  expect(await metric(app, 'turnpike_relay_upgrades_total{relay="turnpike",result="rolled_back"}')).toBe(1)
  const { sent, received } = await call.end()
  expect(received).toBe(sent)
})

test('an upgrade to an image that is not there, and one without a turnserver, are rolled back', async () => {
  const app = await startApp(DOCKER)
  await ask(app, 'upgrade', { image: 'turnpike.invalid/none:1' })
  await untilPhase(app, 'failed', 'main', 30_000)
  expect((await relay(app)).operation?.detail).toContain('turnpike.invalid/none:1')
  expect((await ask(app, 'upgrade', { image: 'no good image' })).status).toBe(400)
  expect((await relay(app))).toMatchObject({ state: 'healthy', handedOut: true })
  await allocated(relayPort(app), await issue(app))
})

test('what is left at the deadline is cut, its last bytes are counted, and the deadline can be brought forward', async () => {
  const app = await startApp({ TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' })
  const call = await startCall(app)
  await until('some of it is relayed', () => call.received() > 200)
  await ask(app, 'drain', { drainSeconds: 3600 })
  await untilPhase(app, 'draining', 'main')
  expect((await app.request('/v1/turn/credentials', { method: 'POST', body: '{}' })).body).toMatchObject({ code: 'relay-unavailable', detail: expect.stringContaining('drain is under way') })
  expect((await ask(app, 'upgrade')).body).toMatchObject({ status: 409, code: 'relay-busy' })
  expect((await ask(app, 'drain', { drainSeconds: 0 })).status).toBe(202)
  const { sent } = await call.end()
  await untilPhase(app, 'done', 'main')
  expect((await relay(app))).toMatchObject({ drained: true, handedOut: false, code: 'relay-drained', allocations: 0, operation: { cut: 2 } })
  const [day] = (await app.request('/v1/usage', { key: app.adminKey })).body['usage'] as { packetsFromClient: number }[]
  expect(day?.packetsFromClient).toBeGreaterThanOrEqual(sent * 0.9)
  expect(await metric(app, 'turnpike_relay_cuts_total{relay="turnpike",reason="drained"}')).toBe(2)
  // Out of service over a restart of Turnpike too, until it is asked back.
  await app.stop(2000)
  const next = await startApp({ ...app.env, TURNPIKE_ADMIN_KEY: 'an-admin-key-of-the-test-alone', TURNPIKE_API_KEY: 'an-api-key-of-the-test-alone-x' })
  expect(next.relayHealth()).toMatchObject({ drained: true, ready: false })
  await ask(next, 'restart')
  await untilPhase(next, 'done', 'main')
  await allocated(relayPort(next), await issue(next))
})

test('a restart ends the calls with their bytes counted, and the same ports serve again', async () => {
  const app = await startApp()
  const call = await startCall(app)
  await until('some of it is relayed', () => call.received() > 50)
  await ask(app, 'restart')
  await untilPhase(app, 'done', 'main')
  await call.end()
  expect((await relay(app)).operation).toMatchObject({ cut: 2 })
  expect(await metric(app, 'turnpike_relay_restarts_total{relay="turnpike",reason="asked"}')).toBe(1)
  await allocated(relayPort(app), await issue(app))
  await untilLive(app, 1)
})

type Next = { env: Record<string, string>, kill: () => Promise<void>, request: (path: string, body?: object) => Promise<Record<string, unknown>> }
const ADMIN = 'an-admin-key-of-the-test-alone'

/** The program itself, so that it can be killed. */
async function startProgram (env: Record<string, string>): Promise<Next> {
  const program = run('node_modules/.bin/node', ['bin/turnpike.mjs', 'serve'], env)
  await program.until(/open in the firewall/)
  const [, url = ''] = /API +(http:\/\/\S+)\/v1\/docs/.exec(program.out()) ?? []
  return {
    env,
    kill: async () => {
      signalGroup(program.child, 'SIGKILL')
      await program.exit
    },
    request: async (path, body) => {
      const answer = await fetch(url + path, { method: body === undefined ? 'GET' : 'POST', headers: { authorization: `Bearer ${ADMIN}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      return await answer.json() as Record<string, unknown>
    },
  }
}

async function programAllocation ({ env, request }: Next): Promise<TurnClient> {
  let answer: Record<string, unknown> = {}
  // It says that it is up also where coturn is not proved yet.
  await until('a credential', async () => {
    answer = await request('/v1/turn/credentials', { project: 'default', user: 'alice' })
    return answer['username'] !== undefined
  }, 20_000).catch((error: unknown) => { throw new Error(`${(error as Error).message}: ${JSON.stringify(answer)}`) })
  const { username, credential } = answer as { username: string, credential: string }
  return (await allocated(Number(env['TURNPIKE_RELAY_PORT']), { username, credential })).client
}

const DRIVERS: [string, Record<string, string>][] = [['4.6.1', {}], ['4.18.0', DOCKER]]

test.each(DRIVERS)('coturn %s: an upgrade and a drain that kill -9 of Turnpike broke off go on at the next start, and no call notices', async (_version, driver) => {
  const env = { ...await loopbackSettings(), ...driver, TURNPIKE_ADMIN_KEY: ADMIN, TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' }
  let program = await startProgram(env)
  const one = async (): Promise<RelayHealth> => await program.request('/v1/relays/turnpike') as unknown as RelayHealth
  const phase = async (wanted: string): Promise<void> => await until(`phase ${wanted}`, async () => (await one()).operation?.phase === wanted, 30_000)
  const client = await programAllocation(program)
  await until('it is seen', async () => (await one()).allocations === 1)
  await program.request('/v1/relays/turnpike/upgrade', {})
  await phase('draining')
  await program.kill()
  program = await startProgram(env)
  expect(await one()).toMatchObject({ slot: 'alternate', handedOut: true, leaving: { allocations: 1 }, operation: { kind: 'upgrade', phase: 'draining' } })
  await client.close()
  await phase('done')
  expect(await one()).toMatchObject({ slot: 'main', state: 'healthy', leaving: null, operation: { cut: 0 } })
  // The same with a drain.
  const other = await programAllocation(program)
  await until('it is seen', async () => (await one()).allocations === 1)
  await program.request('/v1/relays/turnpike/drain', {})
  await phase('draining')
  await program.kill()
  program = await startProgram(env)
  await until('its call is found again', async () => (await one()).allocations === 1)
  expect(await one()).toMatchObject({ handedOut: false, code: 'relay-drained', operation: { kind: 'drain', phase: 'draining' } })
  await other.close()
  await phase('done')
  expect(await one()).toMatchObject({ drained: true, allocations: 0 })
}, 120_000)

test('where Turnpike was stopped half-way through an upgrade, the next start goes back to the main ports', async () => {
  const app = await startApp({ TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' })
  await startCall(app)
  await untilLive(app, 2)
  await ask(app, 'upgrade')
  await untilPhase(app, 'draining', 'alternate')
  const began = performance.now()
  await app.stop(2500)
  expect(performance.now() - began).toBeLessThan(3000)
  const next = await startApp({ ...app.env, TURNPIKE_ADMIN_KEY: ADMIN, TURNPIKE_API_KEY: 'an-api-key-of-the-test-alone-x' })
  await untilPhase(next, 'done', 'main')
  expect(next.relayHealth()).toMatchObject({ state: 'healthy', slot: 'main', handedOut: true })
})

test('a drained relay is not upgraded, and an image is for the driver docker: both are said at once', async () => {
  const app = await startApp()
  expect((await ask(app, 'upgrade', { image: 'coturn/coturn:1' })).body).toMatchObject({ status: 400, errors: [{ field: 'image' }] })
  await ask(app, 'drain', { handOverSeconds: 0 })
  await untilPhase(app, 'done', 'main')
  expect((await ask(app, 'upgrade')).body).toMatchObject({ status: 503, code: 'relay-drained' })
})

test('a secret that is rotated while the new coturn is being started is known to it', async () => {
  const app = await startApp({ TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' })
  for (let i = 0; i < 4; i++) {
    await ask(app, 'upgrade', { drainSeconds: 0 })
    await new Promise(resolve => setTimeout(resolve, 60 * i))
    // In the moment in which neither of two coturns can be asked it is to be tried again, as the answer says.
    await until('it is rotated', async () => (await app.request('/v1/secrets/turn/rotate', { method: 'POST', key: app.adminKey, body: JSON.stringify({ overlap: 0 }) })).status === 200)
    await untilPhase(app, 'done', 'main')
    await allocated(relayPort(app), await issue(app))
  }
})

test.each(DRIVERS)('coturn %s: where the configuration is another one at a start, a coturn with calls is replaced as in an upgrade, and no call is dropped', async (_version, driver) => {
  const env = { ...await loopbackSettings(), ...driver, TURNPIKE_ADMIN_KEY: ADMIN, TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' }
  let program = await startProgram(env)
  const one = async (): Promise<RelayHealth> => await program.request('/v1/relays/turnpike') as unknown as RelayHealth
  const client = await programAllocation(program)
  await until('it is seen', async () => (await one()).allocations === 1)
  await program.kill()
  program = await startProgram({ ...env, TURNPIKE_RELAY_USER_QUOTA: '31' })
  await until('the second one serves', async () => (await one()).slot === 'alternate', 20_000)
  expect(await one()).toMatchObject({ state: 'healthy', handedOut: true, leaving: { allocations: 1 }, operation: { kind: 'upgrade' } })
  // It is the same allocation still, on the coturn of before.
  expect(await client.createPermission('127.0.0.1')).toBeNull()
  await client.close()
  await until('the main ports serve again', async () => (await one()).slot === 'main' && (await one()).operation?.phase === 'done', 30_000)
  const taken = await programAllocation(program)
  await taken.close()
}, 90_000)
