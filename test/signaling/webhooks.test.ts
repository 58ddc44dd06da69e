/** Webhooks of the whole app: from what happens to what somebody else's server is told, over restarts, through the API and the command line. */
import { readFileSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { runHere } from '../kit/command.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { startReceiver, type Receiver } from '../kit/receiver.ts'

type Clock = { now: number }
type Listed = { id: string, type: string, state: string, attempts: number, reason: string | null, nextAttemptAt: number | null, event: object }

const DAY = 86_400
/** In the middle of a day, so that no quota resets by chance. */
const noon = (): Clock => ({ now: Math.floor(Date.now() / 1000 / DAY) * DAY + DAY / 2 })
const start = async (clock: Clock, env: Record<string, string> = {}): Promise<TestApp> => await startApp(env, { nowSeconds: () => clock.now, programPath: [] })
const admin = (app: TestApp, method: string, path: string, body?: object) => app.request(path, { method, key: app.adminKey, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
const pathOf = (project: string): string => `/v1/projects/${project}/webhook-deliveries`
const list = async (app: TestApp, project: string, query = '') => (await admin(app, 'GET', pathOf(project) + query)).body['deliveries'] as Listed[]

/** As if so much had been relayed for it today. */
function use (app: TestApp, project: string, bytes: number, { now }: Clock): void {
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { timeout: 5000 })
  database.prepare('INSERT INTO usage_of_projects (project, day, bytes, credentials) VALUES (?, ?, ?, 0)').run(project, Math.floor(now / DAY), bytes)
  database.close()
}

/** A project of which 900 bytes are used. Each new limit up to 1125 is passed by 80 %, one up to 900 by 100 % too, which makes an event each. */
async function makeProject (app: TestApp, id: string, receiver: Pick<Receiver, 'url'>, clock: Clock, settings: object = {}): Promise<(limit: number) => Promise<void>> {
  use(app, id, 900, clock)
  expect((await admin(app, 'POST', '/v1/projects', { id, webhook: receiver.url, ...settings })).status).toBe(201)
  return async limit => { expect((await admin(app, 'PATCH', `/v1/projects/${id}`, { quotas: { bytesPerDay: limit } })).status).toBe(200) }
}

/** The ten lines of docs/webhooks.md, as they stand there. */
async function shownCheck (): Promise<(body: string | Buffer, signature: unknown, secret: string, nowSeconds?: number) => boolean> {
  const [, code = ''] = /```js\n([^]*?)```/.exec(readFileSync('docs/webhooks.md', 'utf8')) ?? []
  expect(code.trim().split('\n').length).toBeLessThanOrEqual(10)
  const file = `${scratchDirectory()}/check.mjs`
  writeFileSync(file, code)
  return (await import(file) as { isFromTurnpike: Awaited<ReturnType<typeof shownCheck>> }).isFromTurnpike
}

test('the lines of docs/webhooks.md take what was sent, and nothing that was changed, is old, or is of another secret', async () => {
  const clock = noon()
  const app = await start(clock)
  const receiver = await startReceiver()
  await (await makeProject(app, 'shop', receiver, clock))(850)
  await until('both are taken', () => receiver.taken.length === 2)
  const check = await shownCheck()
  const secret = String((await admin(app, 'GET', '/v1/projects/shop/webhook-secret')).body['secret'])
  const [{ headers, body, event }] = receiver.taken as [Receiver['taken'][number]]
  const signature = headers['turnpike-signature']
  expect(event).toEqual({ id: headers['turnpike-event-id'], type: 'quota.warning', at: clock.now, project: 'shop', quota: 'bytesPerDay', limit: 850, used: 900, period: expect.stringMatching(/^\d{4}-\d\d-\d\d$/), resetsAt: clock.now + DAY / 2, action: 'disable' })
  expect([check(body, signature, secret, clock.now), check(Buffer.from(body), signature, secret, clock.now + 299), check(body, signature, secret, clock.now - 299)]).toEqual([true, true, true])
  const refused = [
    check(`${body} `, signature, secret, clock.now),
    check(body, signature, `${secret}x`, clock.now),
    check(body, signature, secret, clock.now + 301),
    check(body, signature, secret, clock.now - 301),
    check(body, String(signature).replace(/t=\d+/, `t=${clock.now + 1}`), secret, clock.now),
    ...[undefined, '', 't=1', `t=${clock.now},v1=`, `t=${clock.now},v1=${'0'.repeat(64)}`].map(wrong => check(body, wrong, secret, clock.now)),
  ]
  expect(refused).toEqual(refused.map(() => false))
  expect(refused).toHaveLength(10)
  const { secret: next } = (await admin(app, 'POST', '/v1/projects/shop/webhook-secret/rotate')).body as { secret: string }
  await admin(app, 'PATCH', '/v1/projects/shop', { quotas: { bytesPerDay: 1000 } })
  await until('the next is taken', () => receiver.taken.length === 3)
  const { body: nextBody, headers: nextHeaders } = receiver.taken[2] as Receiver['taken'][number]
  expect([next, secret].map(of => check(nextBody, nextHeaders['turnpike-signature'], of, clock.now))).toEqual([true, false])
})

test('a project is sent the events that it has chosen, and a name that is none is refused', async () => {
  const clock = noon()
  const app = await start(clock)
  const receiver = await startReceiver()
  const limitTo = await makeProject(app, 'shop', receiver, clock, { webhookEvents: ['quota.exceeded', 'room.ended'] })
  await limitTo(850)
  await until('one is taken', () => receiver.taken.length === 1)
  await admin(app, 'PATCH', '/v1/projects/shop', { webhookEvents: null })
  await limitTo(800)
  await until('the others are taken', () => receiver.taken.length === 3)
  expect(receiver.taken.map(({ event }) => event.type)).toEqual(['quota.exceeded', 'quota.warning', 'quota.exceeded'])
  expect((await admin(app, 'GET', '/v1/projects/shop')).body['settings']).toMatchObject({ webhookEvents: ['quota.warning', 'quota.exceeded', 'room.started', 'room.ended', 'peer.joined', 'peer.left', 'peer.kicked'] })
  const wrong = await admin(app, 'PATCH', '/v1/projects/shop', { webhookEvents: ['room.exploded'] })
  expect([wrong.status, wrong.body['errors']]).toMatchObject([400, [{ field: 'webhookEvents.0' }]])
})

test('what is not taken for three days is a dead letter, told of by the API and the command line, and delivered when it is replayed', async () => {
  const clock = noon()
  const app = await start(clock)
  const receiver = await startReceiver(() => 500)
  await (await makeProject(app, 'shop', receiver, clock))(850)
  await until('it was tried', async () => (await list(app, 'shop'))[0]?.attempts === 1)
  expect(await list(app, 'shop', '?state=waiting')).toMatchObject([{ type: 'quota.warning', reason: 'it answered 500', nextAttemptAt: clock.now + 1 }, { type: 'quota.exceeded', attempts: 0, reason: null }])
  await until('both are given up', async () => {
    clock.now += 3 * DAY
    return (await list(app, 'shop', '?state=dead')).length === 2
  })
  expect(await list(app, 'shop', '?state=waiting')).toEqual([])
  const first = (await admin(app, 'GET', `${pathOf('shop')}?limit=1`)).body as { deliveries: Listed[], next: string }
  const second = (await admin(app, 'GET', `${pathOf('shop')}?limit=1&cursor=${first.next}`)).body as { deliveries: Listed[], next: null }
  expect([first.deliveries, second.deliveries, second.next]).toMatchObject([[{ type: 'quota.warning', state: 'dead', event: { quota: 'bytesPerDay' } }], [{ type: 'quota.exceeded', state: 'dead' }], null])
  const env = { ...app.env, TURNPIKE_ADMIN_KEY: app.adminKey }
  const turnpike = (...args: string[]) => runHere(env, ...args, '--project', 'shop', '--url', app.url())
  expect((await turnpike('webhooks', 'list', '--state', 'dead')).out).toMatch(/^ID +TYPE .*\nevt_\S+ +quota\.warning .* dead +\d+ +it answered 500 +-\nevt_\S+ +quota\.exceeded .*\n$/)
  const id = first.deliveries[0]?.id ?? ''
  for (const args of [[], [id, '--all']]) expect(await turnpike('webhooks', 'replay', ...args)).toMatchObject({ code: 64, err: expect.stringContaining('--all') })
  receiver.answerWith(() => 200)
  expect((await turnpike('webhooks', 'replay', id)).out).toBe(`${id} is sent again\n`)
  await until('it is taken', () => receiver.taken.length === 1)
  expect(receiver.taken[0]?.event.id).toBe(id)
  expect((await turnpike('webhooks', 'replay', '--all')).out).toBe('1 are sent again\n')
  await until('the other is taken', () => receiver.taken.length === 2)
  await until('none is left', async () => (await list(app, 'shop')).length === 0)
  expect(await turnpike('webhooks', 'replay', id)).toMatchObject({ code: 65, err: expect.stringContaining('[not-found]') })
  const { entries } = (await admin(app, 'GET', '/v1/audit?project=shop')).body as { entries: { action: string, target: string, detail: object }[] }
  expect(entries.filter(({ action }) => action === 'webhook.replay')).toMatchObject([{ target: 'dead', detail: { events: 1 } }, { target: id }])
})

test('a key of the project that may administer rooms sees and replays its own, and finds nothing of another', async () => {
  const clock = noon()
  const app = await start(clock)
  const receiver = await startReceiver(() => 410)
  await (await makeProject(app, 'shop', receiver, clock))(1000)
  const keyOf = async (project: string, scopes: string[]) => String((await admin(app, 'POST', `/v1/projects/${project}/keys`, { scopes })).body['key'])
  const [own, unfit, others] = [await keyOf('shop', ['rooms:admin']), await keyOf('shop', ['turn:issue', 'turn:revoke', 'rooms:token', 'usage:read']), await keyOf('default', ['rooms:admin'])]
  await until('it is dead', async () => (await list(app, 'shop', '?state=dead')).length === 1)
  const [one] = await list(app, 'shop') as [Listed]
  const routes = [['GET', pathOf('shop')], ['POST', `${pathOf('shop')}/${one.id}/replay`], ['POST', `${pathOf('shop')}/replay`]] as const
  for (const [key, status] of [[unfit, 403], [others, 404], [own, 200]] as const) {
    for (const [method, path] of routes) expect([path, (await app.request(path, { method, key })).status]).toEqual([path, status])
  }
})

test('a restart loses nothing and sends nothing twice: what waits waits on, and keeps its id', async () => {
  const clock = noon()
  const app = await start(clock)
  const receiver = await startReceiver(() => 503)
  await (await makeProject(app, 'shop', receiver, clock))(850)
  await until('it was tried', async () => (await list(app, 'shop'))[0]?.attempts === 1)
  const before = (await list(app, 'shop')).map(({ id }) => id)
  await app.stop(2000)
  receiver.answerWith(() => 200)
  clock.now += 60
  const next = await start(clock, app.env)
  await until('both are taken', () => receiver.taken.length === 2)
  expect(receiver.taken.map(({ event }) => event.id)).toEqual(before)
  await until('none is left', async () => ((await next.request(pathOf('shop'), { key: app.adminKey })).body['deliveries'] as Listed[]).length === 0)
  expect(receiver.sent.map(({ event }) => event.id)).toEqual([before[0], ...before])
})

test('with a project goes what waits for its webhook: a new one of the same name is sent only its own', async () => {
  const clock = noon()
  const app = await start(clock)
  const receiver = await startReceiver(() => 503)
  await (await makeProject(app, 'shop', receiver, clock))(850)
  await until('it was tried', () => receiver.sent.length === 1)
  expect((await admin(app, 'DELETE', '/v1/projects/shop')).status).toBe(204)
  expect((await admin(app, 'GET', pathOf('shop'))).status).toBe(404)
  const old = receiver.sent[0]?.event.id
  receiver.answerWith(() => 200)
  clock.now += 10
  expect((await admin(app, 'POST', '/v1/projects', { id: 'shop', webhook: receiver.url, quotas: { bytesPerDay: 1001 } })).status).toBe(201)
  expect(await list(app, 'shop')).toEqual([])
  // Nothing has changed for a new project before its settings do.
  await admin(app, 'PATCH', '/v1/projects/shop', { quotas: { bytesPerDay: 1002 } })
  await until('the new one is told', () => receiver.taken.length === 1)
  expect(receiver.taken[0]?.event).toMatchObject({ limit: 1002 })
  expect(receiver.taken[0]?.event.id).not.toBe(old)
})
