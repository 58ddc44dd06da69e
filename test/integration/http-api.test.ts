import { readFileSync, readdirSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import jwt from 'jsonwebtoken'
import { beforeAll, expect, test } from 'vitest'
import { TurnClient, isRefusal } from '../../src/stun/turn-client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'

cleanUpAfterFile()
/** For tests that change nothing. */
let app: TestApp
beforeAll(async () => { app = await startApp() })

const post = (app: TestApp, body: unknown, more: { key?: string | null, path?: string } = {}) => app.request(more.path ?? '/v1/turn/credentials', { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...('key' in more ? { key: more.key ?? null } : {}) })

test('credentials are what a browser takes as they are, and coturn gives an allocation for them', async () => {
  const app = await startApp()
  const { status, headers, body } = await post(app, { user: 'alice', ttl: 600, label: 'kitchen' })
  const port = app.env['TURNPIKE_RELAY_PORT']
  expect(status).toBe(201)
  expect(headers.get('cache-control')).toBe('no-store')
  expect(body).toMatchObject({
    iceServers: [
      { urls: [`stun:127.0.0.1:${port}`] },
      { urls: [`turn:127.0.0.1:${port}?transport=udp`, `turn:127.0.0.1:${port}?transport=tcp`], username: body['username'], credential: body['credential'] },
    ],
    ttl: 600,
    label: 'kitchen',
  })
  expect(body['username']).toMatch(/^\d{10}:default\.alice\.[0-9a-f]{12}$/)
  expect(Math.abs(Number(body['expiresAt']) - Date.now() / 1000 - 600)).toBeLessThan(5)
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: Number(port), timeoutMs: 1000 })
  expect(isRefusal(await client.allocate({ username: String(body['username']), password: String(body['credential']) }))).toBe(false)
  await client.close()
})

test('an empty body means the defaults; filters and policy do what they say', async () => {
  const app = await startApp()
  const plain = await app.request('/v1/turn/credentials', { method: 'POST' })
  expect([plain.status, plain.body['ttl']]).toEqual([201, 3600])
  const relayOnly = await post(app, { policy: 'relay', transports: ['tcp'] })
  expect(relayOnly.body['iceServers']).toEqual([expect.objectContaining({ urls: [expect.stringMatching(/^turn:.*transport=tcp$/)] })])
  const admin = await post(app, { project: 'default', user: 'x' }, { key: app.adminKey })
  expect(admin.body['username']).toMatch(/:default\.x\.0$/)
})

const WRONG: [string, unknown, string, string][] = [
  ['ttl 0', { ttl: 0 }, 'ttl', 'from 60 to 86400'],
  ['ttl -1', { ttl: -1 }, 'ttl', 'from 60 to 86400'],
  ['ttl 10^12', { ttl: 1e12 }, 'ttl', 'from 60 to 86400'],
  ['ttl 59', { ttl: 59 }, 'ttl', 'from 60 to 86400'],
  ['ttl "abc"', { ttl: 'abc' }, 'ttl', 'must be an integer'],
  ['ttl "3600"', { ttl: '3600' }, 'ttl', 'must be an integer'],
  ['ttl 1.5', { ttl: 60.5 }, 'ttl', 'must be an integer'],
  ['ttl null', { ttl: null }, 'ttl', 'must be an integer'],
  ['a user with a space', { user: 'a b' }, 'user', '1 to 64 characters'],
  ['a user with a %', { user: 'a%b' }, 'user', '1 to 64 characters'],
  ['a user of 65 characters', { user: 'x'.repeat(65) }, 'user', '1 to 64 characters'],
  ['a user of emoji', { user: '😀' }, 'user', '1 to 64 characters'],
  ['an empty user', { user: '' }, 'user', '1 to 64 characters'],
  ['a user that is a number', { user: 1 }, 'user', 'must be a string'],
  ['an unknown transport', { transports: ['sctp'] }, 'transports.0', 'one of udp, tcp, tls'],
  ['no transport', { transports: [] }, 'transports', 'one or more of'],
  ['an unknown policy', { policy: 'none' }, 'policy', 'one of all, relay'],
  ['an unknown field', { tll: 60 }, 'tll', 'is not a field that is read here'],
  ['a body that is no object', [], 'body', 'must be an object'],
]

test.each(WRONG)('%s is refused by its name, with what was expected', async (_name, body, field, message) => {
  const answer = await post(app, body)
  expect(answer.status).toBe(400)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
  expect(answer.body).toMatchObject({ type: 'urn:turnpike:error:invalid-request', status: 400, code: 'invalid-request', instance: answer.headers.get('x-request-id'), errors: expect.arrayContaining([{ field, message: expect.stringContaining(message) }]) })
})

test('several wrong fields are named in one answer', async () => {
  const { body } = await post(app, { ttl: 0, user: 'a b' })
  expect((body['errors'] as { field: string }[]).map(({ field }) => field)).toEqual(['user', 'ttl'])
})

test.each([
  ['not JSON', { body: '{"ttl":' }, 400, 'invalid-json'],
  ['2 MB', { body: JSON.stringify({ label: 'x'.repeat(2_000_000) }) }, 413, 'body-too-large'],
  ['a form', { body: 'ttl=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415, 'unsupported-media-type'],
  ['plain text', { body: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported-media-type'],
] as const)('a body that is %s gets %i', async (_name, options, status, code) => {
  const answer = await app.request('/v1/turn/credentials', { method: 'POST', ...options })
  expect([answer.status, answer.body['code']]).toEqual([status, code])
})

test.each([
  ['no key', null], ['a wrong key', 'tpk_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'], ['a key with a typo', undefined], ['an empty key', ' '], ['a key of 10 kB', 'x'.repeat(10_000)],
])('%s gets 401, and the key is not said again', async (name, key) => {
  const wrong = key === undefined ? `${app.apiKey.slice(0, -1)}${app.apiKey.endsWith('A') ? 'B' : 'A'}` : key
  const answer = await post(app, {}, { key: wrong })
  expect([answer.status, answer.body['code'], answer.headers.get('www-authenticate')]).toEqual([401, 'unauthorized', 'Bearer'])
  if (wrong !== null && wrong !== ' ') expect(JSON.stringify(answer.body)).not.toContain(wrong)
  expect(name).not.toBe('')
})

test('another project is not there for a key, whether it exists or not; an API key does not reach what is the admin\'s', async () => {
  const other = await post(app, { project: 'somebody-else' })
  expect([other.status, other.body['code']]).toEqual([404, 'not-found'])
  const real = await post(app, { project: 'call' })
  expect({ ...real.body, instance: '' }).toEqual({ ...other.body, instance: '', detail: String(other.body['detail']).replace('somebody-else', 'call') })
  const relays = await app.request('/v1/relays')
  expect([relays.status, relays.body['code']]).toEqual([403, 'forbidden'])
  const asAdmin = await app.request('/v1/relays', { key: app.adminKey })
  expect(asAdmin.body['relays']).toMatchObject([{ id: 'turnpike', ready: true, driver: 'process' }])
})

test('what nobody answers, a method that is not answered, and a path that cannot be decoded', async () => {
  const unknown = await app.request('/v1/nothing')
  expect([unknown.status, unknown.body['code']]).toEqual([404, 'not-found'])
  const method = await app.request('/v1/turn/credentials')
  expect([method.status, method.body['code'], method.headers.get('allow')]).toEqual([405, 'method-not-allowed', 'POST, DELETE'])
  const path = await app.request('/call/%E0%A4%A')
  expect([path.status, path.body['code']]).toEqual([400, 'invalid-request'])
})

test('keys are not in the database, and what is in the data directory is its owner\'s alone', async () => {
  const app = await startApp()
  const directory = app.env['TURNPIKE_DATA_DIR'] ?? ''
  const bytes = readdirSync(directory).filter(name => name.startsWith('turnpike.db')).map(name => readFileSync(`${directory}/${name}`, 'latin1')).join('')
  expect(bytes.length).toBeGreaterThan(1000)
  expect(bytes).not.toContain(app.apiKey.slice(-20))
  expect(bytes).not.toContain(app.adminKey.slice(-20))
})

test('fixed keys are taken as they are, and none is made', async () => {
  const settings = { TURNPIKE_API_KEY: 'any string of 24 chars or more'.replaceAll(' ', '-'), TURNPIKE_ADMIN_KEY: 'another-string-of-24-characters' }
  const app = await startApp(settings)
  expect(app.firstKeys()).toEqual({ adminKey: null, apiKey: null })
  expect((await post(app, {})).status).toBe(201)
  expect((await app.request('/v1/relays', { key: settings.TURNPIKE_ADMIN_KEY })).status).toBe(200)
})

test('a second start keeps keys, secret and signing key', async () => {
  const first = await startApp()
  const issued = await post(first, { user: 'alice' })
  const token = await post(first, { peer: 'a' }, { path: '/v1/rooms/r/tokens' })
  await first.stop(2000)
  const second = await startApp(first.env)
  expect(second.firstKeys()).toEqual({ adminKey: null, apiKey: null })
  expect((await post(second, {}, { key: first.apiKey })).status).toBe(201)
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: Number(first.env['TURNPIKE_RELAY_PORT']), timeoutMs: 1000 })
  expect(isRefusal(await client.allocate({ username: String(issued.body['username']), password: String(issued.body['credential']) }))).toBe(false)
  await client.close()
  const header = jwt.decode(String(token.body['token']), { complete: true })?.header
  expect(header).toMatchObject({ alg: 'HS256', kid: expect.stringMatching(/^[0-9a-f]{8}$/) })
})

test('room tokens: a place for a peer, and what is wrong is named', async () => {
  const { status, body } = await post(app, { peer: 'al ice', role: 'robot', metadata: { a: 1 }, capacity: 3 }, { path: '/v1/rooms/my%20room/tokens' })
  expect(status).toBe(201)
  expect(body['url']).toBe(`${app.url().replace('http', 'ws')}/v1/signal`)
  expect(jwt.decode(String(body['token']))).toMatchObject({ project: 'default', room: 'my room', peer: 'al ice', role: 'robot', metadata: { a: 1 }, capacity: 3, aud: 'turnpike:signal', iss: 'turnpike' })
  const cases: [unknown, string, number, string][] = [
    [{}, 'r', 400, 'peer'],
    [{ peer: 'a/b' }, 'r', 400, 'peer'],
    [{ peer: 'x'.repeat(129) }, 'r', 400, 'peer'],
    [{ peer: 'a\nb' }, 'r', 400, 'peer'],
    [{ peer: 'a' }, '%00', 400, 'room'],
    [{ peer: 'a', ttl: 5 }, 'r', 400, 'ttl'],
    [{ peer: 'a', capacity: 0 }, 'r', 400, 'capacity'],
    [{ peer: 'a', role: '' }, 'r', 400, 'role'],
    [{ peer: 'a', permissions: { fly: true } }, 'r', 400, 'permissions.fly'],
    [{ peer: 'a', kind: 'topic' }, 'r', 400, 'role'],
    [{ peer: 'a', kind: 'topic', role: 'driver' }, 'r', 400, 'role'],
    [{ peer: 'a', kind: 'pair', capacity: 3 }, 'r', 400, 'capacity'],
    [{ peer: 'a', kind: 'sphere' }, 'r', 400, 'kind'],
  ]
  for (const [wrong, room, expected, field] of cases) {
    const answer = await post(app, wrong, { path: `/v1/rooms/${room}/tokens` })
    expect([answer.status, (answer.body['errors'] as { field: string }[] | undefined)?.[0]?.field], JSON.stringify(wrong)).toEqual([expected, field])
  }
  const large = await post(app, { peer: 'a', metadata: { x: 'y'.repeat(3000) } }, { path: '/v1/rooms/r/tokens' })
  expect([large.status, large.body['code']]).toEqual([413, 'metadata-too-large'])
})

test('health, readiness, metrics and the description of the API', async () => {
  const app = await startApp()
  expect((await app.request('/healthz', { key: null })).body).toEqual({ status: 'ok' })
  const ready = await app.request('/readyz', { key: null })
  expect([ready.status, ready.body['ready']]).toEqual([200, true])
  expect(ready.body).toMatchObject({ relay: { ready: true, state: 'healthy' }, store: { ready: true } })
  await post(app, {})
  const metrics = await (await fetch(app.metricsUrl())).text()
  expect(metrics).toContain('turnpike_credentials_issued_total{project="default"} 1')
  expect(metrics).toContain('turnpike_http_requests_total{method="POST",route="/v1/turn/credentials",status="201"} 1')
  expect(metrics.split('\n').filter(line => line !== '' && !line.startsWith('#') && !line.startsWith('turnpike_'))).toEqual([])
  const { body } = await app.request('/v1/openapi.json', { key: null })
  const paths = body['paths'] as Record<string, Record<string, { security: unknown, responses: object }>>
  expect(body['openapi']).toBe('3.1.0')
  expect(Object.keys(paths)).toEqual(expect.arrayContaining(['/v1/turn/credentials', '/v1/rooms/{room}/tokens', '/v1/signal', '/healthz', '/readyz', '/v1/relays']))
  expect(Object.keys(paths['/v1/turn/credentials']?.['post']?.responses ?? {})).toEqual(expect.arrayContaining(['201', '400', '401', '503']))
})

test('while no relay is ready, credentials are refused with the reason and when to come again', async () => {
  const app = await startApp({}, { programPath: [] })
  const answer = await post(app, {})
  expect([answer.status, answer.body['code'], answer.headers.get('retry-after')]).toEqual([503, 'relay-unavailable', '2'])
  expect(answer.body['detail']).toContain('turnserver is not in')
  const ready = await app.request('/readyz')
  expect([ready.status, (ready.body['relay'] as { code: string, cure: string })['code']]).toEqual([503, 'relay-program-missing'])
  expect((ready.body['relay'] as { cure: string }).cure).toContain('apt-get install coturn')
})

test('a clock that is 10 minutes off is said, by readyz too', async () => {
  const home = await startApp()
  const [{ secret: relaySecret }] = new DatabaseSync(`${home.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { readOnly: true }).prepare('SELECT secret FROM turn_secrets').all() as [{ secret: string }]
  const { TURNPIKE_DATA_DIR: _, ...env } = home.env
  const app = await startApp({ ...env, TURNPIKE_RELAY_DRIVER: 'external', TURNPIKE_PUBLIC_HOST: '127.0.0.1', TURNPIKE_RELAY_SECRET: relaySecret }, { nowSeconds: () => Math.floor(Date.now() / 1000) - 600 })
  const ready = await app.request('/readyz')
  expect(ready.body).toMatchObject({ relay: { code: 'relay-clock-off', reason: expect.stringContaining('at least 5 min ahead of ours'), cure: expect.stringContaining('NTP') } })
})
