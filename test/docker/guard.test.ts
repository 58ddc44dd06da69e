/** The Docker guard before a real engine: the docker driver does all of its work through it, and nothing else gets past. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { pack } from 'tar-stream'
import { beforeAll, expect, test } from 'vitest'
import { coturnContainer, MACHINES_NETWORK, versionContainer, type ContainerNetwork, type ContainerRequest } from '../../src/protocol/coturn-container.ts'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { whenDone } from '../kit/cleanup.ts'
import { run, signalGroup } from '../kit/command.ts'
import { mintLogin } from '../kit/coturn.ts'
import { COTURN_IMAGE, docker, requireDocker } from '../kit/docker.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { askOver, ENGINE, startGuard, type TestGuard } from '../kit/guard.ts'
import { makeRelay, RELAY_SECRET, type TestRelay } from '../kit/relay.ts'
import { engineAt } from '../../src/guard/engine.ts'
import { raise } from '../../src/guard/raise.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DOCKER = { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }
const ownerOf = (relay: TestRelay): string => createHash('sha256').update(relay.feedFile().password).digest('hex').slice(0, 12)
const containersOf = (relay: TestRelay): string[] => docker('ps', '-aq', '--no-trunc', '--filter', `name=turnpike-relay-turnpike-${ownerOf(relay)}`).split('\n').filter(id => id !== '')
const isHealthy = (relay: TestRelay) => (): boolean => relay.health().state === 'healthy'

async function behindGuard (more: Record<string, string> = {}): Promise<{ relay: TestRelay, guard: TestGuard }> {
  const dataDir = scratchDirectory()
  const guard = await startGuard(dataDir)
  return { guard, relay: await makeRelay({ ...DOCKER, TURNPIKE_DATA_DIR: dataDir, ...more }, { dockerHost: guard.host }) }
}

test('through the guard coturn is started, proved, ended by a stranger and back, taken over, given a certificate, replaced and removed', async () => {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  const { relay: first, guard } = await behindGuard({ TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key, TURNPIKE_TLS_CHECK_SECONDS: '1' })
  await first.start()
  expect(first.health()).toMatchObject({ ready: true, driver: 'docker', version: '4.18.0', warnings: [] })
  const [id = ''] = containersOf(first)
  docker('kill', id)
  await until('its end is noticed', () => first.health().restarts === 1)
  await until('it is back', isHealthy(first), 40_000)
  const containers = containersOf(first)
  expect(containers).toHaveLength(1)
  const renewed = selfMadeCertificate(scratchDirectory())
  renameSync(renewed.key, key)
  renameSync(renewed.cert, cert)
  await until('the certificate is installed', () => first.log.some(line => line.startsWith('a new certificate is installed')))
  await first.release()
  const second = await makeRelay(first.settings, { dockerHost: guard.host })
  await second.start()
  expect(containersOf(second)).toEqual(containers)
  second.begin('turnpike', 'upgrade', { handOverSeconds: 0, drainSeconds: 0 })
  await until('another one is in its place', () => ['done', 'failed', 'rolled-back'].includes(second.health().operation?.phase ?? ''), 20_000)
  expect(second.health().operation).toMatchObject({ phase: 'done' })
  expect(second.health()).toMatchObject({ slot: 'main', state: 'healthy' })
  expect(containersOf(second)).not.toEqual(containers)
  await second.stop(2000)
  expect(docker('ps', '-aq', '--filter', `volume=${first.settings['TURNPIKE_DATA_DIR']}`)).toBe('')
  expect(guard.log.filter(line => line.startsWith('refused'))).toEqual([])
})

test('a guard that is killed takes no call with it; it is told, and everything goes on when there is one again', async () => {
  const dataDir = scratchDirectory()
  const socket = `${scratchDirectory()}/docker.sock`
  const start = async (): Promise<ReturnType<typeof run>> => {
    const guard = run('node', ['bin/turnpike.mjs', 'docker-guard', '--listen', socket], { TURNPIKE_DATA_DIR: dataDir, TURNPIKE_RELAY_IMAGE: COTURN_IMAGE })
    await guard.until('the Docker engine is guarded')
    return guard
  }
  const guard = await start()
  const relay = await makeRelay({ ...DOCKER, TURNPIKE_DATA_DIR: dataDir }, { dockerHost: `unix://${socket}` })
  await relay.start()
  const [id = ''] = containersOf(relay)
  const call = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: relay.port, timeoutMs: 1000 })
  whenDone(() => call.abandon())
  expect(isRefusal(await call.allocate(mintLogin(RELAY_SECRET, 600, 'shop.alice.0')))).toBe(false)
  signalGroup(guard.child, 'SIGKILL')
  await guard.exit
  expect(await call.createPermission('127.0.0.1')).toBeNull()
  expect(relay.health()).toMatchObject({ state: 'healthy', restarts: 0 })
  // Now coturn ends too: nobody can start another one.
  docker('kill', id)
  await until('it is told', () => relay.health().code === 'docker-unreachable')
  expect(relay.health().reason).toContain(socket)
  const next = await start()
  await until('it is back', isHealthy(relay), 40_000)
  expect(containersOf(relay)).toHaveLength(1)
  await relay.stop(2000)
  next.child.kill('SIGTERM')
  expect((await next.exit).code).toBe(0)
})

test('a guard of another data directory starts no coturn, and that is told with its cure', async () => {
  const guard = await startGuard(scratchDirectory())
  const relay = await makeRelay(DOCKER, { dockerHost: guard.host })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: false, code: 'docker-refused', reason: expect.stringContaining('HostConfig.Mounts') })
})

/** What a coturn of this guard is made with, and the directory that is mounted in it. */
function wellMade (dataDir: string, network: ContainerNetwork = { mode: MACHINES_NETWORK, name: null }): ContainerRequest & { body: { HostConfig: Record<string, unknown> } } {
  const users = `${dataDir}/relay/userdb`
  mkdirSync(users, { recursive: true })
  return coturnContainer({ relay: 'turnpike', owner: 'a'.repeat(12), image: COTURN_IMAGE, digest: 'b'.repeat(64), composeProject: null, users, hasLowPort: false, network, memoryBytes: 2 ** 29 }) as ReturnType<typeof wellMade>
}

/** Taken away, should the guard have let it be made. */
function removedAfterwards (): void {
  whenDone(() => { execFileSync('sh', ['-c', `docker ps -aq --filter name=turnpike-relay-turnpike-${'a'.repeat(12)} | xargs -r docker rm -fv`], { stdio: 'ignore' }) })
}

test('what is created is exactly a coturn, and everything else is refused with what is wrong', async () => {
  removedAfterwards()
  const dataDir = scratchDirectory()
  const { ask, log } = await startGuard(dataDir)
  const { name, body } = wellMade(dataDir)
  const { HostConfig } = body
  const create = async (changed: unknown, as = name ?? ''): ReturnType<typeof ask> => await ask('POST', `/containers/create?name=${as}`, changed)
  const withHost = (more: object): object => ({ ...body, HostConfig: { ...HostConfig, ...more } })
  const mount = { Type: 'bind', Source: `${dataDir}/relay/userdb`, Target: '/var/lib/turnpike' }
  const plain = JSON.stringify(body)
  const attempts: [unknown, string][] = [
    [withHost({ Privileged: true }), 'HostConfig.Privileged'],
    [withHost({ Binds: ['/:/host'] }), 'HostConfig.Binds'],
    [withHost({ Mounts: [mount, { Type: 'bind', Source: '/', Target: '/host' }] }), 'HostConfig.Mounts.1'],
    [withHost({ Mounts: [{ ...mount, Source: '/' }] }), 'HostConfig.Mounts'],
    [withHost({ Mounts: [{ ...mount, Source: `${dataDir}/relay/userdb/../../../../etc` }] }), 'HostConfig.Mounts'],
    [withHost({ Mounts: [{ ...mount, Source: dataDir }] }), 'HostConfig.Mounts'],
    [withHost({ Mounts: [{ ...mount, Target: '/etc' }] }), 'HostConfig.Mounts.0.Target'],
    [withHost({ Mounts: [{ ...mount, BindOptions: { Propagation: 'rshared' } }] }), 'HostConfig.Mounts.0.BindOptions'],
    [withHost({ CapAdd: ['NET_BIND_SERVICE', 'SYS_ADMIN'] }), 'HostConfig.CapAdd.1'],
    [withHost({ CapDrop: [] }), 'HostConfig.CapDrop.0'],
    [withHost({ PidMode: 'host' }), 'HostConfig.PidMode'],
    [withHost({ NetworkMode: 'container:other' }), 'HostConfig.NetworkMode'], [withHost({ NetworkMode: 'bridge' }), 'HostConfig.NetworkMode'], [withHost({ NetworkMode: ['host'] }), 'HostConfig.NetworkMode'],
    [withHost({ PortBindings: { '22/tcp': [{ HostPort: '22' }] } }), 'HostConfig.PortBindings'],
    [{ ...body, NetworkingConfig: { EndpointsConfig: { other: {} } } }, 'NetworkingConfig'],
    ...[0, -1, 1e6, 2 ** 41, 2 ** 29 + 0.5, '536870912'].map((Memory): [unknown, string] => [withHost({ Memory }), 'HostConfig.Memory']),
    [withHost({ MemorySwap: -1 }), 'HostConfig.MemorySwap'], [withHost({ OomKillDisable: true }), 'HostConfig.OomKillDisable'], [withHost({ PidsLimit: -1 }), 'HostConfig.PidsLimit'],
    [withHost({ Devices: [{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda', CgroupPermissions: 'rwm' }] }), 'HostConfig.Devices'],
    [withHost({ SecurityOpt: ['seccomp=unconfined'] }), 'HostConfig.SecurityOpt.0'],
    [withHost({ ReadonlyRootfs: false }), 'HostConfig.ReadonlyRootfs'],
    [withHost({ LogConfig: { Type: 'syslog', Config: {} } }), 'HostConfig.LogConfig'],
    [{ ...body, hostconfig: { Privileged: true } }, 'hostconfig'],
    [plain.replace('"HostConfig":', '"hostConfig":'), 'HostConfig'],
    // The engine reads the last of two, in any letters.
    [plain.replace('"ReadonlyRootfs":', '"readonlyrootfs":false,"ReadonlyRootfs":'), 'readonlyrootfs'],
    [plain.replace('"Image":', '"__proto__":{"HostConfig":{"Privileged":true}},"Image":'), '__proto__'],
    [{ ...body, Image: 'debian:bookworm' }, 'Image'],
    [{ ...body, Entrypoint: ['sh', '-c', 'id'] }, 'Entrypoint'],
    [{ ...body, Cmd: ['--help'] }, 'Cmd.0'],
    [{ ...body, User: '0:0' }, 'User'],
    [{ ...body, Env: ['LD_PRELOAD=/var/lib/turnpike/x.so'] }, 'Env'],
    [{ ...body, Labels: { ...body.Labels, 'com.docker.compose.project': 'somebody' } }, 'Labels'],
    [{ ...body, Labels: { ...body.Labels, 'io.turnpike.guard': 'x' } }, 'Labels.io.turnpike.guard'],
    [{ ...body, Labels: { ...body.Labels, 'io.turnpike.network': 'x' } }, 'Labels.io.turnpike.network'],
    [{ ...versionContainer({ image: COTURN_IMAGE, owner: 'a'.repeat(12) }).body, Entrypoint: ['sh'] }, 'Entrypoint.0'],
    ['{"Image":', 'no JSON'], ['[]', 'Image'], ['null', 'Image'], [' '.repeat(70_000), 'longer than'],
  ]
  for (const [changed, reason] of attempts) {
    const answer = await create(changed)
    expect({ reason, ...answer }).toMatchObject({ status: 403, message: expect.stringContaining(reason) })
  }
  expect((await create(body, 'postgres')).message).toContain('the name is not')
  expect((await ask('POST', `/containers/create?name=${name}&platform=linux`, body)).status).toBe(403)
  expect(log.filter(line => line.startsWith('refused'))).toHaveLength(attempts.length + 2)
  expect(docker('ps', '-aq', '--filter', `name=${name}`)).toBe('')
  // And the one that is right is made, marked, in chunks too.
  const made = await ask('POST', `/containers/create?name=${name}`, body, { 'transfer-encoding': 'chunked' })
  expect(made.status).toBe(201)
  expect(docker('inspect', '--format', '{{index .Config.Labels "io.turnpike.guard"}} {{.HostConfig.Privileged}}', name ?? '')).toMatch(/^[0-9a-f]{12} false$/)
})

test('a link in the way of the directory that is mounted is refused, when the container is made and when it is started', async () => {
  removedAfterwards()
  const dataDir = scratchDirectory()
  const { ask } = await startGuard(dataDir)
  const { name, body } = wellMade(dataDir)
  const { status, body: made } = await ask('POST', `/containers/create?name=${name}`, body)
  expect(status).toBe(201)
  renameSync(`${dataDir}/relay`, `${dataDir}/moved`)
  mkdirSync(`${dataDir}/relay`)
  symlinkSync('/etc', `${dataDir}/relay/userdb`)
  const started = await ask('POST', `/containers/${(made as { Id: string }).Id}/start`)
  expect(started).toMatchObject({ status: 403, message: expect.stringContaining('is no directory of its own') })
  expect(await ask('POST', `/containers/create?name=${name}`, body)).toMatchObject({ status: 403, message: expect.stringContaining('is no directory of its own') })
})

test('coturn gets the network of Turnpike, whatever that is, and never one that a caller names', async () => {
  removedAfterwards()
  const dataDir = scratchDirectory()
  const { ask } = await startGuard(dataDir)
  const run = (name: string, ...options: string[]): string => {
    whenDone(() => { docker('rm', '-f', `turnpike-test-${name}-${process.pid}`) })
    return docker('run', '-d', '--init', '--name', `turnpike-test-${name}-${process.pid}`, ...options, '--entrypoint', 'sleep', COTURN_IMAGE, 'infinity')
  }
  const [network, other] = ['network', 'other'].map(name => run(name, '--network', 'none', '-e', 'PASSWORD=hunter2'))
  const create = async (mode: string): ReturnType<typeof ask> => {
    const { name, body } = wellMade(dataDir, { mode, name: mode === MACHINES_NETWORK ? null : 'c'.repeat(12) })
    return await ask('POST', `/containers/create?name=${name}`, body)
  }
  // As long as Turnpike does not share it, it is anybody's.
  expect((await ask('GET', `/containers/${network}/json`)).status).toBe(403)
  expect((await create(`container:${network}`)).message).toContain('HostConfig.NetworkMode')
  // Somebody else's that would like to be taken for it, and the guard's own, count for nothing.
  run('neighbour', '--network', `container:${other}`, '-v', `${scratchDirectory()}:/data`)
  run('guard', '--network', 'none', '-v', `${dataDir}:/data`)
  const turnpike = run('turnpike', '--network', `container:${network}`, '-v', `${dataDir}:/data`, '-e', 'PASSWORD=hunter2')
  for (const mode of [MACHINES_NETWORK, `container:${other}`, `container:${turnpike}`, `container:${network?.slice(0, 12)}`, `container:turnpike-test-network-${process.pid}`, 'none', 'bridge', '']) {
    expect({ mode, ...await create(mode) }).toMatchObject({ status: 403, message: expect.stringContaining('HostConfig.NetworkMode') })
  }
  // All that it says of the one whose network it is: whose network it is.
  const asked = await ask('GET', `/containers/${network?.slice(0, 12)}/json`)
  expect(asked.body).toMatchObject({ Id: turnpike, HostConfig: { NetworkMode: `container:${network}` }, Mounts: [{ Source: dataDir, Destination: '/data' }] })
  expect(JSON.stringify(asked.body)).not.toContain('hunter2')
  expect((await ask('GET', `/containers/${other}/json`)).status).toBe(403)
  for (const [method, what] of [['POST', '/start'], ['POST', '/stop'], ['POST', '/kill?signal=SIGTERM'], ['DELETE', '?force=true'], ['GET', '/logs?stdout=true']] as const) expect((await ask(method, `/containers/${network}${what}`)).status).toBe(403)
  expect((await create(`container:${network}`)).status).toBe(201)
  expect(docker('inspect', '--format', '{{.HostConfig.NetworkMode}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}', `turnpike-relay-turnpike-${'a'.repeat(12)}`)).toBe(`container:${network} ${2 ** 29} 1024`)
})

test('what the engine gave up for want of its network is started again, of our project alone, and nothing that somebody stopped', async () => {
  const project = `turnpike-test-${process.pid}`
  const make = (name: string, ...options: string[]): string => {
    whenDone(() => { docker('rm', '-f', `${project}-${name}`) })
    return docker('create', '--init', '--name', `${project}-${name}`, ...options, '--entrypoint', 'sleep', COTURN_IMAGE, 'infinity')
  }
  const ours = ['--label', `com.docker.compose.project=${project}`]
  const network = make('network', '--network', 'none')
  const joins = ['--network', `container:${network}`]
  const names = ['one', 'two', 'no-policy', 'stranger']
  make('one', ...ours, ...joins, '--restart', 'unless-stopped')
  make('two', ...ours, ...joins, '--restart', 'always')
  make('no-policy', ...ours, ...joins)
  make('stranger', ...joins, '--restart', 'unless-stopped')
  for (const name of names) expect(() => docker('start', `${project}-${name}`)).toThrow('cannot join network of a non running container')
  make('stopped', ...ours, '--network', 'none', '--restart', 'unless-stopped')
  const engine = engineAt(ENGINE)
  const running = (): string[] => [...names, 'stopped'].filter(name => docker('inspect', '--format', '{{.State.Running}}', `${project}-${name}`) === 'true')
  // Still not there.
  expect([await raise(engine, project), running()]).toEqual([[], []])
  docker('start', network)
  expect((await raise(engine, project)).sort()).toEqual([`${project}-one`, `${project}-two`])
  expect(running()).toEqual(['one', 'two'])
  docker('stop', '-t', '0', `${project}-one`)
  expect([await raise(engine, project), running()]).toEqual([[], ['two']])
})

test('containers of others are neither seen nor touched, and nothing but the calls of the driver is passed on', async () => {
  const name = `turnpike-test-other-${process.pid}`
  // Somebody else's, that would like to look like ours.
  docker('create', '--name', name, '--label', 'io.turnpike.relay=turnpike', '--label', 'io.turnpike.owner=aaaaaaaaaaaa', '-e', 'PASSWORD=hunter2', COTURN_IMAGE)
  whenDone(() => { docker('rm', '-f', name) })
  const id = docker('inspect', '--format', '{{.Id}}', name)
  const { ask, log } = await startGuard(scratchDirectory())
  for (const [method, path] of [['GET', `/containers/${name}/json`], ['GET', `/containers/${id}/json`], ['POST', `/containers/${id.slice(0, 12)}/start`], ['POST', `/containers/${id}/stop?t=0`], ['POST', `/containers/${id}/kill?signal=SIGTERM`], ['POST', `/containers/${id}/wait`], ['GET', `/containers/${id}/logs?stdout=true`], ['DELETE', `/containers/${id}?force=true&v=true`], ['PUT', `/containers/${id}/archive?path=/etc/turnpike`]] as const) {
    expect({ path, ...await ask(method, path) }).toMatchObject({ status: 403, message: expect.stringContaining('not one of this Turnpike') })
  }
  const filters = encodeURIComponent('{"label":["io.turnpike.relay=turnpike"]}')
  expect(await ask('GET', `/containers/json?all=true&filters=${filters}`)).toMatchObject({ status: 200, body: [] })
  expect((await ask('GET', '/containers/no-such-container/json')).status).toBe(404)
  const others = [
    ['GET', '/containers/json'], ['GET', `/containers/json?all=1&filters=${encodeURIComponent('{"name":["x"]}')}`], ['POST', `/containers/${id}/exec`], ['POST', `/containers/${id}/attach`], ['GET', `/containers/${id}/archive?path=/etc/turnpike`], ['GET', `/containers/${id}/export`], ['GET', `/containers/${id}/top`], ['POST', `/containers/${id}/update`], ['POST', `/containers/${id}/rename?name=x`], ['POST', '/containers/prune'], ['POST', '/commit'],
    ['POST', '/build'], ['POST', '/session'], ['GET', '/images/json'], ['GET', '/images/debian:bookworm/json'], ['POST', '/images/create?fromImage=debian&tag=bookworm'], ['POST', '/images/create?fromSrc=-'], ['POST', '/images/load'], ['DELETE', `/images/${COTURN_IMAGE}`], ['GET', '/images/get'],
    ['GET', '/volumes'], ['POST', '/volumes/create'], ['GET', '/networks'], ['POST', '/networks/create'], ['GET', '/swarm'], ['POST', '/swarm/init'], ['GET', '/secrets'], ['POST', '/services/create'], ['POST', '/plugins/pull'], ['GET', '/info'], ['GET', '/system/df'], ['GET', '/events'], ['POST', '/auth'], ['POST', '/_ping'],
    ['GET', '/v1.41/version'], ['GET', '/v1.41/../version'], ['GET', '/./version'], ['GET', '//version'], ['GET', '//containers/json'], ['GET', '/images/../version'], ['GET', '/%76ersion'], ['GET', `/images/${encodeURIComponent(COTURN_IMAGE)}/json`], ['GET', '/containers%2fjson'], ['GET', '/version#x'], ['GET', '/version?a=1'], ['GET', '/version?x?y'], ['GET', 'http://docker/version'],
  ] as const
  for (const [method, path] of others) expect({ method, path, status: (await ask(method, path)).status }).toEqual({ method, path, status: 403 })
  expect(log.filter(line => line.startsWith('passed on'))).toEqual([])
  expect(log.join('\n')).not.toContain('hunter2')
  // The engine itself answers them, so that it was the guard who did not.
  expect((await askOver(ENGINE, 'GET', '/info')).status).toBe(200)
})

test('of its own coturn a stranger gets no shell, no other files and no other signal', async () => {
  const { relay, guard: { ask } } = await behindGuard()
  await relay.start()
  const [id = ''] = containersOf(relay)
  const archive = async (entry: Parameters<ReturnType<typeof pack>['entry']>[0], text = 'x', path = '/etc/turnpike'): Promise<unknown> => {
    const packed = pack()
    packed.entry(entry, text)
    packed.finalize()
    const chunks: Buffer[] = []
    for await (const chunk of packed) chunks.push(chunk as Buffer)
    return (await ask('PUT', `/containers/${id}/archive?path=${path}`, Buffer.concat(chunks))).status
  }
  expect(await archive({ name: 'turnserver' })).toBe(403)
  expect(await archive({ name: '../turnserver.conf' })).toBe(403)
  expect(await archive({ name: 'cert.pem', type: 'symlink', linkname: '/etc/passwd' }, '')).toBe(403)
  expect(await archive({ name: 'cert.pem', type: 'character-device' }, '')).toBe(403)
  expect(await archive({ name: 'cert.pem' }, 'x', '/')).toBe(403)
  expect(await archive({ name: 'cert.pem' }, 'x'.repeat(1_100_000))).toBe(403)
  expect((await ask('PUT', `/containers/${id}/archive?path=/etc/turnpike`, 'no archive')).status).toBe(403)
  // What is put there is put there as coturn's user's, readable by it alone, whatever the archive says.
  expect(await archive({ name: 'cert.pem', mode: 0o6777, uid: 0, gid: 0 })).toBe(200)
  expect(docker('exec', id, 'stat', '-c', '%a %u %g', '/etc/turnpike/cert.pem')).toBe('400 65534 65534')
  for (const path of ['exec', 'attach', 'update', 'kill?signal=SIGSTOP', 'kill', 'kill?signal=SIGUSR1&signal=SIGSTOP']) expect((await ask('POST', `/containers/${id}/${path}`, {})).status).toBe(403)
  expect((await ask('GET', `/containers/${id}/json`)).status).toBe(200)
  expect(relay.health()).toMatchObject({ state: 'healthy', restarts: 0 })
})

test('no connection is handed over, and what cannot be read as one request is not passed on as two', async () => {
  const { raw, log } = await startGuard(scratchDirectory())
  expect(await raw('GET /version HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nGET /info HTTP/1.1\r\nHost: docker\r\n\r\n')).toMatch(/^HTTP\/1\.1 403[^]*\r\n\r\n$/)
  expect(await raw('POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /info HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/)
  expect(await raw('CONNECT docker:80 HTTP/1.1\r\nHost: docker\r\n\r\n')).toBe('')
  expect(log.filter(line => line.startsWith('passed on'))).toEqual([])
})

test('an engine that is away is told', async () => {
  const { ask } = await startGuard(scratchDirectory(), { engine: `${scratchDirectory()}/nobody.sock` })
  expect(await ask('GET', '/_ping')).toMatchObject({ status: 502, message: expect.stringContaining('does not answer') })
})
