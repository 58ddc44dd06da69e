/** Projects and keys over the API: what they may do, what they may not, and what one never learns of another. */
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { scratchDirectory } from '../kit/files.ts'
import { issue } from '../kit/turn.ts'
import { writeFileSync } from 'node:fs'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp() })

type Answer = Awaited<ReturnType<TestApp['request']>>
const send = (method: string, path: string, body?: unknown, key?: string | null, headers: Record<string, string> = {}): Promise<Answer> => app.request(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }), key: key === undefined ? app.adminKey : key })
const codeOf = ({ status, body }: Answer): [number, unknown] => [status, body['code']]
/** A project with a key that may do everything. */
async function project (id: string, settings: object = {}): Promise<string> {
  expect(codeOf(await send('POST', '/v1/projects', { id, ...settings }))).toEqual([201, undefined])
  return String((await send('POST', `/v1/projects/${id}/keys`, {})).body['key'])
}

test('a project is made, changed by merge patch, listed by pages and deleted, its keys with it', async () => {
  const key = await project('crud', { ttl: { default: 120 }, quotas: { allocations: 10 } })
  const patched = await send('PATCH', '/v1/projects/crud', { ttl: { default: null, max: 300 }, quotas: { peers: 3 }, transports: ['udp'] })
  expect(patched.body['settings']).toMatchObject({ enabled: true, ttl: { default: null, min: null, max: 300 }, quotas: { allocations: 10, peers: 3, rooms: null }, transports: ['udp'] })
  const shown = await send('GET', '/v1/projects/crud')
  expect(shown.body).toMatchObject({ id: 'crud', managed: false, accountSid: expect.stringMatching(/^AC[0-9a-f]{32}$/), quotas: [], settings: patched.body['settings'] })
  expect((await issue(app, {}, key)).iceServers[1]?.urls).toEqual([expect.stringMatching(/^turn:.*udp$/)])
  expect(codeOf(await send('POST', '/v1/turn/credentials', { ttl: 301 }, key))).toEqual([400, 'invalid-request'])
  const first = await send('GET', '/v1/projects?limit=1')
  expect((first.body['projects'] as { id: string }[]).map(({ id }) => id)).toEqual(['call'])
  const second = await send('GET', `/v1/projects?limit=100&cursor=${String(first.body['next'])}`)
  expect((second.body['projects'] as { id: string }[])[0]?.id).toBe('crud')
  expect(second.body['next']).toBeNull()
  expect((await send('DELETE', '/v1/projects/crud')).status).toBe(204)
  expect(codeOf(await send('GET', '/v1/projects/crud'))).toEqual([404, 'not-found'])
  expect(codeOf(await send('POST', '/v1/turn/credentials', {}, key))).toEqual([401, 'unauthorized'])
})

test.each([
  ['an id with a space', { id: 'a b' }, 'id'],
  ['everything wrong at once', { id: 'x', enabled: 'yes', expiry: 'medium', origins: ['shop.example'], forms: ['twillio'], quotas: { allocationsPerUser: 'many', bytesPerDay: '1GB' }, ttl: { min: 'x' }, quotaAction: 'q', transports: [], webhook: 'x' }, 'webhook'],
  ['no id', {}, 'id'],
  ['the name that is kept for others', { id: 'other' }, 'id'],
  ['an unknown setting', { id: 'x', colour: 'red' }, 'colour'],
  ['an unknown quota', { id: 'x', quotas: { calls: 1 } }, 'quotas.calls'],
  ['a quota of 0', { id: 'x', quotas: { allocations: 0 } }, 'quotas.allocations'],
  ['a TTL that is text', { id: 'x', ttl: { max: '60' } }, 'ttl.max'],
  ['a least TTL above the longest', { id: 'x', ttl: { min: 100, max: 50 } }, 'ttl.min'],
  ['an unknown form', { id: 'x', forms: ['xirsys'] }, 'forms.0'],
  ['an origin with a path', { id: 'x', origins: ['https://a.example/x'] }, 'origins.0'],
  ['publishable keys without origins', { id: 'x', publishableKeys: true }, 'origins'],
  ['a webhook that is no address', { id: 'x', webhook: 'ftp://a' }, 'webhook'],
] as const)('a project with %s is refused by the field', async (_name, body, field) => {
  const answer = await send('POST', '/v1/projects', body)
  expect(codeOf(answer)).toEqual([400, 'invalid-request'])
  expect((answer.body['errors'] as { field: string }[]).map(error => error.field)).toContain(field)
})

test('what is there already, what is always there, and what is not there', async () => {
  expect(codeOf(await send('POST', '/v1/projects', { id: 'default' }))).toEqual([409, 'project-exists'])
  expect(codeOf(await send('DELETE', '/v1/projects/default'))).toEqual([409, 'project-built-in'])
  expect(codeOf(await send('PATCH', '/v1/projects/nobody', {}))).toEqual([404, 'not-found'])
  expect(codeOf(await send('PATCH', '/v1/projects/default', []))).toEqual([400, 'invalid-request'])
  expect(codeOf(await send('GET', '/v1/projects?cursor=%21%21'))).toEqual([400, 'invalid-request'])
  expect(codeOf(await send('GET', '/v1/projects?limit=0'))).toEqual([400, 'invalid-request'])
})

test('projects that the settings file declares are there, are changed there alone, and go back to what it says', async () => {
  const file = `${scratchDirectory()}/turnpike.yaml`
  writeFileSync(file, 'projects:\n  shop:\n    expiry: hard\n    quotas: { bytesPerDay: 1000 }\n')
  const first = await startApp({ TURNPIKE_CONFIG: file })
  const shown = await first.request('/v1/projects/shop', { key: first.adminKey })
  expect(shown.body).toMatchObject({ managed: true, settings: { expiry: 'hard', quotas: { bytesPerDay: 1000 } }, quotas: [{ quota: 'bytesPerDay', limit: 1000, used: 0 }] })
  const change = await first.request('/v1/projects/shop', { method: 'PATCH', body: '{"expiry":"soft"}', key: first.adminKey })
  expect([change.status, change.body['code']]).toEqual([409, 'project-managed'])
  await first.stop(2000)
  writeFileSync(file, 'projects:\n  plain:\n  shop:\n    transports: [udp]\n')
  const second = await startApp({ ...first.env, TURNPIKE_CONFIG: file })
  expect((await second.request('/v1/projects/shop', { key: first.adminKey })).body).toMatchObject({ settings: { expiry: 'soft', transports: ['udp'], quotas: { bytesPerDay: null } } })
})

test('a key does what its scopes say and nothing else, and ends when it is to', async () => {
  await project('scoped')
  const keyOf = async (body: object): Promise<{ id: string, key: string }> => (await send('POST', '/v1/projects/scoped/keys', body)).body as { id: string, key: string }
  const issuer = await keyOf({ name: 'issuer', scopes: ['turn:issue'] })
  expect((await send('POST', '/v1/turn/credentials', {}, issuer.key)).status).toBe(201)
  for (const [method, path, scope] of [['DELETE', '/v1/turn/credentials/alice', 'turn:revoke'], ['GET', '/v1/turn/allocations', 'usage:read'], ['GET', '/v1/usage', 'usage:read'], ['POST', '/v1/rooms/r/tokens', 'rooms:token']] as const) {
    const answer = await send(method, path, method === 'POST' ? { peer: 'a' } : undefined, issuer.key)
    expect(codeOf(answer), path).toEqual([403, 'forbidden'])
    expect(answer.body['detail']).toContain(scope)
  }
  const short = await keyOf({ expiresIn: 1 })
  expect((await send('POST', '/v1/turn/credentials', {}, short.key)).status).toBe(201)
  await new Promise(resolve => setTimeout(resolve, 2100))
  expect((await send('POST', '/v1/turn/credentials', {}, short.key)).body).toMatchObject({ code: 'unauthorized', detail: 'the key has expired' })
  const listed = (await send('GET', '/v1/projects/scoped/keys')).body['keys'] as { id: string, name: string, lastUsedAt: number | null, scopes: string[] }[]
  expect(listed.find(({ id }) => id === issuer.id)).toMatchObject({ name: 'issuer', scopes: ['turn:issue'], lastUsedAt: expect.any(Number) })
  expect(JSON.stringify(listed)).not.toContain(issuer.key.slice(-20))
})

test('a rotated key works through the overlap; a revoked one at once no more', async () => {
  await project('rotating')
  const first = (await send('POST', '/v1/projects/rotating/keys', { scopes: ['turn:issue'] })).body as { id: string, key: string }
  const next = (await send('POST', `/v1/projects/rotating/keys/${first.id}/rotate`, { overlap: 1 })).body as { id: string, key: string, scopes: string[] }
  expect(next.scopes).toEqual(['turn:issue'])
  expect([(await send('POST', '/v1/turn/credentials', {}, first.key)).status, (await send('POST', '/v1/turn/credentials', {}, next.key)).status]).toEqual([201, 201])
  await new Promise(resolve => setTimeout(resolve, 2100))
  expect((await send('POST', '/v1/turn/credentials', {}, first.key)).status).toBe(401)
  expect((await send('DELETE', `/v1/projects/rotating/keys/${next.id}`)).body).toEqual({ allocationsClosed: 0 })
  expect((await send('POST', '/v1/turn/credentials', {}, next.key)).status).toBe(401)
  expect(codeOf(await send('DELETE', `/v1/projects/rotating/keys/${next.id}`))).toEqual([404, 'not-found'])
})

test('a key with a typo is told apart from a wrong one; a key of version 0.1, without a checksum, still has its form', async () => {
  const key = app.apiKey
  const typo = `${key.slice(0, 30)}${key[30] === 'A' ? 'B' : 'A'}${key.slice(31)}`
  expect((await send('POST', '/v1/turn/credentials', {}, typo)).body['detail']).toContain('typo')
  expect((await send('POST', '/v1/turn/credentials', {}, 'tpk_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')).body['detail']).toBe('the key is not known here')
})

test('a publishable key issues to pages of its origins, ten a minute for each address, under a user that nobody chose', async () => {
  await project('pages', { origins: ['https://app.example'], publishableKeys: true })
  const { key } = (await send('POST', '/v1/projects/pages/keys', { kind: 'publishable' })).body as { key: string }
  expect(key).toMatch(/^tpp_/)
  const ask = (headers: Record<string, string>, body: object = {}): Promise<Answer> => send('POST', '/v1/turn/credentials', body, key, headers)
  const page = { origin: 'https://app.example' }
  await send('PATCH', '/v1/projects/pages', { publishableKeys: false })
  expect(codeOf(await ask(page))).toEqual([403, 'forbidden'])
  await send('PATCH', '/v1/projects/pages', { publishableKeys: true })
  const answer = await ask(page)
  expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('vary')]).toEqual([201, 'https://app.example', 'Origin'])
  expect(codeOf(await ask({}))).toEqual([403, 'origin-not-allowed'])
  expect(codeOf(await ask({ origin: 'https://app.example.evil' }))).toEqual([403, 'origin-not-allowed'])
  expect(codeOf(await ask(page, { user: 'alice' }))).toEqual([400, 'invalid-request'])
  expect(codeOf(await send('GET', '/v1/usage', undefined, key, page))).toEqual([403, 'forbidden'])
  const preflight = await app.request('/v1/turn/credentials', { method: 'OPTIONS', headers: { ...page, 'access-control-request-method': 'POST' }, key: null })
  expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, 'authorization, content-type, idempotency-key'])
  const answers = await Promise.all(Array.from({ length: 12 }, async () => await ask(page)))
  const statuses = answers.map(({ status }) => status)
  // A page reads refusals too.
  expect(answers.every(({ headers }) => headers.get('access-control-allow-origin') === 'https://app.example')).toBe(true)
  // Six of the ten are spent, on what was refused too.
  expect(statuses.filter(status => status === 201)).toHaveLength(4)
  expect(statuses.filter(status => status === 429)).toHaveLength(8)
  await send('PATCH', '/v1/projects/pages', { publishableKeys: false })
  expect(codeOf(await send('POST', '/v1/projects/pages/keys', { kind: 'publishable' }))).toEqual([400, 'invalid-request'])
})

test('a project that is switched off issues nothing, admits nobody, and is well again when it is on', async () => {
  const key = await project('off')
  await send('PATCH', '/v1/projects/off', { enabled: false })
  expect(codeOf(await send('POST', '/v1/turn/credentials', {}, key))).toEqual([403, 'project-disabled'])
  expect(codeOf(await send('POST', '/v1/rooms/r/tokens', { peer: 'a' }, key))).toEqual([403, 'project-disabled'])
  await send('PATCH', '/v1/projects/off', { enabled: null })
  expect((await send('POST', '/v1/turn/credentials', {}, key)).status).toBe(201)
})

test('a key of one project finds nothing of another, whether it exists or not', async () => {
  const [a, b] = [await project('tenant-a'), await project('tenant-b')]
  const { username } = await issue(app, { user: 'bob' }, b)
  const same = async (method: string, real: string, madeUp: string): Promise<void> => {
    const [one, other] = [await send(method, real, undefined, a), await send(method, madeUp, undefined, a)]
    expect(codeOf(one), real).toEqual([404, 'not-found'])
    expect(one.body['detail']).toBe(String(other.body['detail']).replace('tenant-x', 'tenant-b'))
  }
  await same('GET', '/v1/usage?project=tenant-b', '/v1/usage?project=tenant-x')
  await same('GET', '/v1/turn/allocations?project=tenant-b', '/v1/turn/allocations?project=tenant-x')
  await same('GET', '/v1/turn/revocations?project=tenant-b', '/v1/turn/revocations?project=tenant-x')
  await same('DELETE', '/v1/turn/credentials?project=tenant-b', '/v1/turn/credentials?project=tenant-x')
  await same('DELETE', '/v1/turn/credentials/bob?project=tenant-b', '/v1/turn/credentials/bob?project=tenant-x')
  await same('DELETE', `/v1/turn/credentials/${encodeURIComponent(username)}`, '/v1/turn/credentials/1795291167%3Atenant-x.bob.0')
  for (const [method, path] of [['GET', '/v1/projects'], ['GET', '/v1/projects/tenant-b'], ['GET', '/v1/projects/tenant-x'], ['GET', '/v1/projects/tenant-b/keys'], ['GET', '/v1/audit'], ['GET', '/v1/secrets/turn'], ['POST', '/v1/backup'], ['GET', '/v1/integrations']] as const) {
    expect(codeOf(await send(method, path, undefined, a)), path).toEqual([403, 'forbidden'])
  }
  // b's user is untouched by all of that, and a's namesake is another.
  expect((await send('DELETE', '/v1/turn/credentials/bob', undefined, a)).status).toBe(200)
  expect((await send('POST', '/v1/turn/credentials', { user: 'bob' }, a)).status).toBe(403)
  expect((await send('POST', '/v1/turn/credentials', { user: 'bob' }, b)).status).toBe(201)
})

test('a repeated request with its Idempotency-Key gets the same answer; another body under it is refused', async () => {
  const key = await project('again')
  const ask = (body: object, more: Record<string, string> = { 'idempotency-key': 'order-1' }): Promise<Answer> => send('POST', '/v1/turn/credentials', body, key, more)
  const first = await ask({ ttl: 600 })
  const again = await ask({ ttl: 600 })
  expect(again.body).toEqual(first.body)
  expect([again.status, again.headers.get('idempotency-replayed'), first.headers.get('idempotency-replayed')]).toEqual([201, 'true', null])
  expect(codeOf(await ask({ ttl: 601 }))).toEqual([409, 'idempotency-key-reused'])
  // Another key's is another.
  expect((await send('POST', '/v1/turn/credentials', { ttl: 601 }, undefined, { 'idempotency-key': 'order-1' })).status).toBe(201)
  expect(codeOf(await ask({}, { 'idempotency-key': 'x'.repeat(256) }))).toEqual([400, 'invalid-request'])
  // What failed is not kept.
  expect((await ask({ ttl: 1 }, { 'idempotency-key': 'order-2' })).status).toBe(400)
  expect((await ask({ ttl: 60 }, { 'idempotency-key': 'order-2' })).status).toBe(201)
  const many = await Promise.all(Array.from({ length: 20 }, () => ask({}, { 'idempotency-key': 'order-3' })))
  expect(new Set(many.filter(({ status }) => status === 201).map(({ body }) => body['username'])).size).toBe(1)
  expect(many.every(({ status, body }) => status === 201 || body['code'] === 'idempotency-key-busy')).toBe(true)
})

test('what is changed is in the audit log: who, from where, what, newest first; no secret is; issuing is not', async () => {
  const key = await project('audited')
  const made = (await send('POST', '/v1/projects/audited/keys', { name: 'second' })).body as { id: string, key: string }
  await issue(app, { user: 'alice' }, key)
  await send('DELETE', '/v1/turn/credentials/alice', undefined, key)
  await send('PATCH', '/v1/projects/audited', { expiry: 'hard', webhook: 'https://hooks.example/very-secret-path' })
  await send('DELETE', `/v1/projects/audited/keys/${made.id}`)
  const { body } = await send('GET', '/v1/audit?project=audited')
  const entries = body['entries'] as { id: number, action: string, actor: string, address: string, target: string, detail: object, request: string, at: number }[]
  expect(entries.map(({ action }) => action)).toEqual(['key.revoke', 'project.update', 'credentials.revoke', 'key.create', 'key.create', 'project.create'])
  expect(entries[0]).toMatchObject({ actor: 'admin:admin', address: '127.0.0.1', target: made.id, request: expect.stringMatching(/^[\w-]{12}$/) })
  expect(entries[2]).toMatchObject({ actor: expect.stringMatching(/^key:[0-9a-f]{12}$/), target: 'alice', detail: { kind: 'user' } })
  expect(entries[1]?.detail).toEqual({ settings: ['expiry', 'webhook'] })
  for (const secret of [made.key.slice(18), key.slice(18), 'very-secret-path']) expect(JSON.stringify(entries)).not.toContain(secret)
  const page = await send('GET', '/v1/audit?project=audited&limit=2')
  const rest = await send('GET', `/v1/audit?project=audited&limit=100&cursor=${String(page.body['next'])}`)
  expect([...page.body['entries'] as object[], ...rest.body['entries'] as object[]]).toEqual(entries)
  const exported = await fetch(`${app.url()}/v1/audit?project=audited`, { headers: { accept: 'application/x-ndjson', authorization: `Bearer ${app.adminKey}` } })
  expect(exported.headers.get('content-type')).toContain('application/x-ndjson')
  expect((await exported.text()).trim().split('\n').map(line => JSON.parse(line) as object)).toEqual(entries)
})
