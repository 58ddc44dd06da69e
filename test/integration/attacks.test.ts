/** What somebody tries who means harm, or types without care: over sockets, against the house as it runs. */
import jwt from 'jsonwebtoken'
import { request as httpRequest } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { issue } from '../kit/turn.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp({ TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '100000000' }) })

const admin = (method: string, path: string, body?: object) => app.request(path, { method, key: app.adminKey, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
type Raw = { status: number, type: string, body: string }

/** As it stands, also where fetch would mend or refuse it. */
async function raw (to: TestApp, method: string, path: string, headers: Record<string, string>, body?: string | Buffer): Promise<Raw> {
  const { hostname, port } = new URL(to.url().replace('localhost', '127.0.0.1'))
  return await new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method, path, headers: { ...headers, ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }) }, agent: false }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body: Buffer.concat(chunks).toString('utf8') }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

const HOSTILE = ["'; DROP TABLE projects; --", '" OR 1=1 --', '../../../etc/passwd', '..%2f..%2fetc%2fpasswd', '%00', '\r\nX-Injected: yes', '<script>alert(1)</script>', '$' + '{jndi:ldap://x}', '$(reboot)', '`reboot`', '{{7*7}}', '%s%n%x', '__proto__', 'constructor', '\u202e', '😀', 'a'.repeat(5000), '-1', '1e999', 'NaN', 'null', '*', '?', '#', '/', '\\', '\u0000']
type Operation = { parameters?: { name: string, in: string }[], requestBody?: unknown, responses: Record<string, unknown> }

async function operations (): Promise<{ method: string, path: string, operation: Operation }[]> {
  const { paths } = (await app.request('/v1/openapi.json')).body as { paths: Record<string, Record<string, Operation>> }
  return Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })))
}

/** Paths that a request which was meant for an operation can land on when its parameters are anything: a neighbour, nothing at all. */
const ANYWHERE = ['400', '404', '405', '413', '414', '415', '431']

test('whatever bytes come in, the answer is a documented status, as a problem document where it is a refusal; the process lives and nothing is changed', async () => {
  // On an app of its own: everything may be revoked in the end.
  const app = await startApp({ TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '100000000' })
  const admin = (method: string, path: string) => app.request(path, { method, key: app.adminKey })
  const known = (await operations()).filter(({ path }) => !path.startsWith('/v1/secrets') && path !== '/v1/signal')
  expect(known.length).toBeGreaterThan(40)
  const text = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 50 }), fc.string({ maxLength: 20 }))
  const value = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }), fc.constantFrom<unknown>(null, 0, -1, 1e308, [], {}, true))
  const input = fc.record({
    which: fc.nat(known.length - 1),
    fill: fc.array(text, { minLength: 3, maxLength: 3 }),
    query: fc.dictionary(fc.oneof(fc.constantFrom('project', 'limit', 'cursor', 'by', 'from', 'format', 'key', 'service', 'ttl', 'kind', 'apiKey'), text), text, { maxKeys: 3 }),
    body: fc.oneof(fc.dictionary(fc.oneof(fc.constantFrom('user', 'ttl', 'id', 'name', 'peer', 'scopes', 'quotas', 'transports', 'overlap', 'metadata', 'label', 'webhook'), text), value, { maxKeys: 4 }).map(body => JSON.stringify(body)), text, fc.uint8Array({ maxLength: 100 }).map(bytes => Buffer.from(bytes))),
    type: fc.constantFrom('application/json', 'application/json', 'application/x-www-form-urlencoded', 'text/plain', 'application/merge-patch+json', 'x'),
    key: fc.constantFrom('admin', 'project', 'none', 'wrong'),
  })
  const before = (await admin('GET', '/v1/projects')).body
  await fc.assert(fc.asyncProperty(input, async ({ which, fill, query, body, type, key }) => {
    const { method, path, operation } = known[which] ?? { method: 'GET', path: '/', operation: { responses: {} } }
    // A project that this made up would be a change; the ids of those that exist are not among what is filled in.
    let next = 0
    const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(fill[next++ % 3] ?? '').replaceAll("'", '%27'))
    const target = `${filled}?${Object.entries(query).map(([name, item]) => `${encodeURIComponent(name)}=${encodeURIComponent(item)}`).join('&')}`
    const keys: Record<string, Record<string, string>> = { admin: { authorization: `Bearer ${app.adminKey}` }, project: { authorization: `Bearer ${app.apiKey}` }, none: {}, wrong: { authorization: 'Basic YTpi' } }
    const hasBody = method !== 'GET' && method !== 'OPTIONS'
    const answer = await raw(app, method, target, { ...keys[key], ...(hasBody ? { 'content-type': type } : {}) }, hasBody ? body : undefined)
    const allowed = [...Object.keys(operation.responses), ...ANYWHERE]
    if (!allowed.includes(String(answer.status))) throw new Error(`${method} ${target} ${String(body)} → ${answer.status} ${answer.body}`)
    if (answer.status < 400) return
    // The clients of two APIs read nothing else than plain JSON; what does not reach them is a problem document there too.
    const types = path.startsWith('/_matrix') || path.startsWith('/2010') ? ['application/problem+json', 'application/json'] : ['application/problem+json']
    if (!types.some(expected => answer.type.startsWith(expected))) throw new Error(`${method} ${target} → ${answer.status} ${answer.type}`)
    const problem = JSON.parse(answer.body) as { status: number, code: string, cure: string }
    if (problem.status !== answer.status || problem.code === 'internal' || problem.cure === '') throw new Error(`${method} ${target} ${String(body)} → ${answer.body}`)
  }), { numRuns: 3000 })
  expect((await app.request('/readyz')).status).toBe(200)
  const after = (await admin('GET', '/v1/projects')).body
  expect((after['projects'] as { id: string }[]).filter(({ id }) => (before['projects'] as { id: string }[]).some(one => one.id === id)).length).toBe((before['projects'] as object[]).length)
}, 120_000)

test('SQL, paths and headers in every text that is kept come back as they were sent, and do nothing', async () => {
  for (const text of HOSTILE.filter(text => text.length <= 128)) {
    const made = await admin('POST', '/v1/projects/default/keys', { name: text })
    expect(made.status, text).toBe(201)
    const { keys } = (await admin('GET', '/v1/projects/default/keys?limit=1000')).body as { keys: { id: string, name: string }[] }
    expect(keys.find(({ id }) => id === made.body['id'])?.name).toBe(text)
    const labelled = await app.request('/v1/turn/credentials', { method: 'POST', body: JSON.stringify({ label: text }) })
    expect([labelled.status, labelled.body['label']]).toEqual([201, text])
    const room = await app.request(`/v1/rooms/${encodeURIComponent('r')}/tokens`, { method: 'POST', body: JSON.stringify({ peer: 'p', metadata: { text } }) })
    expect([room.status, (jwt.decode(String(room.body['token'])) as { metadata: object }).metadata]).toEqual([201, { text }])
    for (const path of [`/v1/turn/allocations?user=${encodeURIComponent(text)}`, `/v1/usage?by=user&from=${encodeURIComponent(text)}`, `/v1/audit?project=${encodeURIComponent(text)}`]) {
      const { status, headers } = await app.request(path, { key: app.adminKey })
      expect([200, 400], `${path} ${status}`).toContain(status)
      expect(headers.get('x-injected')).toBeNull()
    }
  }
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { readOnly: true })
  expect(database.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
  database.close()
})

test('addresses cannot be made up: X-Forwarded-For counts from trusted proxies alone, and only its last stranger', async () => {
  const limits = { TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '5' }
  const ask = async (to: TestApp, from: string): Promise<number> => (await raw(to, 'GET', '/v1/openapi.json', { 'x-forwarded-for': from })).status
  const open = await startApp(limits)
  const forged: number[] = []
  for (let i = 0; i < 8; i++) forged.push(await ask(open, `203.0.113.${i}`))
  expect(forged).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
  await open.stop(2000)
  const proxied = await startApp({ ...limits, TURNPIKE_HTTP_TRUST_PROXY: '127.0.0.0/8' })
  const behind: number[] = []
  for (let i = 0; i < 8; i++) behind.push(await ask(proxied, `198.51.100.${i}, 203.0.113.9`))
  expect(behind).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
  expect(await ask(proxied, '203.0.113.10')).toBe(200)
  // One subscriber of IPv6 has many addresses.
  const six: number[] = []
  for (let i = 0; i < 7; i++) six.push(await ask(proxied, `2001:db8:1:2::${i + 1}`))
  expect(six).toEqual([200, 200, 200, 200, 200, 429, 429])
  expect(await ask(proxied, '2001:db8:1:3::1')).toBe(200)
})

test('wrong keys are counted by address, right ones by key and by project; the answer says when to come again', async () => {
  const small = await startApp({ TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '20', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '30' })
  const wrong: number[] = []
  for (let i = 0; i < 25; i++) wrong.push((await small.request('/v1/usage', { key: `wrong-${i}` })).status)
  expect([wrong.filter(status => status === 401).length, wrong.filter(status => status === 429).length]).toEqual([20, 5])
  // The owner of a key at the same address goes on.
  const right: { status: number, headers: Headers, body: Record<string, unknown> }[] = []
  for (let i = 0; i < 32; i++) right.push(await small.request('/v1/usage'))
  expect(right.filter(({ status }) => status === 200)).toHaveLength(30)
  const last = right.at(-1)
  expect([last?.status, last?.body['code'], Number(last?.headers.get('retry-after')) > 50]).toEqual([429, 'too-many-requests', true])
  expect([right[0]?.headers.get('ratelimit-limit'), right[0]?.headers.get('ratelimit-remaining'), last?.headers.get('ratelimit-remaining')]).toEqual(['30', '29', '0'])
  await small.request('/v1/projects', { method: 'POST', body: '{"id":"p","quotas":{"requestsPerMinute":4}}', key: small.adminKey })
  const keys = await Promise.all([1, 2].map(async () => String((await small.request('/v1/projects/p/keys', { method: 'POST', body: '{}', key: small.adminKey })).body['key'])))
  const together: number[] = []
  for (let i = 0; i < 6; i++) together.push((await small.request('/v1/usage', { key: keys[i % 2] ?? '' })).status)
  expect(together).toEqual([200, 200, 200, 200, 429, 429])
  expect((await small.request('/v1/usage', { key: keys[0] ?? '' })).body).toMatchObject({ code: 'quota-exceeded', errors: [{ field: 'quotas.requestsPerMinute' }] })
})

const joinWith = async (token: string): Promise<Raw> => await raw(app, 'GET', `/v1/signal?token=${encodeURIComponent(token)}`, { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' })
const codeOf = ({ body }: Raw): unknown => (JSON.parse(body) as { code: string }).code

test('what one caller is refused does not use up what another has', async () => {
  const settings = { TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '20', TURNPIKE_ADMIN_KEY: 'admin-key-of-24-characters-or-more', TURNPIKE_API_KEY: 'api-key-of-24-characters-or-more-' }
  const small = await startApp(settings)
  const ask = (path: string, key: string, options: RequestInit = {}) => small.request(path, { key, ...options })
  // Fixed keys have the same id, and are two all the same; requests that are forbidden count.
  const forbidden: number[] = []
  for (let i = 0; i < 25; i++) forbidden.push((await ask('/v1/projects', settings.TURNPIKE_API_KEY)).status)
  expect([forbidden.filter(status => status === 403).length, forbidden.filter(status => status === 429).length]).toEqual([20, 5])
  expect((await ask('/v1/projects', settings.TURNPIKE_ADMIN_KEY, { method: 'POST', body: '{"id":"pages","origins":["https://app.example"],"publishableKeys":true,"quotas":{"requestsPerMinute":15}}' })).status).toBe(201)
  const make = async (body: object) => String((await ask('/v1/projects/pages/keys', settings.TURNPIKE_ADMIN_KEY, { method: 'POST', body: JSON.stringify(body) })).body['key'])
  const [page, backend] = [await make({ kind: 'publishable' }), await make({})]
  const visitor = (headers: Record<string, string> = {}) => ask('/v1/turn/credentials', page, { method: 'POST', headers: { origin: 'https://app.example', ...headers } })
  const [one, other] = [await visitor({ 'idempotency-key': 'same' }), await visitor({ 'idempotency-key': 'same' })]
  expect(other.body['username']).not.toBe(one.body['username'])
  expect(one.headers.get('ratelimit-limit')).toBe('10')
  for (let i = 0; i < 30; i++) await visitor()
  expect((await visitor()).status).toBe(429)
  expect((await ask('/v1/turn/credentials', backend, { method: 'POST' })).status).toBe(201)
})

test('a frame that is nested without bound ends nothing but itself', async () => {
  const room = async (peer: string, permissions = {}) => {
    const { body } = await app.request('/v1/rooms/deep/tokens', { method: 'POST', body: JSON.stringify({ peer, permissions }) })
    const socket = new WebSocket(`${app.url().replace('http', 'ws')}/v1/signal?token=${String(body['token'])}`)
    const frames: Record<string, unknown>[] = []
    socket.addEventListener('message', event => frames.push(JSON.parse(String(event.data)) as Record<string, unknown>))
    await until('welcome', () => frames.length > 0)
    return { socket, frames }
  }
  const [bad, good] = [await room('bad'), await room('good')]
  const deep = `${'['.repeat(15_000)}${']'.repeat(15_000)}`
  for (const frame of [`{"type":${deep}}`, `{"type":"update","metadata":{"a":${deep}}}`, `{"type":"signal","to":${deep},"data":1}`, `{"type":"ack","seq":${deep},"cid":${deep}}`]) bad.socket.send(frame)
  bad.socket.send(`{"type":"signal","to":"good","data":${deep}}`)
  await until('what is only carried is carried', () => good.frames.some(({ type, data }) => type === 'signal' && Array.isArray(data)))
  bad.socket.send(`{"type":"signal","to":"good","d\\u0061ta":${deep}}`)
  await until('all are answered', () => bad.frames.filter(({ type }) => type === 'error').length >= 4)
  expect((await app.request('/healthz')).status).toBe(200)
  expect(good.socket.readyState).toBe(WebSocket.OPEN)
  bad.socket.close()
  good.socket.close()
})

test('room tokens: no algorithm, another algorithm, another key, a path for a key, a huge one: none gets in', async () => {
  const { body } = await app.request('/v1/rooms/r/tokens', { method: 'POST', body: '{"peer":"a"}' })
  const good = String(body['token'])
  const [, payload = '', signature = ''] = good.split('.')
  const kid = String(jwt.decode(good, { complete: true })?.header.kid)
  const headed = (header: object, tail = signature): string => `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}.${tail}`
  const claims = jwt.decode(good) as object
  const forged = [
    headed({ alg: 'none', typ: 'JWT', kid }, ''),
    headed({ alg: 'None', kid }, ''),
    headed({ alg: 'HS512', typ: 'JWT', kid }),
    headed({ alg: 'RS256', typ: 'JWT', kid }),
    headed({ alg: 'HS256', typ: 'JWT' }),
    headed({ alg: 'HS256', kid: '../../../../dev/null' }),
    headed({ alg: 'HS256', kid: "' OR 1=1 --" }),
    headed({ alg: 'HS256', kid: 'ffffffff' }),
    headed({ alg: 'HS256', kid: ['x'] }),
    headed({ alg: 'HS256', kid, jku: 'http://evil.example/keys', jwk: { kty: 'oct', k: 'AAAA' } }),
    jwt.sign(claims, 'a guess', { algorithm: 'HS256', keyid: kid }),
    jwt.sign({ ...claims, padding: 'x'.repeat(20_000) }, 'a guess', { algorithm: 'HS256', keyid: kid }),
    'a.b.c', '..', '', `${good}x`, good.slice(0, -2), `${good} `,
  ]
  for (const token of forged) {
    const answer = await joinWith(token)
    expect([401, 431], `${token.slice(0, 100)} ${answer.status}`).toContain(answer.status)
    if (answer.status === 401) expect(['token-invalid', 'token-missing']).toContain(codeOf(answer))
    expect(answer.body).not.toContain(payload)
  }
})

test('room tokens: revoked by id; by their key; by a second rotation of the signing key, and not by the first', async () => {
  const tokenOf = async (key?: string) => (await app.request('/v1/rooms/r/tokens', { method: 'POST', body: '{"peer":"a"}', ...(key === undefined ? {} : { key }) })).body as { token: string, tokenId: string }
  /** 400: the upgrade is not one that a WebSocket client would send, which is found after the token was taken. */
  const isTaken = async (token: string): Promise<boolean> => {
    const socket = new WebSocket(`${app.url().replace('http', 'ws')}/v1/signal?token=${token}`)
    const opened = await new Promise<boolean>(resolve => {
      socket.addEventListener('open', () => resolve(true))
      socket.addEventListener('error', () => resolve(false))
    })
    socket.close()
    if (opened) await new Promise(resolve => socket.addEventListener('close', resolve))
    return opened
  }
  const one = await tokenOf()
  expect(await isTaken(one.token)).toBe(true)
  expect((await app.request(`/v1/tokens/${one.tokenId}`, { method: 'DELETE' })).status).toBe(204)
  expect(await isTaken(one.token)).toBe(false)
  const made = (await admin('POST', '/v1/projects/default/keys', {})).body as { id: string, key: string }
  const ofKey = await tokenOf(made.key)
  expect(await isTaken(ofKey.token)).toBe(true)
  await admin('DELETE', `/v1/projects/default/keys/${made.id}`)
  expect(await isTaken(ofKey.token)).toBe(false)
  const old = await tokenOf()
  await admin('POST', '/v1/secrets/signing/rotate')
  expect(await isTaken(old.token)).toBe(true)
  await admin('POST', '/v1/secrets/signing/rotate')
  expect(await isTaken(old.token)).toBe(false)
  expect(await isTaken((await tokenOf()).token)).toBe(true)
})

test('how long an answer takes does not tell whether another project, user or allocation exists', async () => {
  await admin('POST', '/v1/projects', { id: 'real' })
  const { key } = (await admin('POST', '/v1/projects/real/keys', {})).body as { key: string }
  await issue(app, { user: 'bob' })
  const pairs: [string, string, string][] = [
    ['GET', '/v1/usage?project=default', '/v1/usage?project=defaulu'],
    ['DELETE', '/v1/turn/credentials/9999999999%3Adefault.bob.0', '/v1/turn/credentials/9999999999%3Adefaulu.bob.0'],
    ['GET', '/v1/turn/allocations?project=default', '/v1/turn/allocations?project=defaulu'],
  ]
  for (const [method, there, nowhere] of pairs) {
    const times: [number[], number[]] = [[], []]
    for (let i = 0; i < 1000; i++) {
      const path = i % 2 === 0 ? there : nowhere
      const began = performance.now()
      const { status } = await app.request(path, { method, key })
      times[i % 2 === 0 ? 0 : 1].push(performance.now() - began)
      expect(status).toBe(404)
    }
    const [one = 0, other = 0] = times.map(all => all.sort((a, b) => a - b)[250] ?? 0)
    expect(Math.abs(one - other) / other, `${there}: ${one} ms, ${nowhere}: ${other} ms`).toBeLessThan(0.25)
  }
})

test('no answer of a whole session holds a secret of the house, and no error tells a path or a stack', async () => {
  await issue(app)
  const texts: string[] = []
  for (const { method, path } of await operations()) {
    if (path === '/v1/backup') continue
    const answer = await raw(app, method, path.replaceAll(/\{\w+\}/g, 'default'), { authorization: `Bearer ${app.apiKey}` })
    texts.push(answer.body)
  }
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { readOnly: true })
  const secrets = [...database.prepare('SELECT secret FROM turn_secrets').all(), ...database.prepare('SELECT secret FROM signing_keys').all()] as { secret: string }[]
  database.close()
  const all = texts.join('\n')
  expect(secrets.length).toBeGreaterThan(1)
  for (const { secret } of secrets) expect(all).not.toContain(secret)
  expect(all).not.toMatch(/at \w+ \(|node_modules|\/src\/|SQLITE|\/tmp\//)
})
