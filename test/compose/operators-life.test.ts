/** The life of one deployment as its operator lives it, on a real engine: up, status, logs, an upgrade during a call, one that fails, uninstall. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { COTURN_IMAGE, docker, requireCompose, requireDocker } from '../kit/docker.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { makeRelease, type Release } from '../kit/release.ts'

cleanUpAfterFile()
const PROJECT = `turnpike-life-${process.pid}`
const IMAGE = `${PROJECT}:1`
/** The same coturn, in another image. */
const OTHER_COTURN = `${PROJECT}-coturn:2`
const ENV = { COMPOSE_PROJECT_NAME: PROJECT, DOCKER_BUILDKIT: '0' }
let release: Release
let next: Release
let broken: Release
let withOtherCoturn: Release
let port = 0
let base = ''

/** In a directory of its own, as an archive is unpacked; what needs images that are not here is left for another profile. */
function unpack (image: string): Release {
  const made = makeRelease(scratchDirectory(), ENV)
  made.edit('compose/compose.yaml', text => text.replace(/turnpike:\d+\.\d+\.\d+/, image))
  const services = ['prometheus', 'grafana', 'edge'].filter(name => new RegExp(`^  ${name}:`, 'm').test(readFileSync('compose/compose.yaml', 'utf8')))
  writeFileSync(`${made.directory}/compose/compose.override.yaml`, `services:\n${services.map(name => `  ${name}: {profiles: [full]}\n`).join('')}`)
  return made
}

beforeAll(async () => {
  await requireDocker('coturn', 'debian', 'node')
  requireCompose()
  const ports = await freePorts(5)
  port = ports[1] ?? 0
  base = `http://127.0.0.1:${ports[0]}`
  release = unpack(IMAGE)
  next = unpack(`${PROJECT}:2`)
  next.edit('src/main.ts', text => `${text}// The next version.\n`)
  broken = unpack(`${PROJECT}:3`)
  broken.edit('src/main.ts', () => "import { writeFileSync } from 'node:fs'\nwriteFileSync('/data/turnpike.db', 'spoilt')\nthrow new Error('it does not start')\n")
  // Its own command line is what the operator runs.
  broken.edit('bin/turnpike.mjs', text => text.replace("join(root, 'src/main.ts')", "join(root, 'src/operator.ts')"))
  writeFileSync(`${broken.directory}/src/operator.ts`, readFileSync('src/main.ts'))
  execFileSync('docker', ['build', '-q', '-t', OTHER_COTURN, '-'], { input: `FROM ${COTURN_IMAGE}\nLABEL version-of-test=2\n`, env: { ...process.env, ...ENV }, stdio: ['pipe', 'ignore', 'pipe'] })
  withOtherCoturn = unpack(`${PROJECT}:4`)
  withOtherCoturn.edit('compose/compose.yaml', text => text.replaceAll(COTURN_IMAGE, OTHER_COTURN))
  const names = ['HTTP_PORT', 'RELAY_PORT', 'RELAY_TLS_PORT', 'RELAY_ALTERNATE_PORT', 'RELAY_ALTERNATE_TLS_PORT']
  const settings = [...names.map((name, i) => `TURNPIKE_${name}=${ports[i]}`), 'TURNPIKE_RELAY_HAND_OVER_SECONDS=1', 'TURNPIKE_RELAY_MIN_PORT=22500', 'TURNPIKE_RELAY_MAX_PORT=22699', 'TURNPIKE_RELAY_LISTEN_IP=127.0.0.1', 'TURNPIKE_RELAY_PEERS=loopback', 'TURNPIKE_RELAY_STUN_SERVERS=none']
  writeFileSync(`${release.directory}/compose/.env`, `# mine\n${settings.join('\n')}\n`, { mode: 0o600 })
}, 300_000)

afterAll(() => {
  for (const [list, remove] of [[['ps', '-aq'], ['rm', '-fv']], [['volume', 'ls', '-q'], ['volume', 'rm']], [['network', 'ls', '-q'], ['network', 'rm']]] as const) {
    const left = docker(...list, '--filter', `label=com.docker.compose.project=${PROJECT}`).split('\n').filter(id => id !== '')
    if (left.length > 0) docker(...remove, ...left)
  }
  const images = [PROJECT, OTHER_COTURN].flatMap(name => docker('image', 'ls', name, '--format', '{{.Repository}}:{{.Tag}}').split('\n')).filter(name => name !== '')
  if (images.length > 0) docker('image', 'rm', ...images)
}, 60_000)

const containers = (): string[] => docker('ps', '--filter', `label=com.docker.compose.project=${PROJECT}`, '--format', '{{.ID}} {{.Label "com.docker.compose.service"}}').split('\n').sort()
const coturn = (): string => containers().find(line => line.endsWith(' coturn')) ?? ''
const inside = (...command: string[]): string => docker('exec', docker('ps', '-q', '--filter', `label=com.docker.compose.project=${PROJECT}`, '--filter', 'label=com.docker.compose.service=turnpike'), ...command)

/** Not when they were used last, which is written down later. */
const idsOfKeys = (): string[] => inside('turnpike', 'keys', 'list').split('\n').slice(1).map(line => line.split(' ')[0] ?? '')

async function ok (from: Release, ...args: string[]): Promise<string> {
  const { code, out, err } = await from.turnpike(...args)
  expect(code, `${args.join(' ')}\n${out}\n${err}`).toBe(0)
  return out
}

/** Two allocations that relay to each other, a packet each 20 ms, until it is ended; tells how many came of how many. */
async function call (): Promise<{ end (): Promise<{ sent: number, received: number }> }> {
  const [, key = ''] = /TURNPIKE_API_KEY=(\S+)/.exec(inside('turnpike', 'keys', 'first')) ?? []
  const { username, credential } = await (await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })).json() as { username: string, credential: string }
  const open = async (): Promise<TurnClient> => await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 2000 })
  const [one, other] = [await open(), await open()]
  const login = { username, password: credential }
  const [mine, theirs] = [await one.allocate(login), await other.allocate(login)]
  if (isRefusal(mine) || isRefusal(theirs)) throw new Error(JSON.stringify([mine, theirs]))
  await one.createPermission('127.0.0.1')
  await other.createPermission('127.0.0.1')
  const count = { sent: 0, received: 0 }
  other.onData(() => { count.received++ })
  const timer = setInterval(() => {
    one.send(theirs.relayed, Buffer.alloc(500, 1))
    count.sent++
  }, 20)
  await until('it relays', () => count.received > 5)
  return {
    end: async () => {
      clearInterval(timer)
      await until('the last packet', () => count.received === count.sent, 2000).catch(() => {})
      await Promise.all([one.close(), other.close()])
      return count
    },
  }
}

test('nothing is here yet, and that is said with the cure', async () => {
  const { code, err } = await release.turnpike('status')
  expect(code).toBe(69)
  expect(err).toMatch(/turnpike up\. \[deployment-missing\]/)
})

test('up starts it, keeps the settings of the operator, says what it is; a second one changes nothing', async () => {
  const out = await ok(release, 'up')
  expect(out).toContain('the relay is proved')
  expect(out).toContain('open in the firewall')
  const file = `${release.directory}/compose/.env`
  expect(readFileSync(file, 'utf8')).toMatch(/^# mine\n[^]*TURNPIKE_RELAY_ON_STOP=keep\n/)
  expect([file, `${release.directory}/compose/.deployed.yaml`].map(name => statSync(name).mode & 0o777)).toEqual([0o600, 0o600])
  const [before, settings] = [containers(), readFileSync(file, 'utf8')]
  expect(before.map(line => line.split(' ')[1])).toEqual(expect.arrayContaining(['turnpike', 'guard', 'coturn']))
  await ok(release, 'up', '--domain', 'localhost')
  expect([containers(), readFileSync(file, 'utf8')]).toEqual([before, settings])
})

test('status and logs tell of it', async () => {
  const [status, asJson, ours, theirs] = await Promise.all([ok(release, 'status'), ok(release, 'status', '--json'), ok(release, 'logs', 'turnpike'), ok(release, 'logs', 'coturn')])
  expect(status).toContain(`Docker Compose, ${IMAGE}: everything is ready`)
  expect(status).toMatch(/guard[^]*coturn: turnpike-relay-[^]*healthy +yes/)
  expect(JSON.parse(asJson)).toMatchObject({ readiness: { ready: true } })
  expect(ours).toContain('the relay is proved')
  expect(theirs).not.toBe('')
})

test('a backup goes out and is put back by the lines of the docs, and a key of then works again', async () => {
  const page = readFileSync('docs/operators-life.md', 'utf8')
  const [, out = '', back = ''] = /```sh\n(\(umask 077;.*?)```.*?```sh\n(docker compose.*?restore.*?)```/s.exec(page) ?? []
  const key = inside('turnpike', 'keys', 'create', '--name', 'of then')
  const { PATH = '', HOME = '' } = process.env
  const inShell = (script: string): string => execFileSync('sh', ['-ec', script], { cwd: release.directory, env: { PATH, HOME, ...ENV }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  inShell(out)
  expect(statSync(`${release.directory}/turnpike.db`).mode & 0o777).toBe(0o600)
  const [, id = ''] = /^(\w+) +of then/m.exec(inside('turnpike', 'keys', 'list')) ?? []
  inside('turnpike', 'keys', 'revoke', id)
  const issue = async (): Promise<number> => await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status, () => 0)
  expect(await issue()).toBe(401)
  expect(inShell(back)).toContain('restored into /data')
  await until('the key works again', async () => await issue() === 201, 30_000)
}, 60_000)

test('up out of another directory, and of another version, is refused: the first has no settings, the second makes no backup', async () => {
  const [before, made] = [containers(), existsSync(`${next.directory}/compose/.env`)]
  expect(await next.turnpike('up')).toMatchObject({ code: 70, err: expect.stringContaining(`out of ${release.directory}: run up there, or upgrade here`) })
  expect(existsSync(`${next.directory}/compose/.env`)).toBe(made)
  release.edit('src/main.ts', text => `${text}// Pulled.\n`)
  expect(await release.turnpike('up')).toMatchObject({ code: 70, err: expect.stringContaining('turnpike.mjs upgrade') })
  expect(containers()).toEqual(before)
}, 120_000)

test('nothing is put back while the server runs, although that is another container', async () => {
  inside('turnpike', 'backup', '/data/backup.db')
  const image = docker('ps', '--filter', `label=com.docker.compose.project=${PROJECT}`, '--filter', 'label=com.docker.compose.service=turnpike', '--format', '{{.Image}}')
  const restore = (): string => docker('run', '--rm', '-v', `${PROJECT}_data:/data`, image, 'restore', '/data/backup.db')
  expect(restore).toThrow('data-dir-locked')
  inside('rm', '/data/backup.db')
}, 60_000)

test('an upgrade out of another directory replaces the control plane, and a call loses no packet', async () => {
  const running = await call()
  const [relayed, key] = [coturn(), inside('turnpike', 'keys', 'first')]
  // Of earlier upgrades, and one of the operator's own.
  const earlier = [1, 2, 3, 4, 5, 6].map(month => `upgrade-2025-0${month}-02T03-04-05-678Z.db`)
  inside('sh', '-c', `mkdir -p /data/backups && cd /data/backups && touch mine.db ${earlier.join(' ')}`)
  expect(await ok(next, 'upgrade')).toBe(`upgraded: ${PROJECT}:2\n`)
  expect(inside('tail', '-1', '/turnpike/src/main.ts')).toBe('// The next version.')
  expect(inside('ls', '/data/backups').split('\n')).toEqual(['mine.db', ...earlier.slice(2), expect.stringMatching(/^upgrade-(?!2025-)/)])
  expect([coturn(), inside('turnpike', 'keys', 'first')]).toEqual([relayed, key])
  const { sent, received } = await running.end()
  expect(sent).toBeGreaterThan(50)
  expect(received).toBe(sent)
  release = next
}, 120_000)

test('an upgrade to a version that spoils the database and ends is undone, database and all, and a call loses no packet', async () => {
  const running = await call()
  const [relayed, keys] = [coturn(), idsOfKeys()]
  const { code, err } = await broken.turnpike('upgrade')
  expect(code).toBe(70)
  expect(err).toMatch(/it ends again and again[^]*it does not start[^]*The version before serves again[^]*\[upgrade-rolled-back\]/)
  expect([coturn(), idsOfKeys()]).toEqual([relayed, keys])
  expect(await ok(release, 'status')).toContain(`${PROJECT}:2: everything is ready`)
  const { sent, received } = await running.end()
  expect(received).toBe(sent)
}, 120_000)

test('an upgrade that brings another image of coturn lets the old one end with its call, and loses no packet of it', async () => {
  const running = await call()
  const old = coturn()
  expect(await ok(withOtherCoturn, 'upgrade')).toBe(`upgraded: ${PROJECT}:4\n`)
  const coturns = (): string[] => docker('ps', '--filter', `label=com.docker.compose.project=${PROJECT}`, '--filter', 'label=io.turnpike.relay', '--format', '{{.ID}} {{.Image}}').split('\n')
  await until('a second one runs beside the first', () => coturns().length === 2 && coturns().some(line => line.endsWith(OTHER_COTURN)), 30_000)
  await until('new calls go to the second', () => inside('turnpike', 'relays', 'list').includes('draining'), 20_000)
  const { sent, received } = await running.end()
  expect(received).toBe(sent)
  expect(sent).toBeGreaterThan(50)
  const answers = async (): Promise<boolean> => {
    const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 300 })
    return await client.binding().then(() => true, () => false).finally(() => { client.abandon() })
  }
  // By the way of the second one's ports and back to the first one's.
  await until('the new one is alone, on the ports that are known', async () => coturns().length === 1 && coturns()[0]?.endsWith(OTHER_COTURN) === true && await answers(), 40_000)
  expect(coturn()).not.toBe(old)
}, 180_000)

test('uninstall asks first, and leaves nothing behind', async () => {
  const asked = await release.turnpike('uninstall')
  expect([asked.code, asked.err]).toEqual([64, expect.stringContaining('--yes')])
  // Of somebody else, whose project has the same name.
  const of = ['--filter', `label=com.docker.compose.project=${PROJECT}`]
  const volume = docker('volume', 'create', '--label', `com.docker.compose.project=${PROJECT}`, '--label', 'com.docker.compose.volume=data', `${PROJECT}_theirs`)
  const stranger = docker('create', '--label', `com.docker.compose.project=${PROJECT}`, '--label', 'com.docker.compose.service=grafana', '--label', 'com.docker.compose.project.working_dir=/srv/theirs', '-v', `${volume}:/x`, '--entrypoint', 'true', COTURN_IMAGE)
  const uninstalled = await release.turnpike('uninstall', '--yes')
  expect(uninstalled).toMatchObject({ code: 0, out: 'Turnpike is gone.\n', err: expect.stringContaining('they stay') })
  expect([docker('ps', '-aq', '--no-trunc', ...of), docker('volume', 'ls', '-q', ...of)]).toEqual([stranger, volume])
  docker('rm', '-f', stranger)
  docker('volume', 'rm', volume)
  expect([docker('ps', '-aq', ...of), docker('volume', 'ls', '-q', ...of), docker('network', 'ls', '-q', ...of), docker('image', 'ls', '-q', PROJECT)]).toEqual(['', '', '', ''])
  expect(['.env', '.deployed.yaml'].filter(name => existsSync(`${release.directory}/compose/${name}`))).toEqual([])
  await expect(fetch(`${base}/healthz`)).rejects.toThrow()
})
