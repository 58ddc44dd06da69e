/** The compose file, brought up for real with stand-in base images: what its parts do, may do, and show to nobody. What they are together for: whole-path.test.ts. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sbom } from '../../scripts/sbom.ts'
import { isRefusal, TurnClient, type Login } from '../../src/stun/turn-client.ts'
import { docker, requireCompose, requireDocker } from '../kit/docker.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'

cleanUpAfterFile()
/** Leads nowhere, so that no authority is asked: what is served meanwhile is a placeholder. */
const DOMAIN = 'meet.invalid'
const PROJECT = `turnpike-test-${process.pid}`
let env: Record<string, string> = {}
let base = ''
let apiKey = ''

function compose (...args: string[]): string {
  const { PATH = '', HOME = '' } = process.env
  // The builder that every engine has.
  return execFileSync('docker', ['compose', '-f', 'compose/compose.yaml', '-p', PROJECT, ...args], { encoding: 'utf8', env: { PATH, HOME, DOCKER_BUILDKIT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 })
}
const logs = (): string => compose('logs', '--no-color', '--no-log-prefix', 'turnpike', 'guard')
const inside = (...command: string[]): string => compose('exec', '-T', 'turnpike', ...command)
const firstKeys = (): string => inside('turnpike', 'keys', 'first')
const idOf = (service: string): string => compose('ps', '-q', service).trim()
const coturnOf = (): string => docker('ps', '-q', '--filter', `label=com.docker.compose.project=${PROJECT}`, '--filter', 'label=io.turnpike.relay')

beforeAll(async () => {
  await requireDocker('coturn', 'debian', 'node', 'prometheus', 'haproxy')
  requireCompose()
  const [httpPort, relayPort, tlsPort, edgePort, edgeHttpPort, statusPort, agentPort, httpsPort, acmePort] = await freePorts(9)
  const edge = { EDGE_ADDRESS: '127.0.0.1', EDGE_HTTP_PORT: String(edgeHttpPort), EDGE_STATUS_PORT: String(statusPort), TURNPIKE_EDGE_PORT: String(edgePort), TURNPIKE_EDGE_AGENT_PORT: String(agentPort), TURNPIKE_HTTPS_PORT: String(httpsPort), TURNPIKE_ACME_HTTP_PORT: String(acmePort) }
  env = { ...edge, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_RELAY_PORT: String(relayPort), TURNPIKE_RELAY_TLS_PORT: String(tlsPort), TURNPIKE_RELAY_MIN_PORT: '22000', TURNPIKE_RELAY_MAX_PORT: '22499', TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1', TURNPIKE_RELAY_PEERS: 'loopback' }
  base = `http://127.0.0.1:${httpPort}`
  compose('up', '-d', '--build', 'turnpike', 'edge', 'prometheus')
  await until('readyz', async () => await fetch(`${base}/readyz`).then(({ ok }) => ok, () => false), 60_000)
  apiKey = /TURNPIKE_API_KEY=(tpk_[\w-]+)/.exec(firstKeys())?.[1] ?? ''
}, 600_000)

afterAll(() => {
  compose('--profile', 'full', 'down', '-v', '--remove-orphans', '-t', '10')
}, 120_000)

async function issue (): Promise<{ login: Login, port: number }> {
  const answer = await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${apiKey}` } })
  const { username, credential } = await answer.json() as { username: string, credential: string }
  return { login: { username, password: credential }, port: Number(env['TURNPIKE_RELAY_PORT']) }
}

/** Two allocations that relay to each other, released at the end so that what they relayed is reported. */
async function relayBytes (transport: 'udp' | 'tcp'): Promise<number> {
  const { login, port } = await issue()
  const open = async (): Promise<TurnClient> => await TurnClient.open({ transport, host: '127.0.0.1', port, timeoutMs: 2000 })
  const [one, other] = [await open(), await open()]
  const allocations = [await one.allocate(login), await other.allocate(login)]
  const [, target] = allocations
  if (target === undefined || isRefusal(target)) throw new Error(JSON.stringify(allocations))
  await one.createPermission('127.0.0.1')
  await other.createPermission('127.0.0.1')
  let received = 0
  other.onData((_from, data) => { received += data.length })
  for (let i = 0; i < 20; i++) {
    one.send(target.relayed, Buffer.alloc(1000, i))
    await until('it arrives', () => received === (i + 1) * 1000)
  }
  await Promise.all([one.close(), other.close()])
  return received
}

test('a credential from it relays bytes over UDP and TCP', async () => {
  expect(apiKey).not.toBe('')
  expect(await relayBytes('udp')).toBe(20_000)
  expect(await relayBytes('tcp')).toBe(20_000)
})

/** The first line of what is answered inside of TLS to somebody who asks for this name, or '' where nobody answers. */
async function firstLine (servername: string, question: string): Promise<string> {
  return await new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port: Number(env['TURNPIKE_EDGE_PORT']), servername, rejectUnauthorized: false }, () => socket.write(question, 'latin1'))
    socket.setTimeout(3000, () => socket.destroy())
    socket.once('data', (bytes: Buffer) => { resolve(bytes.toString('latin1').split('\r\n', 1)[0] ?? ''); socket.destroy() })
    socket.on('error', () => {}).once('close', () => resolve(''))
  })
}

test('the edge leads HTTPS to us, the name of the relay to coturn, and port 80 to the answers for the authority', async () => {
  const binding = `\x00\x01\x00\x00\x21\x12\xa4\x42${'t'.repeat(12)}`
  await until('HTTPS', async () => await firstLine(DOMAIN, `GET /healthz HTTP/1.1\r\nHost: ${DOMAIN}\r\n\r\n`) === 'HTTP/1.1 200 OK')
  // Success, with the id of the question.
  const answered = async (): Promise<string> => await firstLine(`turn.${DOMAIN}`, binding)
  await until('TURN over TLS', async () => (await answered()).startsWith('\x01\x01') && (await answered()).includes('t'.repeat(12)))
  const redirected = await fetch(`http://127.0.0.1:${env['EDGE_HTTP_PORT']}/call/demo`, { redirect: 'manual' })
  expect([redirected.status, redirected.headers.get('location')]).toEqual([301, `https://${DOMAIN}:${env['TURNPIKE_EDGE_PORT']}/call/demo`])
  expect(docker('exec', idOf('edge'), 'haproxy', '-v')).toMatch(/version 3\./)
  // What the engine asks, without waiting until it does.
  const { services } = JSON.parse(compose('config', '--format', 'json')) as { services: { edge: { healthcheck: { test: string[] } } } }
  const asked = services.edge.healthcheck.test.slice(1).map(word => word.replace('$$', '$'))
  expect(asked.join(' ')).toContain('$EDGE_STATUS_PORT')
  expect(() => docker('exec', idOf('edge'), ...asked)).not.toThrow()
  expect(() => docker('exec', '-e', 'EDGE_STATUS_PORT=1', idOf('edge'), ...asked)).toThrow()
})

test('all of it together, idle, takes less than 150 MB, and health is asked about without another Node.js', async () => {
  const all = [idOf('turnpike'), idOf('guard'), idOf('edge'), coturnOf()]
  const used = (): number => {
    const each = [...docker('stats', '--no-stream', '--format', '{{.MemUsage}}', ...all).matchAll(/^([\d.]+)MiB/gm)].map(([, amount]) => Number(amount) * 1024 ** 2)
    expect(each).toHaveLength(all.length)
    return each.reduce((sum, one) => sum + one, 0)
  }
  // A health check of the guard's is a process of its own for a moment.
  await until('it is idle', () => used() < 150e6).catch(() => expect(used()).toBeLessThan(150e6))
  const [, ...asked] = JSON.parse(docker('inspect', '--format', '{{json .Config.Healthcheck.Test}}', idOf('turnpike'))) as string[]
  expect(asked[0]).toBe('bash')
  expect(() => docker('exec', idOf('turnpike'), ...asked)).not.toThrow()
  expect(() => docker('exec', '-e', 'TURNPIKE_HTTP_PORT=1', idOf('turnpike'), ...asked)).toThrow()
  // Another port that speaks HTTP, and has no such page.
  expect(() => docker('exec', '-e', 'TURNPIKE_HTTP_PORT=9464', idOf('turnpike'), ...asked)).toThrow()
})

test('coturn runs beside it, started and watched through the Docker API', async () => {
  const id = coturnOf()
  expect(id).not.toBe('')
  const ready = await (await fetch(`${base}/readyz`)).json() as { relay: { driver: string, version: string } }
  expect(ready.relay).toMatchObject({ driver: 'docker', version: '4.18.0' })
  docker('kill', '-s', 'KILL', id)
  await until('another one runs', () => coturnOf() !== id && coturnOf() !== '')
  await until('it is proved', async () => (await fetch(`${base}/readyz`)).ok)
})

test('the command line works inside the container', async () => {
  const key = compose('exec', '-T', 'turnpike', 'turnpike', 'keys', 'create', '--name', 'from inside').trim()
  expect(key).toMatch(/^tpk_/)
  expect((await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })).status).toBe(201)
  expect(compose('exec', '-T', 'turnpike', 'turnpike', 'secrets', 'rotate')).toMatch(/current[^]*old/)
  expect(await relayBytes('udp')).toBe(20_000)
})

test('a user is revoked, and its allocation in the other container is cut', async () => {
  const { login, port } = await issue()
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 2000 })
  expect(isRefusal(await client.allocate(login))).toBe(false)
  const live = (): string => compose('exec', '-T', 'turnpike', 'turnpike', 'allocations', 'list')
  const user = /:default\.([\w-]+)\./.exec(login.username)?.[1] ?? ''
  expect(live()).toContain(user)
  expect(compose('exec', '-T', 'turnpike', 'turnpike', 'credentials', 'revoke', user)).toContain('1 live allocations were cut')
  expect(live()).toBe('none\n')
  await client.close().catch(() => {})
})

test('a data directory that no other container can have is told, with the cure', async () => {
  // Those of the one that runs are taken.
  const names = ['HTTP_PORT', 'METRICS_PORT', 'HTTPS_PORT', 'EDGE_AGENT_PORT', 'ACME_HTTP_PORT']
  const ports = await freePorts(names.length)
  const [httpPort] = ports
  const name = `${PROJECT}-no-volume`
  compose('run', '-d', '--rm', '--name', name, '-e', 'TURNPIKE_DATA_DIR=/tmp/data', ...names.flatMap((variable, i) => ['-e', `TURNPIKE_${variable}=${ports[i]}`]), 'turnpike')
  try {
    await until('it says why', async () => (await fetch(`http://127.0.0.1:${httpPort}/readyz`).then(async answer => await answer.text(), () => '')).includes('relay-volume-missing'), 20_000)
    const { relay } = await (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).json() as { relay: { cure: string } }
    expect(relay.cure).toContain('Mount a volume')
  } finally {
    docker('rm', '-f', name)
  }
})

/** Every secret that there is, as the data directory holds it. */
async function everySecret (): Promise<string[]> {
  const script = `
    const { readFileSync } = require('node:fs')
    const database = new (require('node:sqlite').DatabaseSync)('/data/turnpike.db', { readOnly: true })
    const feed = JSON.parse(readFileSync('/data/relay/feed.json'))
    console.log(JSON.stringify([
      ...database.prepare('SELECT secret FROM turn_secrets').all().map(row => row.secret),
      ...database.prepare('SELECT * FROM signing_keys').all().map(row => row.secret),
      feed.password, feed.controlPassword, JSON.parse(readFileSync('/data/control.json')).key,
    ].map(secret => (typeof secret === 'string' ? secret : Buffer.from(secret).toString('base64url')))))`
  const [, adminKey = ''] = /TURNPIKE_ADMIN_KEY=(\S+)/.exec(firstKeys()) ?? []
  return [...JSON.parse(inside('node', '-e', script)) as string[], apiKey, adminKey, (await issue()).login.password]
}

test('no secret can be looked up: not in inspect, not in logs, not in a process list, not in an environment', async () => {
  const secrets = await everySecret()
  const containers = [coturnOf(), idOf('turnpike'), idOf('guard'), idOf('prometheus')]
  const pids = containers.flatMap(id => docker('top', id, '-eo', 'pid').split('\n').slice(1)).map(Number)
  expect(pids.length).toBeGreaterThan(5)
  const environments = pids.map(pid => readFileSync(`/proc/${pid}/environ`, 'utf8'))
  expect(environments.join('\n')).toContain('TURNPIKE_DATA_DIR=/data')
  const visible = [...containers.flatMap(id => [docker('inspect', id), docker('logs', id)]), logs(), docker('history', '--no-trunc', 'turnpike:0.4.0'), execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }), ...environments].join('\n')
  expect(secrets.length).toBeGreaterThan(6)
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(15)
    expect(visible).not.toContain(secret)
  }
})

test('nothing but the guard runs as root, nothing has a right that it does not need, and the guard alone has the Docker socket', () => {
  const rights = (id: string): { uids: string[], capabilities: string[] } => {
    const status = docker('top', id, '-eo', 'pid').split('\n').slice(1).map(pid => readFileSync(`/proc/${pid.trim()}/status`, 'utf8'))
    const each = (name: string): string[] => [...new Set(status.map(text => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(text)?.[1] ?? ''))]
    return { uids: each('Uid'), capabilities: each('CapEff') }
  }
  const none = '0'.repeat(16)
  for (const id of [idOf('turnpike'), idOf('prometheus'), coturnOf()]) expect(rights(id)).toEqual({ uids: ['65534'], capabilities: [none] })
  // It was root for as long as it took its ports.
  expect(rights(idOf('edge'))).toEqual({ uids: ['99'], capabilities: [none] })
  // DAC_READ_SEARCH is number 2 (capabilities(7)).
  expect(rights(idOf('guard'))).toEqual({ uids: ['0'], capabilities: [`${'0'.repeat(15)}4`] })
  const mounted = (id: string): string => docker('inspect', '--format', '{{json .Mounts}} {{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}}', id)
  expect(mounted(idOf('turnpike'))).not.toContain('/var/run/docker.sock')
  expect(mounted(idOf('guard'))).toMatch(/docker\.sock.* none true$/)
  expect(logs()).not.toContain('"refused"')
})

test('the image is small, holds what the lockfile says and nothing to build with, and tells it', async () => {
  const size = (image: string): number => Number(docker('image', 'inspect', '--format', '{{.Size}}', image))
  // On top of 75 MB of debian:bookworm-slim.
  expect(size('turnpike:0.4.0') - size('debian:bookworm-slim')).toBeLessThan(170e6)
  expect(inside('cat', '/turnpike/sbom.json')).toBe(sbom())
  const installed = inside('sh', '-c', "cd /turnpike && find node_modules -name package.json -path '*node_modules/*' | grep -E 'node_modules/(@[^/]+/)?[^/]+/package.json$' | xargs node -p 'process.argv.slice(1).map(file => require(require(\"path\").resolve(file))).map(({ name, version }) => name + \"@\" + version).join(\"\\n\")'").trim().split('\n')
  const { components } = JSON.parse(sbom()) as { components: { name: string, version: string }[] }
  expect(components.length).toBeGreaterThan(100)
  expect([...new Set(installed)].sort()).toEqual([...new Set(components.map(({ name, version }) => `${name}@${version}`))].sort())
  expect(inside('sh', '-c', "find /turnpike /usr/local -name '*.node' -o -name npm -o -name vitest")).toBe('')
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(docker('image', 'inspect', '--format', '{{index .Config.Labels "org.opencontainers.image.version"}} {{.Config.User}}', `turnpike:${version}`)).toBe(`${version} 65534:65534`)
  expect(inside('cat', '/proc/1/comm')).toBe('tini\n')
  // Its pages, too, come without types.
  const script = await (await fetch(`${base}/assets/console/call.ts`)).text()
  expect(script).toBe(stripTypeScriptTypes(readFileSync('src/console/call.ts', 'utf8')))
  expect(script).toBe(inside('cat', '/turnpike/src/console/call.ts'))
})

test('a volume of a version that ran as root is told with the cure, and the cure works', () => {
  const volume = `${PROJECT}-old`
  const over = (user: string, ...command: string[]): string => execFileSync('docker', ['run', '--rm', '--network', 'none', '--user', user, '-v', `${volume}:/data`, '--entrypoint', ...command.slice(0, 1), 'turnpike:0.4.0', ...command.slice(1)] as string[], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  docker('volume', 'create', volume)
  whenDone(() => { docker('volume', 'rm', volume) })
  over('0', 'sh', '-c', 'chown 0:0 /data && turnpike serve >/data/log 2>&1 & until [ -s /data/first-keys ]; do sleep 0.1; done')
  expect(() => over('65534:65534', 'turnpike', 'serve')).toThrow(/belongs to user 0, and this is user 65534.*chown -R 65534:65534/)
  over('0', 'chown', '-R', '65534:65534', '/data')
  expect(over('65534:65534', 'turnpike', 'keys', 'list')).toContain('made at the first start')
})

test('a restart keeps the keys, and down leaves nothing behind', async () => {
  compose('restart', 'turnpike')
  await until('readyz', async () => await fetch(`${base}/readyz`).then(({ ok }) => ok, () => false), 60_000)
  expect(await relayBytes('udp')).toBe(20_000)
  expect(firstKeys()).toContain(apiKey)
  expect(logs()).not.toMatch(/tp[ka]_/)
  inside('turnpike', 'keys', 'first', '--delete')
  expect(() => firstKeys()).toThrow('not-found')
  compose('--profile', 'full', 'down', '-v', '--remove-orphans', '-t', '10')
  expect(coturnOf()).toBe('')
  expect(docker('volume', 'ls', '-q').split('\n').filter(name => name.startsWith(PROJECT))).toEqual([])
})

test('a domain is the one thing that is required, and that is said', () => {
  const { TURNPIKE_DOMAIN: _, ...others } = env
  const kept = env
  env = others
  try {
    expect(() => compose('config')).toThrow(/TURNPIKE_DOMAIN.*set it to the name that leads to this machine, or to localhost/)
  } finally {
    env = kept
  }
})

test('Grafana gets a password of its own at the first start, and keeps it', () => {
  const directory = scratchDirectory()
  const start = (): string => execFileSync('sh', ['compose/grafana/start.sh', directory, 'cat', `${directory}/admin-password`], { encoding: 'utf8' })
  const password = start()
  expect(password).toMatch(/^[\w+/]{24}$/)
  expect(start()).toBe(password)
  expect(statSync(`${directory}/admin-password`).mode & 0o777).toBe(0o600)
})

test.each([['minimal', ['edge', 'guard', 'turnpike']], ['full', ['edge', 'grafana', 'guard', 'prometheus', 'turnpike']]])('profile %s is valid, and what it mounts exists', (profile, services) => {
  const config = JSON.parse(compose('--profile', profile, 'config', '--format', 'json')) as { services: Record<string, { image: string, volumes: { type: string, source: string }[] }> }
  expect(Object.keys(config.services).sort()).toEqual(services)
  for (const { image } of Object.values(config.services)) expect(image).toMatch(/:v?\d+\.\d+\.\d+$/)
  const mounted = Object.values(config.services).flatMap(({ volumes }) => volumes.filter(({ type }) => type === 'bind').map(({ source }) => source))
  expect(mounted.length).toBeGreaterThan(1)
  expect(mounted.filter(source => !existsSync(source))).toEqual([])
})
