import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { requireTurnserver } from '../kit/coturn.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'

requireTurnserver()

function pidsOf (relay: TestRelay): number[] {
  const output = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
  return output.split('\n').filter(line => line.includes(`${relay.settings['TURNPIKE_DATA_DIR']}/relay/turnserver.conf`)).map(line => Number.parseInt(line))
}
const isHealthy = (relay: TestRelay) => (): boolean => relay.health().state === 'healthy'

test('the relay is started, proved, and gone when it is stopped', async () => {
  const relay = await makeRelay()
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: true, state: 'healthy', driver: 'process', version: '4.6.1', code: null })
  expect(relay.health().checks.filter(({ result }) => result !== 'passed')).toEqual([])
  expect(relay.endpoints()).toEqual([{ relay: 'turnpike', secret: null, host: '127.0.0.1', port: relay.port, tlsHost: '127.0.0.1', tlsPorts: [] }])
  expect(pidsOf(relay)).toHaveLength(1)
  const started = performance.now()
  await relay.stop(2000)
  expect(performance.now() - started).toBeLessThan(2000)
  expect(pidsOf(relay)).toEqual([])
  expect(relay.endpoints()).toEqual([])
})

test('coturn 4.6.1 takes every line of its configuration, and warns of nothing that we cause', async () => {
  const relay = await makeRelay({ TURNPIKE_RELAY_PEERS: 'internet' })
  await relay.start()
  await until('its log is read', () => relay.log.filter(line => line.startsWith('coturn:')).length > 20)
  const said = relay.log.filter(line => line.startsWith('coturn:'))
  expect(said.filter(line => /bad configuration|warning|wrong|error/i.test(line) && !/check_stun_auth|A peer IP .* denied|have expired/.test(line))).toEqual([])
})

test('after kill -9 it is back in under 2 s, and still handed out meanwhile', async () => {
  const relay = await makeRelay()
  await relay.start()
  const [pid = 0] = pidsOf(relay)
  process.kill(pid, 'SIGKILL')
  const started = performance.now()
  await until('the crash is noticed', () => relay.health().restarts === 1)
  expect(relay.endpoints()).toHaveLength(1)
  await until('it is back', isHealthy(relay))
  expect(performance.now() - started).toBeLessThan(2000)
  expect(pidsOf(relay)).toHaveLength(1)
  expect(pidsOf(relay)).not.toContain(pid)
  expect(await sample(relay.metrics, 'turnpike_relay_restarts_total{relay="turnpike",reason="relay-stopped"}')).toBe(1)
})

test('one that hangs is started again', async () => {
  const relay = await makeRelay()
  await relay.start()
  const [pid = 0] = pidsOf(relay)
  process.kill(pid, 'SIGSTOP')
  await until('the hang is noticed', () => relay.health().restarts === 1, 20_000)
  await until('it is back', isHealthy(relay))
  expect(pidsOf(relay)).not.toContain(pid)
})

test('a coturn whose control plane was killed goes on, and is taken over, not doubled', async () => {
  const first = await makeRelay()
  await first.start()
  const pids = pidsOf(first)
  await first.release()
  expect(pidsOf(first)).toEqual(pids)
  const second = await makeRelay(first.settings)
  await second.start()
  expect(second.health().state).toBe('healthy')
  expect(pidsOf(second)).toEqual(pids)
  expect(second.decisions().join()).toContain('was taken over')
  process.kill(pids[0] ?? 0, 'SIGKILL')
  await until('the end of one that was taken over is noticed', () => second.health().restarts === 1)
  await until('it is back', isHealthy(second))
})

test('with another configuration it is started anew, never doubled; and a lost note of it changes nothing', async () => {
  const first = await makeRelay()
  await first.start()
  const pids = pidsOf(first)
  await first.release()
  const second = await makeRelay({ ...first.settings, TURNPIKE_RELAY_USER_QUOTA: '7' })
  await second.start()
  expect(second.health().reason).toBe('every check passed')
  expect(pidsOf(second)).toHaveLength(1)
  expect(pidsOf(second)).not.toEqual(pids)
  await second.release()
  writeFileSync(`${second.settings['TURNPIKE_DATA_DIR']}/relay/turnserver.json`, '{')
  const third = await makeRelay(second.settings)
  await third.start()
  expect(pidsOf(third)).toHaveLength(1)
})

test('onStop keep leaves coturn relaying', async () => {
  const first = await makeRelay({ TURNPIKE_RELAY_ON_STOP: 'keep' })
  await first.start()
  const pids = pidsOf(first)
  await first.stop(1000)
  expect(pidsOf(first)).toEqual(pids)
  const second = await makeRelay({ ...first.settings, TURNPIKE_RELAY_ON_STOP: 'end' })
  await second.start()
  expect(pidsOf(second)).toEqual(pids)
})

test.each(['udp', 'tcp'])('a %s port that is taken is told with who holds it, and recovers when it is free', async protocol => {
  const relay = await makeRelay()
  const holder = protocol === 'udp' ? createSocket('udp4') : createServer()
  await new Promise<void>(resolve => (protocol === 'udp' ? (holder as ReturnType<typeof createSocket>).bind(relay.port, '127.0.0.1', resolve) : (holder as ReturnType<typeof createServer>).listen(relay.port, '127.0.0.1', resolve)))
  let open = true
  const free = (): void => {
    if (open) holder.close()
    open = false
  }
  onTestFinished(free)
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: false, state: 'failed', code: 'relay-port-busy', reason: expect.stringContaining(`${protocol} port ${relay.port} on 127.0.0.1 is taken by`) })
  expect(relay.health().reason).toContain(`pid ${process.pid}`)
  free()
  await until('it recovers', isHealthy(relay))
})

test('an address that is not of this machine is told', async () => {
  const relay = await makeRelay({ TURNPIKE_RELAY_LISTEN_IP: '203.0.113.77', TURNPIKE_RELAY_EXTERNAL_IP: '203.0.113.77' })
  await relay.start()
  expect(relay.health()).toMatchObject({ code: 'relay-address-wrong', reason: expect.stringContaining('203.0.113.77') })
})

test('a missing coturn is told with where it was looked for', async () => {
  const relay = await makeRelay({}, { programPath: ['/nowhere'] })
  await relay.start()
  expect(relay.health()).toMatchObject({ code: 'relay-program-missing', reason: expect.stringContaining('/nowhere') })
})

test.each([
  ['echo 4.17.1', 'relay-program-refused', 'TTL'],
  ['echo nothing', 'relay-program-refused', 'does not tell a version'],
  ['exit 1', 'relay-program-missing', '--version failed'],
])('a turnserver whose --version is `%s` is refused: %s', async (script, code, words) => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/turnserver`, `#!/bin/sh\n${script}\n`)
  chmodSync(`${directory}/turnserver`, 0o755)
  const relay = await makeRelay({}, { programPath: [directory] })
  await relay.start()
  expect(relay.health()).toMatchObject({ code, reason: expect.stringContaining(words) })
})

test('an option that coturn does not take ends it: it may be the one that keeps strangers out', async () => {
  // A real coturn that is given one line too many on its way.
  const directory = scratchDirectory()
  writeFileSync(`${directory}/turnserver`, `#!/bin/sh\n[ "$1" = --version ] && exec ${requireTurnserver()} --version\necho no-such-option >> "$2"\nexec ${requireTurnserver()} "$@"\n`)
  chmodSync(`${directory}/turnserver`, 0o755)
  const relay = await makeRelay({}, { programPath: [directory] })
  await relay.start()
  await until('it is told', () => relay.health().code === 'relay-config-rejected')
  expect(relay.health().reason).toContain('no-such-option')
})

test('a relay that serves strangers is stopped', async () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/turnserver`, `#!/bin/sh\n[ "$1" = --version ] && exec ${requireTurnserver()} --version\nsed -i '/auth-secret/d' "$2"; echo no-auth >> "$2"\nexec ${requireTurnserver()} "$@"\n`)
  chmodSync(`${directory}/turnserver`, 0o755)
  const relay = await makeRelay({}, { programPath: [directory] })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: false, state: 'failed', code: 'relay-open' })
  await until('it is ended', () => pidsOf(relay).length === 0)
  expect(relay.endpoints()).toEqual([])
})

test('under the policy internet a relay on loopback is ready, its echo left out with the reason', async () => {
  const relay = await makeRelay({ TURNPIKE_RELAY_PEERS: 'internet' })
  await relay.start()
  const { ready, checks } = relay.health()
  expect(ready).toBe(true)
  expect(checks.filter(({ check }) => check === 'echo').map(({ result, detail }) => `${result}: ${detail}`)).toEqual(Array(2).fill('left-out: the relay\'s own address 127.0.0.1 is a forbidden peer under TURNPIKE_RELAY_PEERS=internet'))
})

test('no secret is in the log, on a command line or readable by others', async () => {
  const relay = await makeRelay()
  await relay.start()
  const directory = `${relay.settings['TURNPIKE_DATA_DIR']}/relay`
  const { password } = JSON.parse(readFileSync(`${directory}/feed.json`, 'utf8')) as { password: string }
  // What coturn writes is taken out of its file ten times a second.
  await until('its log is read', () => relay.log.some(line => line.includes('Redis DB async connection')))
  const visible = [relay.log.join('\n'), readFileSync(`${directory}/turnserver.log`, 'utf8'), execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })].join('\n')
  expect(visible).not.toContain(RELAY_SECRET)
  expect(visible).not.toContain(password)
  const modes = execFileSync('stat', ['-c', '%a', directory, `${directory}/turnserver.conf`, `${directory}/feed.json`, `${directory}/turnserver.json`], { encoding: 'utf8' }).trim().split('\n')
  expect(modes).toEqual(['700', '600', '600', '600'])
  expect(existsSync(`${directory}/turnserver.conf`)).toBe(true)
})

test('an external relay is probed and never started', async () => {
  const home = await makeRelay()
  await home.start()
  const settings = { ...home.settings, TURNPIKE_DATA_DIR: scratchDirectory(), TURNPIKE_RELAY_DRIVER: 'external', TURNPIKE_PUBLIC_HOST: '127.0.0.1', TURNPIKE_RELAY_SECRET: RELAY_SECRET }
  const relay = await makeRelay(settings)
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: true, driver: 'external', version: null })
  await relay.stop(1000)
  expect(pidsOf(home)).toHaveLength(1)
})
