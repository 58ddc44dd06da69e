/** Revocation, expiry and quotas against live allocations of a real coturn. */
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { mintLogin } from '../kit/coturn.ts'
import { until } from '../kit/files.ts'
import { allocate, allocated, issue, liveAllocations, relayPort, untilLive, type Issued } from '../kit/turn.ts'
import { isRefusal } from '../../src/stun/turn-client.ts'

const admin = (app: TestApp, method: string, path: string, body?: object) => app.request(path, { method, key: app.adminKey, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
async function live (app: TestApp, ...all: Issued[]): Promise<void> {
  for (const issued of all) await allocated(relayPort(app), issued)
}

test('a revoked user: re-issue is refused, live allocations are cut within 500 ms, and what begins anew is cut too', async () => {
  const app = await startApp()
  const [alice, bob] = [await issue(app, { user: 'alice' }), await issue(app, { user: 'bob' })]
  await live(app, alice, alice, alice, bob)
  await untilLive(app, 4)
  const began = performance.now()
  const revoked = await app.request('/v1/turn/credentials/alice', { method: 'DELETE' })
  expect(performance.now() - began).toBeLessThan(500)
  expect(revoked.body).toMatchObject({ allocationsClosed: 3, until: expect.any(Number) })
  expect((await untilLive(app, 1)).map(({ user }) => user)).toEqual(['bob'])
  const refused = await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}' })
  expect([refused.status, refused.body['code']]).toEqual([403, 'user-revoked'])
  // coturn cannot know: it says yes, and the allocation is gone at once.
  const { outcome } = await allocate(relayPort(app), alice)
  expect(isRefusal(outcome)).toBe(false)
  const again = performance.now()
  await until('it is cut', async () => (await liveAllocations(app, '?user=alice')).length === 0, 2000)
  expect(performance.now() - again).toBeLessThan(1000)
  const listed = await app.request('/v1/turn/revocations')
  expect(listed.body['revocations']).toMatchObject([{ kind: 'user', subject: 'alice' }])
  expect((await app.request('/v1/turn/revocations/alice', { method: 'DELETE' })).status).toBe(204)
  expect((await app.request('/v1/turn/revocations/alice', { method: 'DELETE' })).status).toBe(404)
  await allocated(relayPort(app), await issue(app, { user: 'alice' }))
  await untilLive(app, 1, '?user=alice')
})

test('one credential of a user can be revoked, and its others go on', async () => {
  const app = await startApp()
  const [one, other] = [await issue(app, { user: 'alice', ttl: 600 }), await issue(app, { user: 'alice', ttl: 900 })]
  await live(app, one, other)
  await untilLive(app, 2)
  expect((await app.request(`/v1/turn/credentials/${encodeURIComponent(one.username)}`, { method: 'DELETE' })).body).toMatchObject({ allocationsClosed: 1 })
  await issue(app, { user: 'alice' })
  expect(await untilLive(app, 1)).toMatchObject([{ user: 'alice' }])
  const wrong = await app.request('/v1/turn/credentials/a%20b', { method: 'DELETE' })
  expect([wrong.status, wrong.body['code']]).toEqual([400, 'invalid-request'])
})

test('a revoked key takes what it issued with it, and that alone; so does a whole project', async () => {
  const app = await startApp()
  const made = (await admin(app, 'POST', '/v1/projects/default/keys', {})).body as { id: string, key: string }
  const [ofKey, ofOther] = [await issue(app, { user: 'alice' }, made.key), await issue(app, { user: 'alice' })]
  await live(app, ofKey, ofOther)
  await untilLive(app, 2)
  expect((await admin(app, 'DELETE', `/v1/projects/default/keys/${made.id}`)).body).toEqual({ allocationsClosed: 1 })
  expect(await untilLive(app, 1)).toMatchObject([{ user: 'alice', key: expect.not.stringContaining(made.id) }])
  expect((await app.request('/v1/turn/credentials', { method: 'DELETE' })).body).toMatchObject({ allocationsClosed: 1 })
  const refused = await app.request('/v1/turn/credentials', { method: 'POST' })
  expect([refused.status, refused.body['code']]).toEqual([403, 'user-revoked'])
  expect((await app.request('/v1/turn/revocations/default?kind=project', { method: 'DELETE' })).status).toBe(204)
  expect((await app.request('/v1/turn/credentials', { method: 'POST' })).status).toBe(201)
})

test('a revocation holds over a restart of the control plane', async () => {
  const app = await startApp()
  const alice = await issue(app, { user: 'alice' })
  await app.request('/v1/turn/credentials/alice', { method: 'DELETE' })
  await app.stop(2000)
  const next = await startApp(app.env)
  expect((await next.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}', key: app.apiKey })).status).toBe(403)
  await allocate(relayPort(next), alice)
  await until('it is cut', async () => (await next.request('/v1/turn/allocations', { key: app.adminKey })).body['allocations'] instanceof Array && ((await next.request('/v1/turn/allocations', { key: app.adminKey })).body['allocations'] as object[]).length === 0, 2000)
})

test('an allocation is cut by its id; another project\'s is not there', async () => {
  const app = await startApp()
  await admin(app, 'POST', '/v1/projects', { id: 'other-shop' })
  const { key } = (await admin(app, 'POST', '/v1/projects/other-shop/keys', {})).body as { key: string }
  await live(app, await issue(app, { user: 'alice' }))
  const [{ id = '' } = { id: '' }] = await untilLive(app, 1)
  const foreign = await app.request(`/v1/turn/allocations/${id}`, { method: 'DELETE', key })
  const madeUp = await app.request('/v1/turn/allocations/000000000000000099', { method: 'DELETE', key })
  expect([foreign.status, madeUp.status]).toEqual([404, 404])
  expect(String(foreign.body['detail']).replace(id, '')).toBe(String(madeUp.body['detail']).replace('000000000000000099', ''))
  expect((await app.request('/v1/turn/allocations', { key })).body).toEqual({ allocations: [], total: 0, next: null })
  expect((await app.request(`/v1/turn/allocations/${id}`, { method: 'DELETE' })).body).toEqual({ allocationsClosed: 1 })
  await untilLive(app, 0)
})

test('a project that is switched off, or deleted, loses its live allocations within a second', async () => {
  const app = await startApp()
  await admin(app, 'POST', '/v1/projects', { id: 'shop' })
  const { key } = (await admin(app, 'POST', '/v1/projects/shop/keys', {})).body as { key: string }
  const issued = await issue(app, { user: 'alice' }, key)
  await live(app, issued, await issue(app, { user: 'bob' }))
  await untilLive(app, 2)
  await admin(app, 'PATCH', '/v1/projects/shop', { enabled: false })
  expect(await untilLive(app, 1, '', 1500)).toMatchObject([{ user: 'bob' }])
  await admin(app, 'PATCH', '/v1/projects/shop', { enabled: true })
  await live(app, issued)
  await untilLive(app, 2)
  await admin(app, 'DELETE', '/v1/projects/shop')
  expect(await untilLive(app, 1, '', 1500)).toMatchObject([{ user: 'bob' }])
})

test('the end of a credential: soft lets live allocations go on, hard cuts them within 5 s', async () => {
  const app = await startApp({ TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS: '1' })
  await admin(app, 'POST', '/v1/projects', { id: 'strict', expiry: 'hard' })
  const { key } = (await admin(app, 'POST', '/v1/projects/strict/keys', {})).body as { key: string }
  const [soft, hard] = [await issue(app, { user: 'soft', ttl: 3 }), await issue(app, { user: 'hard', ttl: 3 }, key)]
  await live(app, soft, hard)
  await untilLive(app, 2)
  const expiry = Number(hard.username.split(':')[0]) * 1000
  await until('the hard one is cut', async () => (await liveAllocations(app)).length === 1, 10_000)
  const late = Date.now() - expiry
  expect(late).toBeGreaterThan(0)
  expect(late).toBeLessThan(5000)
  await new Promise(resolve => setTimeout(resolve, 1500))
  expect(await liveAllocations(app)).toMatchObject([{ user: 'soft' }])
})

test('allocations of a user and of a project stop at their quotas', async () => {
  const app = await startApp()
  await admin(app, 'PATCH', '/v1/projects/default', { quotas: { allocationsPerUser: 2, allocations: 3 } })
  const [alice, bob] = [await issue(app, { user: 'alice' }), await issue(app, { user: 'bob' })]
  await live(app, alice, alice, alice)
  await until('the third is cut', async () => (await liveAllocations(app)).length === 2)
  await live(app, bob, bob)
  await until('the fourth is cut', async () => (await liveAllocations(app)).length === 3)
  expect((await liveAllocations(app)).map(({ user }) => user).sort()).toEqual(['alice', 'alice', 'bob'])
})

/** What a webhook's owner sees. Refuses as many as it is told to first. */
async function webhookOwner (refusals: number): Promise<{ url: string, taken: { headers: IncomingHttpHeaders, body: string }[], refused: () => number }> {
  const taken: { headers: IncomingHttpHeaders, body: string }[] = []
  let refused = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      if (refused < refusals) {
        refused++
        response.writeHead(500).end()
        return
      }
      taken.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => { server.close() })
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/hook`, taken, refused: () => refused }
}

/** Sends so many bytes from one allocation to another, in step. */
async function relayBytes (app: TestApp, issued: Issued, bytes: number): Promise<void> {
  const [one, other] = [await allocated(relayPort(app), issued), await allocated(relayPort(app), issued)]
  await one.client.createPermission('127.0.0.1')
  await other.client.createPermission('127.0.0.1')
  let received = 0
  other.client.onData(() => received++)
  const size = 1000
  for (let i = 1; i <= bytes / size; i++) {
    one.client.send(other.relayed, Buffer.alloc(size))
    if (i % 50 === 0) await until('they arrive', () => received === i)
  }
  await one.client.close()
  await other.client.close()
}

test('a byte quota: a warning at 80 %, the end at 100 %, each told once by a signed webhook that is repeated; it holds over a restart of either side', async () => {
  const app = await startApp()
  const hook = await webhookOwner(2)
  const { secret } = (await admin(app, 'GET', '/v1/projects/default/webhook-secret')).body as { secret: string }
  await admin(app, 'PATCH', '/v1/projects/default', { quotas: { bytesPerDay: 1_000_000 }, webhook: hook.url })
  const alice = await issue(app, { user: 'alice' })
  await relayBytes(app, alice, 400_000)
  await until('80 % is told', () => hook.taken.length === 1, 15_000)
  expect(hook.refused()).toBe(2)
  expect(JSON.parse(hook.taken[0]?.body ?? '')).toMatchObject({ type: 'quota.warning', project: 'default', quota: 'bytesPerDay', limit: 1_000_000, action: 'disable', resetsAt: expect.any(Number) })
  const [, t = '', v1 = ''] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(hook.taken[0]?.headers['turnpike-signature'])) ?? []
  expect(v1).toBe(createHmac('sha256', secret).update(`${t}.${hook.taken[0]?.body}`).digest('hex'))
  await live(app, alice)
  await relayBytes(app, alice, 200_000)
  await until('what lives is cut', async () => (await liveAllocations(app)).length === 0, 3000)
  await until('100 % is told', () => hook.taken.length === 2, 15_000)
  expect(JSON.parse(hook.taken[1]?.body ?? '')).toMatchObject({ type: 'quota.exceeded' })
  const refused = async (of: TestApp) => await of.request('/v1/turn/credentials', { method: 'POST', body: '{}', key: app.apiKey })
  const answer = await refused(app)
  expect([answer.status, answer.body['code']]).toEqual([429, 'quota-exceeded'])
  expect(answer.body['errors']).toMatchObject([{ field: 'quotas.bytesPerDay', message: expect.stringMatching(/of 1000000 bytes are used; it resets at \d{4}-\d\d-\d\dT00:00:00.000Z/) }])
  const midnight = (Math.floor(Date.now() / 86_400_000) + 1) * 86_400
  expect(Math.abs(Number(answer.headers.get('retry-after')) - (midnight - Date.now() / 1000))).toBeLessThan(5)
  process.kill(Number((await execPid(app))), 'SIGKILL')
  await until('coturn is back', async () => (await app.request('/readyz')).status === 200)
  expect((await refused(app)).status).toBe(429)
  await app.stop(2000)
  const next = await startApp(app.env)
  expect((await refused(next)).status).toBe(429)
  await next.request('/v1/projects/default', { method: 'PATCH', body: '{"quotas":{"bytesPerDay":100000000}}', key: app.adminKey })
  expect((await refused(next)).status).toBe(201)
  const usage = await next.request('/v1/usage?by=user', { key: app.apiKey })
  expect(usage.body['usage']).toMatchObject([{ name: 'alice', allocations: 5 }])
  await new Promise(resolve => setTimeout(resolve, 600))
  expect(hook.taken).toHaveLength(2)
})

async function execPid (app: TestApp): Promise<string> {
  const { execFileSync } = await import('node:child_process')
  return execFileSync('pgrep', ['-f', `${app.env['TURNPIKE_DATA_DIR']}/relay/turnserver.conf`], { encoding: 'utf8' }).trim().split('\n')[0] ?? ''
}

test('action notify tells and stops nothing; none tells nothing', async () => {
  const app = await startApp()
  const hook = await webhookOwner(0)
  await admin(app, 'PATCH', '/v1/projects/default', { quotas: { bytesPerMonth: 100_000 }, quotaAction: 'notify', webhook: hook.url })
  await relayBytes(app, await issue(app, { user: 'alice' }), 200_000)
  await until('both are told', () => hook.taken.length === 2, 10_000)
  expect((await app.request('/v1/turn/credentials', { method: 'POST' })).status).toBe(201)
  await admin(app, 'PATCH', '/v1/projects/default', { quotas: { bytesPerMonth: 150_000 }, quotaAction: 'none' })
  await relayBytes(app, await issue(app, { user: 'alice' }), 100_000)
  await new Promise(resolve => setTimeout(resolve, 1000))
  expect(hook.taken).toHaveLength(2)
})

test('1,000 parallel issues at a quota of 500 are exactly 500', async () => {
  const app = await startApp()
  await admin(app, 'PATCH', '/v1/projects/default', { quotas: { credentialsPerMinute: 500 } })
  const statuses = await Promise.all(Array.from({ length: 1000 }, async () => (await app.request('/v1/turn/credentials', { method: 'POST' })).status))
  expect(statuses.filter(status => status === 201)).toHaveLength(500)
  expect(statuses.filter(status => status === 429)).toHaveLength(500)
})

test('a clock that jumps back an hour breaks nothing: old credentials hold, new ones are issued, quotas and revocations stand', async () => {
  let offset = 0
  const app = await startApp({}, { nowSeconds: () => Math.floor(Date.now() / 1000) + offset })
  await admin(app, 'PATCH', '/v1/projects/default', { quotas: { credentialsPerMinute: 5, bytesPerDay: 1_000_000_000 } })
  const before = await issue(app, { user: 'alice', ttl: 86_400 })
  await app.request('/v1/turn/credentials/bob', { method: 'DELETE' })
  await live(app, before)
  await untilLive(app, 1)
  offset = -3600
  await new Promise(resolve => setTimeout(resolve, 1500))
  expect(await liveAllocations(app)).toHaveLength(1)
  await allocated(relayPort(app), await issue(app, { user: 'alice', ttl: 7200 }))
  expect((await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"bob"}' })).status).toBe(403)
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) statuses.push((await app.request('/v1/turn/credentials', { method: 'POST' })).status)
  expect(statuses).toEqual([201, 201, 201, 429])
  expect((await app.request('/v1/usage')).status).toBe(200)
})

test('names that would break coturn\'s table, command line or log never reach it', async () => {
  const app = await startApp()
  for (const user of ['a%s%n', 'a b', 'a\nb', 'a\r\ncs 1', '*', 'a/b', 'a:b', 'a.b', 'ü', '', '\0', 'x'.repeat(65), "'; DROP TABLE turn_secret; --", '$(reboot)', '../../etc']) {
    const answer = await app.request('/v1/turn/credentials', { method: 'POST', body: JSON.stringify({ user }) })
    expect([answer.status, answer.body['code']], user).toEqual([400, 'invalid-request'])
    const form = await app.request(`/turn?service=turn&username=${encodeURIComponent(user)}&key=${app.apiKey}`, { key: null })
    expect(String(form.body['username']), user).toMatch(/^\d{10}:default\.[A-Za-z0-9_-]{1,64}\.[0-9a-f]{12}$/)
  }
  // What somebody signs who has the secret is not in our hands; it is not taken for one of ours.
  await allocated(relayPort(app), await issue(app))
  expect(mintLogin('x', 60).username).toContain(':default.test.0')
  expect((await app.request('/readyz')).status).toBe(200)
})
