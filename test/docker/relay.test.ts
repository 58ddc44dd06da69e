import { execFileSync } from 'node:child_process'
import { totalmem } from 'node:os'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { COTURN_IMAGE, docker, requireDocker } from '../kit/docker.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'
import { loadConfig } from '../../src/config/load.ts'
import { chooseDriver } from '../../src/relay/choose-driver.ts'
import { memoryFor } from '../../src/relay/memory.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DOCKER = { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }
const containersOf = (relay: TestRelay): string[] => docker('ps', '-q', '--no-trunc', '--filter', `name=turnpike-relay-turnpike-${ownerOf(relay)}`).split('\n').filter(id => id !== '')
const ownerOf = (relay: TestRelay): string => JSON.parse(execFileSync('node', ['-p', `JSON.stringify(require('crypto').createHash('sha256').update(require('${relay.settings['TURNPIKE_DATA_DIR']}/relay/feed.json').password).digest('hex').slice(0,12))`], { encoding: 'utf8' })) as string
const isHealthy = (relay: TestRelay) => (): boolean => relay.health().state === 'healthy'

test('coturn 4.18.0 is started in a container, proved over UDP, TCP and TLS, and removed', async () => {
  const directory = scratchDirectory()
  const { cert, key } = selfMadeCertificate(directory)
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: true, driver: 'docker', version: '4.18.0', warnings: [] })
  expect(relay.health().checks.filter(({ result }) => result === 'passed')).toHaveLength(16)
  expect(containersOf(relay)).toHaveLength(1)
  await relay.stop(2000)
  expect(containersOf(relay)).toEqual([])
  expect(docker('volume', 'ls', '-q', '--filter', 'dangling=true').split('\n').filter(name => name.includes('turnpike'))).toEqual([])
})

test('coturn 4.18.0 takes every line of its configuration, and warns of nothing that we cause', async () => {
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_RELAY_PEERS: 'internet' })
  await relay.start()
  expect(relay.health().ready).toBe(true)
  const said = relay.log.filter(line => line.startsWith('coturn:'))
  expect(said.length).toBeGreaterThan(20)
  // A port may be another test's for a moment.
  expect(said.filter(line => /bad configuration|warning|wrong|error/i.test(line) && !/check_stun_auth|A peer IP .* denied|have expired|Trying to bind fd .* errno=98/.test(line))).toEqual([])
})

test('an image that is built with coturn/Dockerfile is run as well', async () => {
  await requireDocker('debian')
  const image = `turnpike-test-coturn:${process.pid}`
  execFileSync('docker', ['build', '-q', '-t', image, 'coturn'], { stdio: 'ignore', env: { ...process.env, DOCKER_BUILDKIT: '0' } })
  onTestFinished(() => { docker('rmi', '-f', image) })
  expect(docker('image', 'inspect', '--format', '{{.Config.User}} {{.Config.Entrypoint}}', image)).toBe('65534:65534 []')
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_RELAY_IMAGE: image })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: true, version: '4.18.0' })
  await relay.stop(2000)
}, 120_000)

test('the container has no rights, no writable root and no secret that can be looked up', async () => {
  const relay = await makeRelay(DOCKER)
  await relay.start()
  const [id = ''] = containersOf(relay)
  const [{ HostConfig, Config }] = JSON.parse(docker('inspect', id)) as [{ HostConfig: Record<string, unknown>, Config: Record<string, unknown> }]
  expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'], CapAdd: ['NET_BIND_SERVICE'], NetworkMode: 'host', Init: true, SecurityOpt: ['no-new-privileges:true'], Privileged: false, PidsLimit: 1024 })
  expect(Config).toMatchObject({ User: '65534:65534' })
  const { config: { relay: { minPort, maxPort } } } = loadConfig({ env: relay.settings, readFile: () => '' })
  expect(HostConfig['Memory']).toBe(memoryFor({ minPort, maxPort }, totalmem()))
  const visible = [docker('inspect', id), docker('logs', id), execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }), relay.log.join('\n')].join('\n')
  expect(visible).not.toContain(RELAY_SECRET)
})

test('after kill -9 it is back, and there is one of it', async () => {
  const relay = await makeRelay(DOCKER)
  await relay.start()
  const [id = ''] = containersOf(relay)
  process.kill(Number(docker('inspect', '--format', '{{.State.Pid}}', id)), 'SIGKILL')
  const started = performance.now()
  await until('the crash is noticed', () => relay.health().restarts === 1)
  await until('it is back', isHealthy(relay))
  expect(performance.now() - started).toBeLessThan(2000)
  expect(containersOf(relay)).toHaveLength(1)
  expect(containersOf(relay)).not.toContain(id)
})

test('a container that an earlier control plane left is taken over, not doubled; one with another configuration is replaced', async () => {
  const first = await makeRelay(DOCKER)
  await first.start()
  const containers = containersOf(first)
  await first.release()
  const second = await makeRelay(first.settings)
  await second.start()
  expect(containersOf(second)).toEqual(containers)
  await second.release()
  const least = String(64 * 2 ** 20)
  const third = await makeRelay({ ...first.settings, TURNPIKE_RELAY_MEMORY_BYTES: least })
  await third.start()
  expect(third.health().ready).toBe(true)
  expect(containersOf(third)).toHaveLength(1)
  expect(containersOf(third)).not.toEqual(containers)
  expect(docker('inspect', '--format', '{{.HostConfig.Memory}}', ...containersOf(third))).toBe(least)
})

test('what the client of coturn 4.18.0 relays through it is counted for its project', async () => {
  const relay = await makeRelay(DOCKER)
  await relay.start()
  const [messages, bytes] = [500, 170]
  docker('run', '--rm', '--network', 'host', COTURN_IMAGE, 'turnutils_uclient', '-t', '-u', 'shop.alice.0', '-W', RELAY_SECRET, '-e', '127.0.0.1', '-r', '20900', '-p', String(relay.port), '-n', String(messages), '-m', '1', '-l', String(bytes), '-z', '1', '-X', '-c', '127.0.0.1')
  const counted = async (): Promise<number> => await sample(relay.metrics, 'turnpike_relay_bytes_total{project="shop",relay="turnpike",transport="tcp",direction="from_client"}') ?? 0
  await until('every allocation is gone', async () => await sample(relay.metrics, 'turnpike_relay_allocations{relay="turnpike",transport="tcp"}') === 0 && await counted() > 0, 20_000)
  expect(await counted()).toBeGreaterThanOrEqual(messages * bytes)
  expect(await counted()).toBeLessThan(messages * (bytes + 44) + 20_000)
  expect(relay.traffic.every(({ project, user }) => project === 'shop' && user === 'alice')).toBe(true)
})

test('an image that is not here and cannot be pulled is told by name', async () => {
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_RELAY_IMAGE: 'turnpike.invalid/no-such-image:1' })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: false, code: 'relay-image-missing', reason: expect.stringContaining('turnpike.invalid/no-such-image:1') })
})

test.each(['a dead socket', 'no socket'])('%s of the engine is told with where it was looked for', async kind => {
  const path = `${scratchDirectory()}/docker.sock`
  // A socket file that nobody listens on any more.
  if (kind === 'a dead socket') execFileSync('python3', ['-c', `import socket; socket.socket(socket.AF_UNIX).bind('${path}')`])
  const relay = await makeRelay(DOCKER, { dockerHost: `unix://${path}` })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: false, code: 'docker-unreachable', reason: expect.stringContaining(path) })
})

test('an engine that accepts and never answers is told, not waited for', async () => {
  const path = `${scratchDirectory()}/docker.sock`
  const silent = createServer(() => {})
  await new Promise<void>(resolve => silent.listen(path, resolve))
  onTestFinished(() => { silent.close() })
  const relay = await makeRelay(DOCKER, { dockerHost: `unix://${path}` })
  await relay.start()
  expect(relay.health()).toMatchObject({ code: 'docker-unreachable', reason: expect.stringContaining('no answer within') })
})

test('auto takes Docker where it has the image, otherwise the process, and says why', async () => {
  const { config } = loadConfig({ env: { TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }, readFile: () => '' })
  const silent = (): void => {}
  const needs = { config: config.relay, relay: 'x', owner: 'x', directory: scratchDirectory(), programPath: [], dockerHost: undefined, installRelay: false, log: { debug: silent, info: silent, warn: silent, error: silent } }
  const asDocker = await chooseDriver(needs)
  expect([asDocker.driver.kind, asDocker.why]).toEqual(['docker', `Docker answers and has ${COTURN_IMAGE}`])
  const path = `${scratchDirectory()}/docker.sock`
  writeFileSync(path, '')
  const asProcess = await chooseDriver({ ...needs, dockerHost: `unix://${path}` })
  expect(asProcess.driver.kind).toBe('process')
  expect(asProcess.why).toContain('not Docker')
  expect(asProcess.why).toContain(path)
})
