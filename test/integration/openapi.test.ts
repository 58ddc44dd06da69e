/** The description of the API against the API: every route with every status that it documents, and a client made out of it. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import openapiTypescript, { astToString } from 'openapi-typescript'
import type { TSchema } from 'typebox'
import Value from 'typebox/value'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { until } from '../kit/files.ts'
import { joinAs } from '../kit/peer.ts'
import { issue } from '../kit/turn.ts'

type Operation = { summary?: string, tags?: string[], security?: object[], requestBody?: { content: Record<string, unknown> }, responses: Record<string, { description: string, content?: Record<string, { schema: TSchema, example?: unknown, examples?: object }> }> }
type Sent = { status: number, body: string }
type Request = { path?: string, body?: unknown, headers?: Record<string, string>, key?: string | null, to?: TestApp }

cleanUpAfterFile()
const GENEROUS = { TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '100000' }
let app: TestApp
/** Without a relay; with a coturn that bears integrations; where a key has one request a minute. */
let noRelay: TestApp
let newest: TestApp
let strict: TestApp
let operations: { id: string, method: string, path: string, operation: Operation }[]

beforeAll(async () => {
  await requireDocker('coturn')
  app = await startApp(GENEROUS)
  noRelay = await startApp(GENEROUS, { programPath: [] })
  newest = await startApp({ ...GENEROUS, TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE, TURNPIKE_RELAY_MIN_PORT: '20500', TURNPIKE_RELAY_MAX_PORT: '20599' })
  strict = await startApp({ TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '1' }, { programPath: [] })
  const { paths } = (await app.request('/v1/openapi.json')).body as { paths: Record<string, Record<string, Operation>> }
  operations = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ id: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path, operation })))
}, 300_000)

const isAdmins = (path: string): boolean => /^\/v1\/(projects|secrets|integrations|audit|backup|relays|doctor)/.test(path)
const inPath = (path: string): string => path.replaceAll('{project}', 'default').replaceAll('{account}', 'default').replaceAll('{key}', path.startsWith('/v1/turn/keys') ? 'default' : '000000000000').replaceAll('{username}', '9999999999%3Adefault.a.0').replaceAll(/\{\w+\}/g, 'something')

async function send (method: string, path: string, { body, headers = {}, key, to = app }: Request): Promise<Sent> {
  const own = key === undefined ? isAdmins(path) ? to.adminKey : to.apiKey : key
  const answer = await fetch(to.url() + path, {
    method,
    headers: { ...(own === null ? {} : path.startsWith('/2010') ? { authorization: `Basic ${Buffer.from(`x:${own}`).toString('base64')}` } : { authorization: `Bearer ${own}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: answer.status, body: await answer.text() }
}

let unique = 0
const fresh = (): string => `made-${unique++}`
async function madeProject (settings: object = {}): Promise<string> {
  const id = fresh()
  expect((await send('POST', '/v1/projects', { body: { id, ...settings } })).status).toBe(201)
  return id
}
async function madeKey (more: object = {}, project = 'default', to = app): Promise<{ id: string, key: string }> {
  return JSON.parse((await send('POST', `/v1/projects/${project}/keys`, { body: more, to })).body) as { id: string, key: string }
}
async function liveAllocation (): Promise<string> {
  const { TurnClient } = await import('../../src/stun/turn-client.ts')
  const { username, credential } = await issue(app)
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: Number(app.env['TURNPIKE_RELAY_PORT']), timeoutMs: 2000 })
  await client.allocate({ username, password: credential })
  let id = ''
  await until('it is seen', async () => {
    id = (JSON.parse((await send('GET', '/v1/turn/allocations', {})).body) as { allocations: { id: string }[] }).allocations[0]?.id ?? ''
    return id !== ''
  })
  return id
}
async function rotateAtOnce (): Promise<Sent> {
  const all = await Promise.all(Array.from({ length: 10 }, async () => await send('POST', '/v1/secrets/turn/rotate', {})))
  return all.find(({ status }) => status !== 200) ?? { status: 200, body: '' }
}
async function reused (path: string, body: object, other: object): Promise<Request> {
  const headers = { 'idempotency-key': fresh() }
  await send('POST', path, { body, headers })
  return { body: other, headers }
}
/** What provokes a status, where what is done for every route (see `provoke`) does not. A function may send by itself. */
const PROVOKED: Record<string, () => Promise<Request | Sent> | Request> = {
  'GET /readyz 503': () => ({ to: noRelay }),
  'POST /v1/turn/credentials 201': () => ({ body: {} }),
  'POST /v1/turn/credentials 404': () => ({ body: { project: 'nobodys' } }),
  'POST /v1/turn/credentials 409': async () => await reused('/v1/turn/credentials', {}, { ttl: 600 }),
  'DELETE /v1/turn/credentials 200': async () => ({ key: (await madeKey({}, await madeProject())).key }),
  'DELETE /v1/turn/credentials 503': async () => {
    const { key } = await madeKey({}, await madeProject())
    return await whileLocked(async () => await send('DELETE', '/v1/turn/credentials', { key }))
  },
  'DELETE /v1/turn/credentials 404': () => ({ path: '/v1/turn/credentials?project=nobodys' }),
  'DELETE /v1/turn/credentials 400': () => ({ path: '/v1/turn/credentials?x=1' }),
  'DELETE /v1/turn/credentials/{user} 400': () => ({ path: '/v1/turn/credentials/a%20b' }),
  'DELETE /v1/turn/credentials/{user} 404': () => ({ path: '/v1/turn/credentials/9999999999%3Anobodys.a.0' }),
  'GET /v1/turn/revocations 404': () => ({ path: '/v1/turn/revocations?project=nobodys' }),
  'DELETE /v1/turn/revocations/{subject} 204': async () => {
    await send('DELETE', '/v1/turn/credentials/to-be-lifted', {})
    return { path: '/v1/turn/revocations/to-be-lifted' }
  },
  'DELETE /v1/turn/revocations/{subject} 400': () => ({ path: '/v1/turn/revocations/a?kind=x' }),
  'DELETE /v1/turn/revocations/{subject} 503': async () => {
    await send('DELETE', '/v1/turn/credentials/to-stay', {})
    return await whileLocked(async () => await send('DELETE', '/v1/turn/revocations/to-stay', {}))
  },
  'DELETE /v1/turn/revocations/{subject} 404': () => ({ path: '/v1/turn/revocations/nobody' }),
  'GET /v1/turn/allocations 404': () => ({ path: '/v1/turn/allocations?project=nobodys' }),
  'DELETE /v1/turn/allocations/{id} 200': async () => ({ path: `/v1/turn/allocations/${await liveAllocation()}` }),
  'DELETE /v1/turn/allocations/{id} 503': async () => {
    const id = await liveAllocation()
    return await whileLocked(async () => await send('DELETE', `/v1/turn/allocations/${id}`, {}))
  },
  'POST /v1/rooms/{room}/tokens 201': () => ({ body: { peer: 'a' } }),
  'POST /v1/rooms/{room}/tokens 404': () => ({ body: { peer: 'a', project: 'nobodys' } }),
  'POST /v1/rooms/{room}/tokens 409': async () => await reused('/v1/rooms/something/tokens', { peer: 'a' }, { peer: 'b' }),
  'GET /v1/rooms 404': () => ({ path: '/v1/rooms?project=nobodys' }),
  'GET /v1/rooms/{room} 200': async () => ({ path: await madeRoom() }),
  'PUT /v1/rooms/{room} 200': async () => ({ path: await madeRoom(), body: {} }),
  'PUT /v1/rooms/{room} 201': () => ({ path: `/v1/rooms/${fresh()}`, body: {} }),
  'PUT /v1/rooms/{room} 404': () => ({ path: '/v1/rooms/x?project=nobodys', body: {} }),
  'PUT /v1/rooms/{room} 409': async () => ({ path: await roomWithPeer(), body: { kind: 'pair' } }),
  'DELETE /v1/rooms/{room} 200': async () => ({ path: await madeRoom() }),
  'DELETE /v1/rooms/{room} 503': async () => {
    const path = await madeRoom()
    return await whileLocked(async () => await send('DELETE', path, {}))
  },
  'DELETE /v1/rooms/{room}/peers/{peer} 200': async () => ({ path: `${await roomWithPeer()}/peers/a` }),
  'DELETE /v1/rooms/{room}/peers/{peer} 503': async () => {
    const path = await roomWithPeer()
    return await whileLocked(async () => await send('DELETE', `${path}/peers/a`, {}))
  },
  'POST /v1/rooms/{room}/messages 200': async () => ({ path: `${await madeRoom()}/messages`, body: { data: 1 } }),
  'POST /v1/rooms/{room}/messages 404': () => ({ path: `/v1/rooms/${fresh()}/messages`, body: { data: 1 } }),
  'POST /v1/rooms/{room}/messages 409': async () => {
    const path = `${await madeRoom()}/messages`
    return { path, ...await reused(path, { data: 1 }, { data: 2 }) }
  },
  ...Object.fromEntries(['publishers', 'subscribers'].flatMap(list => {
    const path = (topic: string, rest = ''): string => `/v1/topics/${topic}/${list}${rest}`
    const lease = { lease: 60 }
    const leased = async (): Promise<string> => {
      const made = path(fresh(), '/a')
      expect((await send('PUT', made, { body: lease })).status).toBe(201)
      return made
    }
    const ofMesh = async (rest = ''): Promise<string> => path((await madeRoom()).slice('/v1/rooms/'.length), rest)
    return [
      [`GET /v1/topics/{topic}/${list} 404`, () => ({ path: path('x', '?project=nobodys') })],
      [`GET /v1/topics/{topic}/${list} 409`, async () => ({ path: await ofMesh() })],
      [`PUT /v1/topics/{topic}/${list}/{peer} 200`, async () => ({ path: await leased(), body: lease })],
      [`PUT /v1/topics/{topic}/${list}/{peer} 201`, () => ({ path: path(fresh(), '/a'), body: lease })],
      [`PUT /v1/topics/{topic}/${list}/{peer} 404`, () => ({ path: path('x', '/a?project=nobodys'), body: lease })],
      [`PUT /v1/topics/{topic}/${list}/{peer} 409`, async () => ({ path: await ofMesh('/a'), body: lease })],
      [`PUT /v1/topics/{topic}/${list}/{peer} 503`, async () => await whileLocked(async () => await send('PUT', path(fresh(), '/a'), { body: lease }))],
      [`DELETE /v1/topics/{topic}/${list}/{peer} 204`, async () => ({ path: await leased() })],
      [`DELETE /v1/topics/{topic}/${list}/{peer} 409`, async () => ({ path: await ofMesh('/a') })],
      [`DELETE /v1/topics/{topic}/${list}/{peer} 503`, async () => {
        const made = await leased()
        return await whileLocked(async () => await send('DELETE', made, {}))
      }],
    ]
  })),
  'DELETE /v1/tokens/{tokenId} 400': () => ({ path: '/v1/tokens/a%20b' }),
  'GET /v1/usage 404': () => ({ path: '/v1/usage?project=nobodys' }),
  'POST /v1/projects 201': () => ({ body: { id: fresh() } }),
  'POST /v1/projects 409': () => ({ body: { id: 'default' } }),
  'POST /v1/projects 503': async () => await whileLocked(async () => await send('POST', '/v1/projects', { body: { id: fresh() } })),
  'PATCH /v1/projects/{project} 200': () => ({ body: {} }),
  'PATCH /v1/projects/{project} 404': () => ({ path: '/v1/projects/nobodys', body: {} }),
  'PATCH /v1/projects/{project} 409': async () => ({ path: '/v1/projects/declared', body: {}, to: await declaredApp() }),
  'PATCH /v1/projects/{project} 503': async () => await whileLocked(async () => await send('PATCH', '/v1/projects/default', { body: {} })),
  'DELETE /v1/projects/{project} 204': async () => ({ path: `/v1/projects/${await madeProject()}` }),
  'DELETE /v1/projects/{project} 409': () => ({}),
  'DELETE /v1/projects/{project} 503': async () => {
    const id = await madeProject()
    return await whileLocked(async () => await send('DELETE', `/v1/projects/${id}`, {}))
  },
  'GET /v1/projects/{project}/webhook-secret 503': async () => {
    // One that was never asked for, of before there were any.
    const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`)
    database.exec("UPDATE projects SET webhook_secret = '' WHERE id = 'call'")
    database.close()
    // A change that is refused has everything read again.
    await whileLocked(async () => await send('PATCH', '/v1/projects/default', { body: {} }))
    return await whileLocked(async () => await send('GET', '/v1/projects/call/webhook-secret', {}))
  },
  ...Object.fromEntries(['GET /v1/projects/{project}/webhook-deliveries', 'POST /v1/projects/{project}/webhook-deliveries/replay', 'POST /v1/projects/{project}/webhook-deliveries/{delivery}/replay'].map(id => [`${id} 403`, async () => ({ key: (await madeKey({ scopes: ['turn:issue'] })).key })])),
  'POST /v1/projects/{project}/webhook-deliveries/{delivery}/replay 200': () => ({ path: `/v1/projects/default/webhook-deliveries/${waitingDelivery()}/replay` }),
  'POST /v1/projects/{project}/webhook-deliveries/{delivery}/replay 503': async () => {
    const id = waitingDelivery()
    return await whileLocked(async () => await send('POST', `/v1/projects/default/webhook-deliveries/${id}/replay`, {}))
  },
  'POST /v1/projects/{project}/keys 201': () => ({ body: {} }),
  'POST /v1/projects/{project}/keys 409': async () => await reused('/v1/projects/default/keys', {}, { name: 'x' }),
  'POST /v1/projects/{project}/keys 404': () => ({ path: '/v1/projects/nobodys/keys', body: {} }),
  'POST /v1/projects/{project}/keys/{key}/rotate 201': async () => ({ path: `/v1/projects/default/keys/${(await madeKey()).id}/rotate` }),
  'POST /v1/projects/{project}/keys/{key}/rotate 503': async () => {
    const { id } = await madeKey()
    return await whileLocked(async () => await send('POST', `/v1/projects/default/keys/${id}/rotate`, {}))
  },
  'DELETE /v1/projects/{project}/keys/{key} 200': async () => ({ path: `/v1/projects/default/keys/${(await madeKey()).id}` }),
  'DELETE /v1/projects/{project}/keys/{key} 503': async () => {
    const { id } = await madeKey()
    return await whileLocked(async () => await send('DELETE', `/v1/projects/default/keys/${id}`, {}))
  },
  'POST /v1/secrets/turn/rotate 409': rotateAtOnce,
  'POST /v1/integrations 201': () => ({ body: { name: fresh() }, to: newest }),
  'POST /v1/integrations 409': () => ({ body: { name: 'x' } }),
  'POST /v1/integrations 503': async () => await whileLocked(async () => await send('POST', '/v1/integrations', { body: { name: fresh() }, to: newest }), newest),
  'POST /v1/integrations/{name}/rotate 201': async () => ({ path: `/v1/integrations/${await integration()}/rotate`, to: newest }),
  'POST /v1/integrations/{name}/rotate 409': async () => {
    // Made while there was a newer coturn, and now there is an older one.
    const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`)
    database.exec("INSERT INTO turn_secrets (secret, created_at, state, integration) VALUES ('of-an-integration-from-before', 1, 'current', 'from-before')")
    database.close()
    // The rows are read anew with a rotation.
    await send('POST', '/v1/secrets/turn/rotate', {})
    return { path: '/v1/integrations/from-before/rotate' }
  },
  'POST /v1/integrations/{name}/rotate 503': async () => {
    const name = await integration()
    return await whileLocked(async () => await send('POST', `/v1/integrations/${name}/rotate`, { to: newest }), newest)
  },
  'DELETE /v1/integrations/{name} 204': async () => ({ path: `/v1/integrations/${await integration()}`, to: newest }),
  'DELETE /v1/integrations/{name} 503': async () => {
    const name = await integration()
    return await whileLocked(async () => await send('DELETE', `/v1/integrations/${name}`, { to: newest }), newest)
  },
  'GET /v1/relays/{relay} 200': () => ({ path: '/v1/relays/turnpike' }),
  ...Object.fromEntries(['drain', 'restart', 'upgrade'].flatMap(kind => {
    const path = `/v1/relays/turnpike/${kind}`
    return [
      [`POST /v1/relays/{relay}/${kind} 202`, async () => {
        // One after another, and each comes to its end at once: there is no coturn.
        await until('the one before is over', async () => !/starting|handing|draining|ending/.test(String(JSON.parse((await send('GET', '/v1/relays/turnpike', { to: noRelay })).body).operation?.phase)), 20_000)
        return { path, body: { drainSeconds: 0, handOverSeconds: 0 }, to: noRelay }
      }],
      [`POST /v1/relays/{relay}/${kind} 409`, async () => {
        for (const other of ['upgrade', 'drain']) await send('POST', `/v1/relays/turnpike/${other}`, { body: { handOverSeconds: 3600 }, to: newest })
        return kind === 'upgrade' ? await send('POST', '/v1/relays/elsewhere/upgrade', { body: {}, to: await declaredApp() }) : { path, body: {}, to: newest }
      }],
      [`POST /v1/relays/{relay}/${kind} 503`, async () => await whileLocked(async () => await send('POST', path, { body: {} }))],
    ]
  })),
  'DELETE /v1/turn/allocations 200': () => ({ path: '/v1/turn/allocations?user=nobody' }),
  'DELETE /v1/turn/allocations 404': () => ({ path: '/v1/turn/allocations?all=true&project=nobodys' }),
  'DELETE /v1/turn/allocations 400': () => ({}),
  'DELETE /v1/turn/allocations 503': async () => await whileLocked(async () => await send('DELETE', '/v1/turn/allocations?user=nobody', {})),
  'GET /turn 400': () => ({ path: '/turn?ttl=x' }),
  'GET /ice 400': () => ({ path: '/ice?ttl=x' }),
  'POST /2010-04-01/Accounts/{account}/Tokens.json 404': () => ({ path: '/2010-04-01/Accounts/ACx/Tokens.json' }),
  'POST /v1/turn/keys/{key}/credentials/generate-ice-servers 404': () => ({ path: '/v1/turn/keys/x/credentials/generate-ice-servers' }),
  'POST /v1/turn/keys/{key}/credentials/generate 404': () => ({ path: '/v1/turn/keys/x/credentials/generate' }),
  'POST /v1/turn/keys/{key}/credentials/{username}/revoke 404': () => ({ path: '/v1/turn/keys/x/credentials/a/revoke' }),
  'POST /call/{room}/token 201': () => ({ body: {}, key: null }),
  'POST /call/{room}/token 400': () => ({ body: { name: 5 }, key: null }),
  'POST /call/{room}/token 403': () => ({ body: {}, headers: { 'sec-fetch-site': 'cross-site' }, key: null }),
  'POST /call/{room}/token 429': async () => {
    let last: Sent = { status: 0, body: '' }
    for (let i = 0; i < 35; i++) last = await send('POST', '/call/r/token', { body: {}, key: null })
    return last
  },
}

/** Of a project that has no webhook, so that it goes on waiting. */
function waitingDelivery (): string {
  const id = fresh()
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { timeout: 5000 })
  database.prepare("INSERT INTO webhook_deliveries (id, project, body, at, waits_since, attempts, next_at) VALUES (?, 'default', '{\"type\":\"room.ended\"}', 1, 1, 0, 1)").run(id)
  database.close()
  return id
}

async function madeRoom (): Promise<string> {
  const path = `/v1/rooms/${fresh()}`
  expect((await send('PUT', path, { body: {} })).status).toBe(201)
  return path
}
async function roomWithPeer (): Promise<string> {
  const room = fresh()
  await joinAs(app, room, 'a')
  return `/v1/rooms/${room}`
}
async function integration (): Promise<string> {
  const name = fresh()
  expect((await send('POST', '/v1/integrations', { body: { name }, to: newest })).status).toBe(201)
  return name
}

let declared: TestApp | undefined
async function declaredApp (): Promise<TestApp> {
  if (declared !== undefined) return declared
  const file = `${app.env['TURNPIKE_DATA_DIR']}/declared.yaml`
  writeFileSync(file, 'projects:\n  declared: {}\nrelays:\n  elsewhere: {driver: external, host: turn.elsewhere.example, secret: 0123456789abcdef}\n')
  declared = await startApp({ TURNPIKE_CONFIG: file }, { programPath: [] })
  return declared
}

/** While somebody else holds the database, nothing can be written. */
async function whileLocked (work: () => Promise<Sent>, of = app): Promise<Sent> {
  const database = new DatabaseSync(`${of.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { timeout: 5000 })
  database.exec('BEGIN IMMEDIATE')
  try {
    return await work()
  } finally {
    database.exec('ROLLBACK')
    database.close()
  }
}

/** What provokes a status in any route. */
async function provoke (method: string, path: string, status: number): Promise<Sent> {
  const target = inPath(path)
  switch (status) {
    case 400: return method === 'GET' ? await send(method, `${target}?nonsense=1&limit=x`, {}) : await send(method, target, { body: '{' })
    case 401: return await send(method, target, { key: null })
    case 403: return await send(method, target, { key: isAdmins(path) ? app.apiKey : (await madeKey({ scopes: [/^\/v1\/rooms(?!.*tokens)/.test(path) ? 'rooms:token' : 'rooms:admin'] })).key })
    case 404: return await send(method, target.replace('/default', '/nobodys'), {})
    case 413: return await send(method, target, { body: JSON.stringify({ x: 'y'.repeat(70_000) }) })
    case 415: return await send(method, target, { body: 'x', headers: { 'content-type': 'text/plain' } })
    case 429:
      await send(method, target, { to: strict })
      return await send(method, target, { to: strict })
    case 503: return /credentials$|turn$|ice$|turnServer$|Tokens\.json$|generate|credential$/.test(path) && method !== 'DELETE' ? await send(method, target, { to: noRelay, ...(method === 'POST' ? { body: {} } : {}) }) : await whileLocked(async () => await send(method, target, {}))
    default: return await send(method, target, method === 'POST' && !path.endsWith('rotate') && !path.endsWith('revoke') ? { body: {} } : {})
  }
}

test('every route answers every status that it documents, and every refusal is a problem document of a code that it documents', async () => {
  let walked = 0
  const missing: string[] = []
  for (const { id, method, path, operation } of operations) {
    if (path === '/v1/signal') continue
    for (const status of Object.keys(operation.responses)) {
      const special = PROVOKED[`${id} ${status}`]
      const plan = special === undefined ? null : await special()
      const sent = plan === null ? await provoke(method, path, Number(status)) : 'status' in plan ? plan : await send(method, plan.path ?? inPath(path), plan)
      walked++
      if (String(sent.status) !== status) missing.push(`${id} ${status}: was ${sent.status} ${sent.body.slice(0, 150)}`)
      if (Number(status) < 400 || sent.body === '' || path === '/readyz') continue
      const { code: plain, more_info: info } = JSON.parse(sent.body) as { code?: string, more_info?: string }
      // Twilio's libraries want a number in code; ours stands beside it.
      const code = info?.replace('urn:turnpike:error:', '') ?? plain
      if (operation.responses[String(sent.status)]?.description.includes(`${code}:`) === false) missing.push(`${id} ${status}: ${code} is not documented`)
    }
  }
  expect(missing).toEqual([])
  expect(walked).toBeGreaterThan(300)
}, 300_000)

test('every operation says what it is, who may call it, and shows an example of every answer, which is of its schema', () => {
  for (const { id, operation } of operations) {
    expect([id, typeof operation.summary, operation.tags?.length, Array.isArray(operation.security)]).toEqual([id, 'string', 1, true])
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      const answer = content?.['application/json']
      if (status.startsWith('2') && answer !== undefined) {
        expect(answer.example, `${id} ${status}`).toBeDefined()
        expect(Value.Errors(answer.schema, answer.example).map(({ instancePath, message }) => `${instancePath} ${message}`), `${id} ${status}`).toEqual([])
      }
      if (Number(status) < 400 || id === 'GET /readyz') continue
      expect(description, `${id} ${status}`).toMatch(/^[a-z-]+: /)
      expect(Object.keys((content?.['application/problem+json'] ?? content?.['application/json'])?.examples ?? {}).length, `${id} ${status}`).toBeGreaterThan(0)
    }
  }
})

test('a TypeScript client that is made out of the description type-checks against it', async () => {
  const document = (await app.request('/v1/openapi.json')).body
  const directory = 'coverage/openapi-client'
  execFileSync('mkdir', ['-p', directory])
  writeFileSync(`${directory}/api.d.ts`, astToString(await openapiTypescript(JSON.stringify(document))))
  writeFileSync(`${directory}/use.ts`, readFileSync('test/fixtures/openapi-client.ts.txt', 'utf8'))
  const check = (): string => {
    try {
      return execFileSync('node_modules/.bin/tsc', ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'esnext', '--moduleResolution', 'nodenext', '--ignoreConfig', `${directory}/use.ts`], { encoding: 'utf8' })
    } catch (error) {
      return (error as { stdout: string }).stdout
    }
  }
  expect(check()).toBe('')
  writeFileSync(`${directory}/use.ts`, readFileSync('test/fixtures/openapi-client.ts.txt', 'utf8').replace("user: 'alice'", 'usr: 1'))
  expect(check()).toMatch(/usr/)
}, 120_000)
