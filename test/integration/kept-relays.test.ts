/** A coturn that an earlier process has left is kept for its calls, whatever goes wrong at the next start. */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { loopbackSettings } from '../kit/app.ts'
import { run } from '../kit/command.ts'
import { mintLogin } from '../kit/coturn.ts'
import { COTURN_IMAGE, docker, requireDocker } from '../kit/docker.ts'
import { freePorts, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, type TestRelay } from '../kit/relay.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

async function callOn (relay: TestRelay): Promise<TurnClient> {
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: relay.port, timeoutMs: 2000 })
  const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600))
  expect(isRefusal(outcome)).toBe(false)
  onTestFinished(async () => { await client.close().catch(() => {}) })
  return client
}

test('a launch that fails at the next start ends nothing: coturn relays on, and is taken over when it can be', async () => {
  const first = await makeRelay()
  await first.start()
  const client = await callOn(first)
  await first.release()
  const broken = await makeRelay(first.settings, { programPath: [] })
  await broken.start()
  expect(broken.health()).toMatchObject({ ready: false, code: 'relay-program-missing' })
  expect(await client.createPermission('127.0.0.1')).toBeNull()
  await broken.release()
  const next = await makeRelay(first.settings)
  await next.start()
  expect(next.decisions()).toContain('coturn was running already and was taken over')
  await until('the call is listed', () => next.allocations().length === 1)
})

test('a coturn with calls and another configuration, which does not answer for a while, is not taken for one without calls', async () => {
  const first = await makeRelay()
  await first.start()
  const client = await callOn(first)
  const { pid } = JSON.parse(readFileSync(`${first.settings['TURNPIKE_DATA_DIR']}/relay/turnserver.json`, 'utf8')) as { pid: number }
  await first.release()
  process.kill(pid, 'SIGSTOP')
  const goesOn = setTimeout(() => process.kill(pid, 'SIGCONT'), 4000)
  onTestFinished(() => clearTimeout(goesOn))
  const next = await makeRelay({ ...first.settings, TURNPIKE_RELAY_USER_QUOTA: '31', TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' })
  await next.start()
  await until('another one serves beside it', () => next.health().slot === 'alternate' && next.health().ready, 30_000)
  expect(await client.createPermission('127.0.0.1')).toBeNull()
  expect(next.health().leaving).toMatchObject({ allocations: 1 })
  expect(next.health().restarts).toBe(0)
})

test('a kept coturn with another configuration that ends by itself is started with what is configured, and the table begins anew', async () => {
  const first = await makeRelay()
  await first.start()
  await callOn(first)
  const { pid } = JSON.parse(readFileSync(`${first.settings['TURNPIKE_DATA_DIR']}/relay/turnserver.json`, 'utf8')) as { pid: number }
  await first.release()
  // The other place is taken, so that nothing takes over.
  const thief = createServer().listen(Number(first.settings['TURNPIKE_RELAY_ALTERNATE_PORT']), '127.0.0.1')
  onTestFinished(() => { thief.close() })
  const next = await makeRelay({ ...first.settings, TURNPIKE_RELAY_USER_QUOTA: '31' })
  await next.start()
  await until('the change has failed, and the old one serves on', () => next.health().operation?.phase === 'failed' && next.health().handedOut, 30_000)
  await until('its call is listed', () => next.allocations().length === 1)
  process.kill(pid, 'SIGKILL')
  await until('it is started anew', () => next.health().restarts === 1 && next.health().state === 'healthy')
  expect(next.allocations()).toEqual([])
  const client = await callOn(next)
  await until('a new call is listed', () => next.allocations().length === 1)
  await client.close()
})

test('one whose passwords are lost is ended: it could neither be counted nor commanded', async () => {
  const first = await makeRelay()
  await first.start()
  await callOn(first)
  await first.release()
  writeFileSync(`${first.settings['TURNPIKE_DATA_DIR']}/relay/feed.json`, '')
  const next = await makeRelay({ ...first.settings, TURNPIKE_RELAY_USER_QUOTA: '31' })
  await next.start()
  expect(next.health()).toMatchObject({ ready: true, slot: 'main', operation: null })
  expect(next.allocations()).toEqual([])
})

test('in a container too it goes on where it is to be kept, and the process ends all the same', async () => {
  const [metricsPort = 0] = await freePorts(1)
  const env: Record<string, string> = { ...await loopbackSettings(), TURNPIKE_METRICS_PORT: String(metricsPort), TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE, TURNPIKE_RELAY_ON_STOP: 'keep' }
  const start = async () => {
    const program = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], env)
    await program.until('the relay is proved')
    return program
  }
  const first = await start()
  const mine = (): string[] => docker('ps', '-q', '--filter', 'label=io.turnpike.relay').split('\n').filter(id => id !== '' && docker('inspect', '--format', '{{range .Mounts}}{{.Source}} {{end}}', id).includes(env['TURNPIKE_DATA_DIR'] ?? 'none'))
  const containers = mine()
  expect(containers).toHaveLength(1)
  const asked = performance.now()
  first.child.kill('SIGTERM')
  expect((await first.exit).code).toBe(0)
  expect(performance.now() - asked).toBeLessThan(3000)
  expect(mine()).toEqual(containers)
  env['TURNPIKE_RELAY_ON_STOP'] = 'end'
  const second = await start()
  expect(second.out()).toContain('coturn was running already and was taken over')
  second.child.kill('SIGTERM')
  await second.exit
  expect(mine()).toEqual([])
})
