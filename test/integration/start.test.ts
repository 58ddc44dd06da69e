import { execFileSync, execSync } from 'node:child_process'
import { createServer } from 'node:http'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { loopbackSettings } from '../kit/app.ts'
import { whenDone } from '../kit/cleanup.ts'
import { run, runHere, signalGroup, type Run } from '../kit/command.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { answersStun } from '../kit/coturn.ts'

/** As a person has it: the log at its default level. */
async function settings (more: Record<string, string> = {}): Promise<Record<string, string>> {
  const { TURNPIKE_LOG_LEVEL: _, ...env } = await loopbackSettings()
  const [httpPort, metricsPort] = await freePorts(2)
  return { ...env, TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_METRICS_PORT: String(metricsPort), ...more }
}
const coturnPids = (env: Record<string, string>): number[] => execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).split('\n').filter(line => line.includes(`${env['TURNPIKE_DATA_DIR']}/relay/turnserver.conf`)).map(line => Number.parseInt(line))
const npmStart = (env: Record<string, string>): Run => run('npm', ['start'], env)
const turnpike = (args: string[], env: Record<string, string>): Run => run('node', ['bin/turnpike.mjs', ...args], env)
const firstKeys = (env: Record<string, string>): Record<string, string> => Object.fromEntries(readFileSync(`${env['TURNPIKE_DATA_DIR']}/first-keys`, 'utf8').trim().split('\n').map(line => line.split('=') as [string, string]))
const pasted = (started: Run): string => /^ +(curl .*)$/m.exec(started.out())?.[1] ?? ''

test('npm start says what a person needs, the curl line works as it is pasted, and Ctrl-C ends everything in under 3 s', async () => {
  const env = await settings()
  const started = npmStart(env)
  await started.until('relayed media')
  const out = started.out()
  expect(out).toContain('Turnpike is up: the relay is proved')
  expect(out).toMatch(/call page +http:\/\/localhost:\d+\/call\/demo/)
  expect(out).toContain(`stun:127.0.0.1:${env['TURNPIKE_RELAY_PORT']}`)
  expect(out).toContain(`turn:127.0.0.1:${env['TURNPIKE_RELAY_PORT']}?transport=udp`)
  expect(out).toMatch(/udp 20000-20499/)
  // Nobody sits at a terminal here: what is printed stays in a log, and holds no key.
  expect(started.all()).not.toMatch(/tp[ka]_/)
  expect(out).toContain(`first keys  in ${env['TURNPIKE_DATA_DIR']}/first-keys`)
  const answer = JSON.parse(execSync(pasted(started), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...firstKeys(env) } })) as { iceServers: unknown[] }
  expect(answer.iceServers).toHaveLength(2)
  const asked = performance.now()
  signalGroup(started.child, 'SIGINT')
  await started.exit
  expect(performance.now() - asked).toBeLessThan(3000)
  expect(coturnPids(env)).toEqual([])
  expect(await answersStun(Number(env['TURNPIKE_RELAY_PORT']))).toBe(false)
})

test('at a terminal the first keys are shown, once, and not kept in a file', async () => {
  const env = await settings()
  const started = run('script', ['-qefc', 'node bin/turnpike.mjs serve', '/dev/null'], env)
  await started.until('relayed media')
  expect(started.out().match(/tpk_[\w-]+/g)?.length).toBe(2)
  expect(started.out()).toMatch(/admin key +\S*tpa_/)
  expect(existsSync(`${env['TURNPIKE_DATA_DIR']}/first-keys`)).toBe(false)
  process.kill(Number(readFileSync(`${env['TURNPIKE_DATA_DIR']}/turnpike.lock`, 'utf8').split(' ')[0]), 'SIGTERM')
  await started.exit
})

test('the first keys are in a file for its owner alone, until they are deleted', async () => {
  const env = await settings()
  const started = turnpike(['serve'], env)
  await started.until('relayed media')
  const file = `${env['TURNPIKE_DATA_DIR']}/first-keys`
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const shown = await runHere(env, 'keys', 'first', '--delete')
  expect(shown.code).toBe(0)
  expect(shown.out).toMatch(/^TURNPIKE_API_KEY=tpk_[\w-]+\nTURNPIKE_ADMIN_KEY=tpa_[\w-]+\n$/)
  expect(existsSync(file)).toBe(false)
  expect(await runHere(env, 'keys', 'first')).toMatchObject({ code: 65, err: expect.stringContaining('[not-found]') })
})

test('a second start shows no key again, and the first one still works', async () => {
  const env = await settings()
  const first = npmStart(env)
  await first.until('relayed media')
  const curl = pasted(first)
  signalGroup(first.child, 'SIGINT')
  await first.exit
  const second = npmStart(env)
  await second.until('relayed media')
  expect(second.all()).not.toMatch(/tp[ka]_/)
  expect(pasted(second)).toContain('$TURNPIKE_API_KEY')
  expect(execSync(curl, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...firstKeys(env) } })).toContain('iceServers')
})

test('SIGTERM to npm alone ends both', async () => {
  const env = await settings()
  const started = npmStart(env)
  await started.until('relayed media')
  started.child.kill('SIGTERM')
  await started.exit
  await until('coturn is gone', () => coturnPids(env).length === 0, 3000)
})

test('kill -9 of the control plane leaves coturn relaying; the next start takes it over', async () => {
  const env = await settings()
  const first = npmStart(env)
  await first.until('relayed media')
  const pids = coturnPids(env)
  // The one process that npm has started is the control plane itself: no launcher stands between them that could be killed and leave it behind.
  const [pid = '', ...others] = execFileSync('pgrep', ['-P', String(first.child.pid)], { encoding: 'utf8' }).trim().split('\n')
  expect(others).toEqual([])
  process.kill(Number(pid), 'SIGKILL')
  await first.exit
  expect(await answersStun(Number(env['TURNPIKE_RELAY_PORT']))).toBe(true)
  const second = npmStart(env)
  await second.until('relayed media')
  expect(second.out()).toContain('coturn was running already and was taken over')
  expect(coturnPids(env)).toEqual(pids)
})

test('no secret is in anything that a full run writes or shows', async () => {
  const fixed = { TURNPIKE_ADMIN_KEY: 'fixed-admin-key-000000000000', TURNPIKE_API_KEY: 'fixed-api-key-00000000000000', TURNPIKE_LOG_LEVEL: 'debug' }
  const env = await settings(fixed)
  const started = npmStart(env)
  await started.until('relayed media')
  const base = `http://127.0.0.1:${env['TURNPIKE_HTTP_PORT']}`
  const headers = { authorization: `Bearer ${fixed.TURNPIKE_API_KEY}`, 'content-type': 'application/json' }
  const issued = await (await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers, body: '{"user":"alice"}' })).json() as { credential: string }
  const { token } = await (await fetch(`${base}/v1/rooms/r/tokens`, { method: 'POST', headers, body: '{"peer":"a"}' })).json() as { token: string }
  await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${fixed.TURNPIKE_ADMIN_KEY}x` } })
  await fetch(`${base}/v1/signal?token=${token}`)
  await fetch(`${base}/v1/nowhere?token=${token}`)
  const socket = new WebSocket(`${base.replace('http', 'ws')}/v1/signal?token=${token}`)
  await new Promise(resolve => socket.addEventListener('message', resolve))
  socket.close()
  const metrics = await (await fetch(`http://127.0.0.1:${env['TURNPIKE_METRICS_PORT']}/metrics`)).text()
  const relay = `${env['TURNPIKE_DATA_DIR']}/relay`
  const database = new DatabaseSync(`${env['TURNPIKE_DATA_DIR']}/turnpike.db`, { readOnly: true })
  const { secret } = database.prepare('SELECT secret FROM turn_secrets').get() as { secret: string }
  database.close()
  const { password, controlPassword } = JSON.parse(readFileSync(`${relay}/feed.json`, 'utf8')) as { password: string, controlPassword: string }
  const { key: lentKey } = JSON.parse(readFileSync(`${env['TURNPIKE_DATA_DIR']}/control.json`, 'utf8')) as { key: string }
  const commandLines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
  signalGroup(started.child, 'SIGINT')
  await started.exit
  const shown = [started.all(), metrics, commandLines, readFileSync(`${relay}/turnserver.log`, 'utf8')].join('\n')
  expect(shown).toContain('a peer joined')
  for (const found of [fixed.TURNPIKE_ADMIN_KEY, fixed.TURNPIKE_API_KEY, secret, password, controlPassword, lentKey, issued.credential, token, token.split('.')[2] ?? '']) {
    expect(found.length).toBeGreaterThan(15)
    expect(shown).not.toContain(found)
  }
})

test('a configuration with several faults is listed whole, and ends with 78', async () => {
  const started = turnpike(['serve'], { ...await settings(), TURNPIKE_HTTP_PORT: 'x', TURNPIKE_RELAY_PEERS: 'everybody', TURNPIKE_API_KEY: 'short' })
  expect((await started.exit).code).toBe(78)
  expect(started.err()).toContain('the configuration has 3 problems')
  for (const name of ['TURNPIKE_HTTP_PORT', 'TURNPIKE_RELAY_PEERS', 'TURNPIKE_API_KEY']) expect(started.err()).toContain(name)
  expect(started.err()).not.toContain('short\n')
})

test('turnpike config prints what holds, secrets masked', async () => {
  const shown = turnpike(['config'], { TURNPIKE_HTTP_PORT: '9999', TURNPIKE_API_KEY: 'a-very-secret-key-of-30-characters' })
  expect((await shown.exit).code).toBe(0)
  expect(shown.out()).toContain('TURNPIKE_HTTP_PORT=9999  # environment')
  expect(shown.out()).toContain('TURNPIKE_API_KEY=********  # environment')
  expect(shown.out()).not.toContain('very-secret')
})

test('a taken HTTP port, another Turnpike on the same data: each ends with its cure', async () => {
  const env = await settings()
  const holder = createServer()
  await new Promise<void>(resolve => holder.listen(Number(env['TURNPIKE_HTTP_PORT']), '127.0.0.1', resolve))
  whenDone(() => { holder.close() })
  const refused = turnpike(['serve'], env)
  expect((await refused.exit).code).toBe(69)
  expect(refused.err()).toContain('set by TURNPIKE_HTTP_PORT')
  expect(refused.err()).toContain('[address-in-use]')
  const other = await settings()
  const first = turnpike(['serve'], other)
  await first.until('relayed media')
  const coturns = coturnPids(other)
  const second = turnpike(['serve'], { ...other, TURNPIKE_HTTP_PORT: '0', TURNPIKE_METRICS_PORT: '0' })
  expect((await second.exit).code).toBe(73)
  expect(second.err()).toContain('[data-dir-locked]')
  // Who holds it, so that it can be looked for; and it has noticed nothing.
  const [, pid = ''] = /is held by pid (\d+)/.exec(second.err()) ?? []
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toMatch(/main\.ts\0serve/)
  expect([coturnPids(other), (await fetch(`http://127.0.0.1:${other['TURNPIKE_HTTP_PORT']}/readyz`)).status]).toEqual([coturns, 200])
})

test('a port of the relay that is taken is told at once, and the control plane lives', async () => {
  const env = await settings()
  const holder = createServer()
  await new Promise<void>(resolve => holder.listen(Number(env['TURNPIKE_RELAY_PORT']), '127.0.0.1', resolve))
  whenDone(() => { holder.close() })
  const started = turnpike(['serve'], env)
  await started.until('relayed media')
  expect(started.out()).toContain('Turnpike is up, its relay is not')
  expect(started.out()).toContain(`tcp port ${env['TURNPIKE_RELAY_PORT']} on 127.0.0.1 is taken`)
  expect(started.out()).toContain('set TURNPIKE_RELAY_PORT')
  const ready = await (await fetch(`http://127.0.0.1:${env['TURNPIKE_HTTP_PORT']}/readyz`)).json() as { relay: { code: string } }
  expect(ready.relay.code).toBe('relay-port-busy')
})

/** A file system of its own, so that it can be full or read-only for root too. */
function mountScratch (options: string): string {
  const directory = scratchDirectory()
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory])
  whenDone(() => { execFileSync('umount', ['-l', directory]) })
  return directory
}

test('a data directory that is read-only, or full, ends the start with what is wrong', async () => {
  const readOnly = turnpike(['serve'], await settings({ TURNPIKE_DATA_DIR: mountScratch('size=1m,ro') }))
  expect((await readOnly.exit).code).toBe(73)
  expect(readOnly.err()).toMatch(/cannot be written.*EROFS/)
  const directory = mountScratch('size=64k')
  try {
    writeFileSync(`${directory}/filler`, Buffer.alloc(100_000))
  } catch {
    // Full is what it is to be.
  }
  const full = turnpike(['serve'], await settings({ TURNPIKE_DATA_DIR: directory }))
  expect((await full.exit).code).toBe(73)
  expect(full.err()).toContain('[data-dir-unwritable]')
})

test('a disk that fills up while running: credentials go on, readyz tells', async () => {
  const directory = mountScratch('size=2m')
  const env = await settings({ TURNPIKE_DATA_DIR: directory, TURNPIKE_API_KEY: 'a-key-of-more-than-24-characters' })
  const started = turnpike(['serve'], env)
  await started.until('relayed media')
  try {
    writeFileSync(`${directory}/filler`, Buffer.alloc(4_000_000))
  } catch {
    // Full is what it is to be.
  }
  const base = `http://127.0.0.1:${env['TURNPIKE_HTTP_PORT']}`
  const issued = await fetch(`${base}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${env['TURNPIKE_API_KEY']}` } })
  expect(issued.status).toBe(201)
  let ready = { ready: true, store: { code: '' } }
  await until('readyz tells', async () => {
    ready = await (await fetch(`${base}/readyz`)).json() as typeof ready
    return !ready.ready
  })
  expect(ready.store.code).toBe('data-dir-unwritable')
})

test('a database that is damaged, or of a newer version, is told and left as it is', async () => {
  const env = await settings()
  mkdirSync(env['TURNPIKE_DATA_DIR'] ?? '', { recursive: true })
  const file = `${env['TURNPIKE_DATA_DIR']}/turnpike.db`
  writeFileSync(file, 'this is no database '.repeat(100))
  const started = turnpike(['serve'], env)
  expect((await started.exit).code).toBe(74)
  expect(started.err()).toContain('[store-damaged]')
  expect(readFileSync(file, 'utf8')).toContain('this is no database')
})

test('a Node.js that is too old is told so, not met with a stack', async () => {
  const started = run(oldNode('16.20.2'), ['bin/turnpike.mjs', 'version'], {})
  expect((await started.exit).code).toBe(69)
  expect(started.err()).toContain('Node.js 16.20.2 is too old')
  expect(started.err()).not.toContain('    at ')
  // That of Debian 12 is enough to begin with.
  const enough = run(oldNode('18.20.8'), ['bin/turnpike.mjs', 'version'], {})
  expect((await enough.exit).code).toBe(0)
  expect(enough.out()).toMatch(/\(Node\.js 24\./)
})

/** As npm brings it, fetched once. */
function oldNode (version: string): string {
  const directory = `${process.env['XDG_CACHE_HOME'] ?? `${homedir()}/.cache`}/turnpike-test/node-${version.split('.')[0]}`
  const program = `${directory}/node_modules/node-linux-${process.arch}/bin/node`
  if (existsSync(program)) return program
  mkdirSync(directory, { recursive: true })
  execFileSync('npm', ['install', '--prefix', directory, '--ignore-scripts', '--no-save', `node-linux-${process.arch}@${version}`], { stdio: 'ignore' })
  return program
}
