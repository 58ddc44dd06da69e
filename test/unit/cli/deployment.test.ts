import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { wantedSettings } from '../../../src/cli/deployment/compose.ts'
import type { Deployment, Readiness } from '../../../src/cli/deployment/deployment.ts'
import { readEnvFile, setInEnvFile } from '../../../src/cli/deployment/env-file.ts'
import { changedSince, recordMounted } from '../../../src/cli/deployment/mounted-files.ts'
import { createPrograms } from '../../../src/cli/deployment/programs.ts'
import { inWords, whyNotReady } from '../../../src/cli/deployment/readiness.ts'
import { backupName, outdatedBackups } from '../../../src/cli/deployment/upgrade-backups.ts'
import { chooseDeployment, findDeployment } from '../../../src/cli/deployment/which.ts'

const directories: string[] = []
afterEach(() => { for (const directory of directories.splice(0)) rmSync(directory, { recursive: true }) })

function scratchFile (text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-test-'))
  directories.push(directory)
  writeFileSync(join(directory, '.env'), text)
  return join(directory, '.env')
}

test('the file of settings keeps what the operator wrote, is for its owner alone, and is not touched where nothing changes', () => {
  const file = scratchFile('# mine\nTURNPIKE_DOMAIN=old.example\nTURNPIKE_LOG_LEVEL="debug"\n#TURNPIKE_RELAY_PORT=1\n')
  setInEnvFile(file, { TURNPIKE_DOMAIN: 'new.example', TURNPIKE_RELAY_ON_STOP: 'keep' })
  expect(readFileSync(file, 'utf8')).toBe('# mine\nTURNPIKE_LOG_LEVEL="debug"\n#TURNPIKE_RELAY_PORT=1\nTURNPIKE_DOMAIN=new.example\nTURNPIKE_RELAY_ON_STOP=keep\n')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readEnvFile(file)).toEqual({ TURNPIKE_DOMAIN: 'new.example', TURNPIKE_LOG_LEVEL: 'debug', TURNPIKE_RELAY_ON_STOP: 'keep' })
  const inode = statSync(file).ino
  setInEnvFile(file, { TURNPIKE_DOMAIN: 'new.example' })
  expect(statSync(file).ino).toBe(inode)
})

test('it is read as compose reads it, and a link to it stays one', () => {
  const file = scratchFile('COMPOSE_PROJECT_NAME=mine # of ours\nA="b # c" # d\nB=a#b\nC=\n')
  expect(readEnvFile(file)).toEqual({ COMPOSE_PROJECT_NAME: 'mine', A: 'b # c', B: 'a#b', C: '' })
  symlinkSync(file, `${file}.link`)
  setInEnvFile(`${file}.link`, { C: 'd' })
  expect([lstatSync(`${file}.link`).isSymbolicLink(), readEnvFile(file)['C']]).toEqual([true, 'd'])
})

test('files that are mounted are known to have changed, of which service', () => {
  const directory = dirname(scratchFile(''))
  for (const service of ['edge', 'prometheus']) {
    mkdirSync(join(directory, service))
    writeFileSync(join(directory, service, 'conf'), '1')
  }
  expect(changedSince(directory)).toEqual([])
  recordMounted(directory)
  expect(changedSince(directory)).toEqual([])
  writeFileSync(join(directory, 'edge', 'conf'), '2')
  expect(changedSince(directory)).toEqual(['edge'])
})

test.each([
  ['a name is taken', {}, 'a.example', { TURNPIKE_DOMAIN: 'a.example' }],
  ['the one that is known stays', { TURNPIKE_DOMAIN: 'b.example' }, null, { TURNPIKE_DOMAIN: 'b.example' }],
  ['without one HTTP stays on this machine', {}, null, { TURNPIKE_DOMAIN: 'localhost', TURNPIKE_HTTP_HOST: '127.0.0.1' }],
  ['an empty one is none', { TURNPIKE_DOMAIN: 'b.example' }, '', { TURNPIKE_DOMAIN: 'b.example' }],
  ['nor is one that is empty in the file', { TURNPIKE_DOMAIN: '' }, null, { TURNPIKE_DOMAIN: 'localhost', TURNPIKE_HTTP_HOST: '127.0.0.1' }],
  ['unless the operator wants it elsewhere', { TURNPIKE_HTTP_HOST: '10.0.0.1' }, null, { TURNPIKE_DOMAIN: 'localhost', TURNPIKE_HTTP_HOST: '10.0.0.1' }],
])('settings: %s', (_what, have, domain, wanted) => {
  expect(wantedSettings(have, { domain, profile: null })).toEqual({ ...wanted, TURNPIKE_RELAY_ON_STOP: 'keep' })
  expect(wantedSettings({ ...have, TURNPIKE_RELAY_ON_STOP: 'end' }, { domain, profile: 'full' })).toEqual({ ...wanted, TURNPIKE_RELAY_ON_STOP: 'end', COMPOSE_PROFILES: 'full' })
})

test('a program that fails, or is not there, is told with its words', async () => {
  const programs = createPrograms({ PATH: process.env['PATH'] }, '/')
  expect(await programs.output('sh', ['-c', 'echo "$0"', '$(id); x'])).toBe('$(id); x')
  await expect(programs.output('sh', ['-c', 'echo because >&2; exit 3'])).rejects.toMatchObject({ code: 'deployment-failed', message: expect.stringMatching(/ended with 3: because/) })
  expect(await programs.ask('no-such-program', [])).toMatchObject({ code: 127, err: expect.stringContaining('ENOENT') })
  await expect(programs.show('false', [])).rejects.toMatchObject({ code: 'deployment-failed' })
  expect(await programs.handOver('sh', ['-c', 'exit 7'])).toBe(7)
})

const READY: Readiness = { ready: true, relay: { ready: true }, store: { ready: true } }
const NOT_READY: Readiness = { ready: false, relay: { ready: false, reason: 'the port is taken', cure: 'Free it.' }, store: { ready: true } }

function deployment (more: Partial<Deployment>): Deployment {
  const none = async (): Promise<never> => { throw new Error('not asked for here') }
  return { kind: 'systemd', commandLine: 'turnpike', isThere: async () => false, domain: () => null, troubles: none, trace: () => null, start: none, remember: none, turnpike: async () => ({ code: 1, out: '', err: '' }), readiness: async () => READY, hopeless: async () => null, summary: none, parts: none, logs: none, uninstall: none, upgrading: { name: () => 'test', prepare: none, whyCallsEnd: none, backups: '', backUp: none, listBackups: none, deleteBackups: none, switchOver: none, rollBack: none, byHand: () => [], keep: none }, ...more }
}

test('waiting ends when it is ready, when it is in vain, and when the time is over, with the reason', async () => {
  const answers = [null, NOT_READY, READY]
  expect(await whyNotReady(deployment({ readiness: async () => answers.shift() ?? READY }), 20_000)).toBeNull()
  expect(await whyNotReady(deployment({ readiness: async () => null, hopeless: async () => 'it ends again and again' }), 20_000)).toBe('it ends again and again')
  expect(await whyNotReady(deployment({ readiness: async () => NOT_READY }), 0)).toBe('not ready within 0 s: relay: the port is taken (Free it.)')
  expect([inWords(null), inWords(READY)]).toEqual(['nobody answers', 'everything is ready'])
})

test('the deployment that is here is found; else compose, then systemd; else nothing can be done here', async () => {
  const [compose, systemd] = [deployment({ kind: 'Docker Compose' }), deployment({})]
  const engine = { ask: async () => ({ code: 0, out: '27', err: '' }) }
  const noEngine = { ask: async () => ({ code: 127, out: '', err: 'no docker' }) }
  const there = (one: Deployment): Deployment => ({ ...one, isThere: async () => true })
  expect(await findDeployment({ programs: engine, compose, systemd })).toBeNull()
  expect(await findDeployment({ programs: engine, compose: there(compose), systemd })).toMatchObject({ kind: 'Docker Compose' })
  expect(await findDeployment({ programs: engine, compose: there(compose), systemd: there(systemd) })).toMatchObject({ kind: 'systemd' })
  expect(await findDeployment({ programs: noEngine, compose: there(compose), systemd })).toBeNull()
  const old = { ask: async (_program: string, [first]: readonly string[]) => ({ code: 0, out: first === 'compose' ? '2.23.3' : '27', err: '' }) }
  await expect(findDeployment({ programs: old, compose: { ...compose, trace: () => '/x/.deployed.yaml' }, systemd })).rejects.toMatchObject({ code: 'not-deployable', message: expect.stringMatching(/2\.23\.3; 2\.24 or newer/) })
  // It runs there, although it cannot be asked: a second one beside it would be worse than none.
  const cannotBeAsked = { programs: noEngine, compose: { ...compose, trace: () => '/x/.deployed.yaml' }, systemd }
  await expect(chooseDeployment(cannotBeAsked)).rejects.toMatchObject({ code: 'not-deployable', message: expect.stringMatching(/\.deployed\.yaml[^]*no docker/) })
  expect(await chooseDeployment({ programs: engine, compose, systemd })).toMatchObject({ kind: 'Docker Compose' })
  const chosen = chooseDeployment({ programs: noEngine, compose, systemd }).catch((error: unknown) => error)
  // Where these tests run there may be a systemd.
  expect(await chosen).toMatchObject(await canBeSystemd() ? { kind: 'systemd' } : { code: 'not-deployable', message: expect.stringContaining('no docker') })
})

async function canBeSystemd (): Promise<boolean> {
  return await createPrograms({ PATH: process.env['PATH'] }, '/').ask('test', ['-d', '/run/systemd/system']).then(({ code }) => code === 0) && process.getuid?.() === 0
}

const MADE = Array.from({ length: 7 }, (_, i) => backupName(new Date(Date.UTC(2026, 10, 20 + i, 4, 5, 6, 7))))

test('of the backups that upgrades made the newest five are kept, and nothing else is touched', () => {
  // Also not what the database leaves before its tables change, which it counts by itself.
  const mine = ['upgrade-mine.db', 'mine.db', 'upgrade-2026-01-01.db', `before-${MADE[0]}`, `${MADE[0]}.kept`, `x${MADE[0]}`, '']
  expect(MADE[0]).toBe('upgrade-2026-11-20T04-05-06-007Z.db')
  expect(outdatedBackups([...mine, ...MADE.toReversed()])).toEqual(MADE.slice(0, 2))
  expect(outdatedBackups([...mine, ...MADE.slice(2)])).toEqual([])
})
