/** The TURN secret is replaced under a running call, on the coturn of Debian and on the newest, and whenever the process is killed in between. */
import { spawn } from 'node:child_process'
import { DatabaseSync } from 'node:sqlite'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { isRefusal } from '../../src/stun/turn-client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { mintLogin } from '../kit/coturn.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { until } from '../kit/files.ts'
import { allocate, allocated, issue, relayPort, startCall } from '../kit/turn.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DRIVERS: [string, Record<string, string>][] = [
  ['4.6.1', {}],
  ['4.18.0', { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }],
]
const admin = (app: TestApp, method: string, path: string, body?: object, key = app.adminKey) => app.request(path, { method, key, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
type Secret = { id: number, state: string, retiresAt: number | null }
const secretsOf = async (app: TestApp, key = app.adminKey): Promise<Secret[]> => (await admin(app, 'GET', '/v1/secrets/turn', undefined, key)).body['secrets'] as Secret[]

test.each(DRIVERS)('coturn %s: the secret is replaced under a call that loses nothing; old credentials work to their end, then the old secret is gone', async (version, driver) => {
  const app = await startApp({ ...driver, TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS: '1', TURNPIKE_CREDENTIALS_MAX_TTL_SECONDS: '8', TURNPIKE_CREDENTIALS_TTL_SECONDS: '8' })
  expect(app.relayHealth()).toMatchObject({ ready: true, version })
  const { end } = await startCall(app)
  const before = await issue(app, { user: 'carol' })
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { readOnly: true })
  onTestFinished(() => database.close())
  const { secret: oldSecret } = database.prepare("SELECT secret FROM turn_secrets WHERE state = 'current'").get() as { secret: string }
  const restarts = app.relayHealth().restarts
  const rotated = await admin(app, 'POST', '/v1/secrets/turn/rotate')
  expect([rotated.status, (rotated.body['secrets'] as Secret[]).map(({ state }) => state)]).toEqual([200, ['current', 'old']])
  expect(JSON.stringify(rotated.body)).not.toContain(oldSecret)
  await allocated(relayPort(app), before)
  const after = await issue(app, { user: 'carol' })
  expect(after.credential).not.toBe(before.credential)
  await allocated(relayPort(app), after)
  await until('the old secret is retired', async () => (await secretsOf(app)).length === 1, 20_000)
  // Minted by hand for later, under the secret that is gone.
  const { username, password } = mintLogin(oldSecret, 600)
  const { outcome } = await allocate(relayPort(app), { username, credential: password })
  expect(isRefusal(outcome)).toBe(true)
  await allocated(relayPort(app), await issue(app))
  const { sent, received } = await end()
  expect(sent).toBeGreaterThan(300)
  expect(received).toBe(sent)
  expect(app.relayHealth().restarts).toBe(restarts)
})

test('many rotations in a row, and ten at once: each proved, one at a time', async () => {
  const app = await startApp()
  const issued = [await issue(app)]
  for (let i = 0; i < 5; i++) {
    expect((await admin(app, 'POST', '/v1/secrets/turn/rotate')).status).toBe(200)
    issued.push(await issue(app))
  }
  for (const one of issued) await allocated(relayPort(app), one)
  const codes = (await Promise.all(Array.from({ length: 10 }, async () => await admin(app, 'POST', '/v1/secrets/turn/rotate')))).map(({ body }) => body['code'])
  expect(new Set(codes)).toEqual(new Set([undefined, 'rotation-running']))
  await allocated(relayPort(app), await issue(app))
})

test('it is rotated by itself when it is due', async () => {
  let offset = 0
  const app = await startApp({ TURNPIKE_SECRETS_TURN_ROTATE_DAYS: '7' }, { nowSeconds: () => Math.floor(Date.now() / 1000) + offset })
  expect(await secretsOf(app)).toHaveLength(1)
  // The clock of coturn stays, so a little is all that the relay is off.
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`)
  database.exec('UPDATE turn_secrets SET created_at = created_at - 8 * 86400')
  database.close()
  await app.stop(2000)
  offset = 1
  const next = await startApp({ ...app.env })
  await until('it is rotated', async () => (await secretsOf(next, app.adminKey)).map(({ state }) => state).join() === 'current,old', 10_000)
})

test('a secret that is set from outside is not ours to replace', async () => {
  const app = await startApp({ TURNPIKE_RELAY_DRIVER: 'external', TURNPIKE_PUBLIC_HOST: '127.0.0.1', TURNPIKE_RELAY_SECRET: 'a-secret-of-somebody-else' })
  expect((await admin(app, 'POST', '/v1/secrets/turn/rotate')).body['code']).toBe('secret-not-ours')
  expect((await admin(app, 'POST', '/v1/integrations', { name: 'x' })).body['code']).toBe('secret-not-ours')
})

/** The steps between which a rotation can be broken off, as SQL that a process which died there would have left. */
const BROKEN_OFF: [string, string][] = [
  ['written down and told to nobody', "INSERT INTO turn_secrets (secret, created_at, state) VALUES ('pending-secret-of-a-broken-off-rotation', 1, 'pending')"],
  ['already the current one, the old one not yet out of coturn', "UPDATE turn_secrets SET state = 'old', retire_at = 1; INSERT INTO turn_secrets (secret, created_at, state) VALUES ('current-secret-after-a-crash', strftime('%s','now'), 'current')"],
]

test.each(BROKEN_OFF)('broken off when the new secret was %s: the next start goes on, and every credential works', async (_where, sql) => {
  const first = await startApp()
  const before = await issue(first)
  await first.stop(2000)
  const database = new DatabaseSync(`${first.env['TURNPIKE_DATA_DIR']}/turnpike.db`)
  database.exec(sql)
  database.close()
  const second = await startApp(first.env)
  await until('the rotation is over', async () => (await secretsOf(second, first.adminKey)).every(({ state }) => state !== 'pending'))
  await allocated(relayPort(second), await issue(second, {}, first.apiKey))
  if (sql.startsWith('INSERT')) await allocated(relayPort(second), before)
  await until('what has ended is gone', async () => (await secretsOf(second, first.adminKey)).filter(({ retiresAt }) => retiresAt === 1).length === 0)
})

test('killed at any moment of a rotation, 12 times: the next start is well, the call before it goes on, and both credentials work', async () => {
  const env = (await startApp({ TURNPIKE_ADMIN_KEY: 'admin-key-of-24-characters-or-more', TURNPIKE_API_KEY: 'api-key-of-24-characters-or-more-' }))
  await env.stop(2000)
  const settings: Record<string, string> = { ...env.env, TURNPIKE_LOG_LEVEL: 'warn' }
  const url = `http://127.0.0.1:${await import('../kit/files.ts').then(async ({ freePorts }) => (await freePorts(1))[0])}`
  const headers = { authorization: `Bearer ${settings['TURNPIKE_ADMIN_KEY']}`, 'content-type': 'application/json' }
  const up = async (): Promise<ReturnType<typeof spawn>> => {
    const child = spawn('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], { env: { PATH: process.env['PATH'], ...settings, TURNPIKE_HTTP_PORT: new URL(url).port }, stdio: 'ignore' })
    onTestFinished(() => { child.kill('SIGTERM') })
    await until('it is ready', async () => await fetch(`${url}/readyz`).then(({ status }) => status === 200, () => false), 20_000)
    return child
  }
  const issued: { username: string, credential: string }[] = []
  const take = async (): Promise<void> => { issued.push(await (await fetch(`${url}/v1/turn/credentials`, { method: 'POST', headers, body: '{}' })).json() as { username: string, credential: string }) }
  let child = await up()
  for (let i = 0; i < 12; i++) {
    await take()
    const rotation = fetch(`${url}/v1/secrets/turn/rotate`, { method: 'POST', headers }).catch(() => null)
    await new Promise(resolve => setTimeout(resolve, i * 2))
    child.kill('SIGKILL')
    await rotation
    child = await up()
    await until('no rotation is left undone', async () => ((await (await fetch(`${url}/v1/secrets/turn`, { headers })).json()) as { secrets: Secret[] }).secrets.every(({ state }) => state !== 'pending'), 10_000)
    await take()
    for (const one of issued.slice(-2)) await allocated(relayPort(env), one)
  }
  for (const one of issued.slice(0, 4)) await allocated(relayPort(env), one)
  child.kill('SIGTERM')
  await until('it has ended', () => child.exitCode !== null || child.signalCode !== null)
}, 120_000)

test('an integration has a secret of its own; what it mints is counted apart, and works until it is removed; on 4.6.1 there is none', async () => {
  const old = await startApp()
  const refused = await admin(old, 'POST', '/v1/integrations', { name: 'synapse' })
  expect([refused.status, refused.body['code']]).toEqual([409, 'integration-unsafe'])
  await old.stop(2000)

  const app = await startApp({ TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE })
  const made = await admin(app, 'POST', '/v1/integrations', { name: 'synapse' })
  expect(made.status).toBe(201)
  const { secret, snippets } = made.body as { secret: string, snippets: Record<string, string> }
  expect(snippets['synapse']).toContain(`turn_shared_secret: "${secret}"`)
  expect(Object.keys(snippets)).toEqual(expect.arrayContaining(['synapse', 'nextcloudTalk', 'prosody', 'mediamtx', 'galene']))
  expect((await admin(app, 'POST', '/v1/integrations', { name: 'synapse' })).body['code']).toBe('integration-exists')
  const minted = (key: string, user: string) => {
    const { username, password } = mintLogin(key, 600, user)
    return { username, credential: password }
  }
  await allocated(relayPort(app), minted(secret, '@alice:matrix.example'))
  await allocated(relayPort(app), minted(secret, '100%sure%n'))
  const live = async () => (await admin(app, 'GET', '/v1/turn/allocations?project=other')).body['allocations'] as { user: string }[]
  await until('both are seen', async () => (await live()).length === 2)
  expect((await live()).map(({ user }) => user).sort()).toEqual(['', 'matrix-example'])
  const next = await admin(app, 'POST', '/v1/integrations/synapse/rotate', { overlap: 2 })
  await allocated(relayPort(app), minted(secret, 'a'))
  await allocated(relayPort(app), minted(String(next.body['secret']), 'a'))
  await until('the old one is retired', async () => isRefusal((await allocate(relayPort(app), minted(secret, 'b'))).outcome), 15_000)
  expect(JSON.stringify((await admin(app, 'GET', '/v1/integrations')).body)).not.toContain(String(next.body['secret']))
  expect((await admin(app, 'DELETE', '/v1/integrations/synapse')).status).toBe(204)
  expect(isRefusal((await allocate(relayPort(app), minted(String(next.body['secret']), 'b'))).outcome)).toBe(true)
  expect((await admin(app, 'DELETE', '/v1/integrations/synapse')).status).toBe(404)
  expect((await app.request('/readyz')).status).toBe(200)
})
