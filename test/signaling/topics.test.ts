/** The directory of topics over real requests, streams and sockets. */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { watchStream, type Stream } from '../kit/event-stream.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { joinAs, tokenFor } from '../kit/peer.ts'

cleanUpAfterFile()
const NO_RELAY = { programPath: [] }
const GENEROUS = { TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '100000' }
const clock = { ahead: 0 }
let app: TestApp
beforeAll(async () => {
  app = await startApp({ ...GENEROUS, TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1', TURNPIKE_SIGNALING_GRACE_SECONDS: '1' }, { ...NO_RELAY, nowSeconds: () => Math.floor(Date.now() / 1000) + clock.ahead })
})

let topics = 0
const newTopic = (): string => `${++topics},2,3,4`
const pathOf = (topic: string, rest: string): string => `/v1/topics/${encodeURIComponent(topic)}/${rest}`
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` })
const call = async (method: string, path: string, body?: object, key = app.apiKey, on = app) => await on.request(path, { method, key, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
const refusal = ({ status, body }: { status: number, body: Record<string, unknown> }): unknown => [status, body['code'], ...(body['errors'] as { field: string }[] ?? []).map(({ field }) => field)]
const watched = async (topic: string, list: string, headers: Record<string, string> = bearer(app.apiKey)): Promise<Stream> => await watchStream(app, pathOf(topic, `${list}?watch=1`), headers)
const entries = async (topic: string, list: string, on = app): Promise<unknown> => (await call('GET', pathOf(topic, list), undefined, on.apiKey === '' ? app.apiKey : on.apiKey, on)).body['entries']

test('the directory lists who is in the room with that role, and who has a lease, in pages', async () => {
  const topic = newTopic()
  expect(await entries(topic, 'publishers')).toEqual([])
  await joinAs(app, topic, 'b', { kind: 'topic', role: 'publisher', metadata: { battery: 80 } })
  await joinAs(app, topic, 'c', { kind: 'topic', role: 'subscriber' })
  const leased = await call('PUT', pathOf(topic, 'publishers/a'), { lease: 60, metadata: { n: 1 } })
  expect([leased.status, leased.body]).toEqual([201, { peer: 'a', metadata: { n: 1 }, joined: false, leasedUntil: expect.any(Number) }])
  expect(Number(leased.body['leasedUntil'])).toBeGreaterThan(Date.now() / 1000 + 55)
  expect(await entries(topic, 'publishers')).toEqual([leased.body, { peer: 'b', metadata: { battery: 80 }, joined: true, leasedUntil: null }])
  expect(await entries(topic, 'subscribers')).toEqual([{ peer: 'c', metadata: {}, joined: true, leasedUntil: null }])
  const first = (await call('GET', pathOf(topic, 'publishers?limit=1'))).body as { entries: { peer: string }[], next: string }
  expect(first.entries.map(({ peer }) => peer)).toEqual(['a'])
  expect((await call('GET', pathOf(topic, `publishers?limit=1&cursor=${first.next}`))).body).toMatchObject({ entries: [{ peer: 'b' }], next: null })
  const renewed = await call('PUT', pathOf(topic, 'publishers/a'), { lease: 600 })
  expect([renewed.status, renewed.body['metadata']]).toEqual([200, { n: 1 }])
  expect((await call('DELETE', pathOf(topic, 'publishers/a'))).status).toBe(204)
  expect(refusal(await call('DELETE', pathOf(topic, 'publishers/a')))).toEqual([404, 'not-found'])
  expect(refusal(await call('DELETE', pathOf(topic, 'publishers/b')))).toEqual([404, 'not-found'])
  expect(await entries(topic, 'publishers')).toMatchObject([{ peer: 'b' }])
})

test('a stream says who is there, then each change with its reason, and beats meanwhile', async () => {
  const topic = newTopic()
  const key = (await call('PUT', pathOf(topic, 'publishers/leased'), { lease: 60 })).body
  const stream = await watched(topic, 'publishers')
  expect([stream.status, stream.response.headers['content-type'], stream.response.headers['cache-control']]).toEqual([200, 'text/event-stream; charset=utf-8', 'no-store'])
  expect((await stream.next('list')).data).toEqual({ entries: [key] })
  const robot = await joinAs(app, topic, 'robot', { kind: 'topic', role: 'publisher' })
  expect((await stream.next('added')).data).toEqual({ peer: 'robot', metadata: {}, joined: true, leasedUntil: null })
  robot.send({ type: 'update', metadata: { battery: 5 } })
  expect((await stream.next('updated')).data).toMatchObject({ peer: 'robot', metadata: { battery: 5 } })
  await call('PUT', pathOf(topic, 'publishers/robot'), { lease: 60 })
  expect((await stream.next('updated')).data).toMatchObject({ peer: 'robot', joined: true, leasedUntil: expect.any(Number), metadata: { battery: 5 } })
  robot.socket.terminate()
  expect((await stream.next('updated')).data).toMatchObject({ peer: 'robot', joined: false })
  expect(await entries(topic, 'publishers')).toMatchObject([{ peer: 'leased' }, { peer: 'robot', joined: false }])
  await call('DELETE', pathOf(topic, 'publishers/robot'))
  expect((await stream.next('removed')).data).toEqual({ peer: 'robot', reason: 'released' })
  const lost = await joinAs(app, topic, 'lost', { kind: 'topic', role: 'publisher' })
  lost.socket.terminate()
  expect((await stream.next('removed')).data).toEqual({ peer: 'lost', reason: 'lost' })
  // Of the other role nothing is told here.
  await joinAs(app, topic, 'listener', { kind: 'topic', role: 'subscriber' })
  await call('PUT', pathOf(topic, 'publishers/leased'), { lease: 120 })
  await call('PUT', pathOf(topic, 'publishers/last'), { lease: 60 })
  expect((await stream.next('added')).data).toMatchObject({ peer: 'last' })
  expect(stream.events.map(({ type, data }) => [type, data['peer']])).toEqual([['list', undefined], ['added', 'robot'], ['updated', 'robot'], ['updated', 'robot'], ['updated', 'robot'], ['removed', 'robot'], ['added', 'lost'], ['removed', 'lost'], ['added', 'last']])
  await until('a heartbeat', () => stream.text().includes('\n\n:\n\n'))
})

test('a lease that is not renewed ends by itself, and the stream says so', async () => {
  const topic = newTopic()
  await call('PUT', pathOf(topic, 'subscribers/short'), { lease: 10 })
  await call('PUT', pathOf(topic, 'subscribers/long'), { lease: 86_400 })
  const stream = await watched(topic, 'subscribers')
  await stream.next('list')
  clock.ahead += 11
  expect((await stream.next('removed')).data).toEqual({ peer: 'short', reason: 'expired' })
  expect(await entries(topic, 'subscribers')).toMatchObject([{ peer: 'long' }])
})

test('leases are kept over a restart; those that ended meanwhile are gone', async () => {
  const time = { ahead: 0 }
  const world = { ...NO_RELAY, nowSeconds: () => Math.floor(Date.now() / 1000) + time.ahead }
  const first = await startApp({}, world)
  await call('PUT', pathOf('t', 'publishers/short'), { lease: 10 }, first.apiKey, first)
  const kept = (await call('PUT', pathOf('t', 'publishers/long'), { lease: 3600, metadata: { n: 1 } }, first.apiKey, first)).body
  await first.stop(2000)
  time.ahead = 60
  const next = await startApp(first.env, world)
  const list = async (): Promise<unknown> => (await call('GET', pathOf('t', 'publishers'), undefined, first.apiKey, next)).body['entries']
  await until('the other has ended', async () => (await list() as object[]).length === 1)
  expect(await list()).toEqual([kept])
})

test('a watcher that comes back goes on where it was, and begins with the list where that is not known any more', async () => {
  const topic = newTopic()
  const stream = await watched(topic, 'publishers')
  const { id } = await stream.next('list')
  await call('PUT', pathOf(topic, 'publishers/a'), { lease: 60 })
  const { id: second } = await stream.next('added')
  stream.close()
  await call('PUT', pathOf(topic, 'publishers/b'), { lease: 60 })
  const back = await watched(topic, 'publishers', { ...bearer(app.apiKey), 'last-event-id': second })
  expect((await back.next('added')).data).toMatchObject({ peer: 'b' })
  const all = await watched(topic, 'publishers', { ...bearer(app.apiKey), 'last-event-id': id })
  await until('both', () => all.events.length === 2)
  expect(all.events.map(({ type, data }) => [type, data['peer']])).toEqual([['added', 'a'], ['added', 'b']])
  for (const unknown of ['nonsense', 'AAAAAAAA.1', second.replace(/\d+$/, '99')]) {
    const anew = await watched(topic, 'publishers', { ...bearer(app.apiKey), 'last-event-id': unknown })
    expect(((await anew.next('list')).data['entries'] as object[]).length).toBe(2)
  }
})

test('a room token sees and leases what its peer may, and nothing else', async () => {
  const topic = newTopic()
  const publisher = await tokenFor(app, topic, { peer: 'p', kind: 'topic', role: 'publisher', permissions: { update: false } })
  const subscriber = await tokenFor(app, topic, { peer: '*', kind: 'topic', role: 'subscriber' })
  expect((await call('PUT', pathOf(topic, 'publishers/p'), { lease: 60 }, publisher)).status).toBe(201)
  expect((await call('GET', pathOf(topic, 'publishers'), undefined, subscriber)).body['entries']).toMatchObject([{ peer: 'p' }])
  expect((await call('PUT', pathOf(topic, 'subscribers/any'), { lease: 60, metadata: { x: 1 } }, subscriber)).status).toBe(201)
  const stream = await watched(topic, 'subscribers', bearer(publisher))
  expect((await stream.next('list')).data).toMatchObject({ entries: [{ peer: 'any' }] })
  expect(refusal(await call('GET', pathOf(topic, 'publishers'), undefined, publisher))).toEqual([403, 'not-permitted'])
  expect(refusal(await call('PUT', pathOf(topic, 'publishers/q'), { lease: 60 }, publisher))).toEqual([403, 'not-permitted'])
  expect(refusal(await call('PUT', pathOf(topic, 'subscribers/p'), { lease: 60 }, publisher))).toEqual([403, 'not-permitted'])
  expect(refusal(await call('PUT', pathOf(topic, 'publishers/p'), { lease: 60, metadata: {} }, publisher))).toEqual([403, 'not-permitted'])
  expect(refusal(await call('DELETE', pathOf(topic, 'subscribers/any'), undefined, publisher))).toEqual([403, 'not-permitted'])
  expect(refusal(await call('GET', pathOf(newTopic(), 'subscribers'), undefined, publisher))).toEqual([403, 'room-mismatch'])
  expect(refusal(await call('GET', pathOf('lobby', 'subscribers'), undefined, await tokenFor(app, 'lobby', { peer: 'p' })))).toEqual([403, 'room-mismatch'])
  expect(refusal(await call('GET', pathOf(topic, 'subscribers'), undefined, `${publisher}x`))).toEqual([401, 'token-invalid'])
  expect(refusal(await call('GET', '/v1/rooms', undefined, publisher))).toEqual([401, 'unauthorized'])
})

test('what is wrong is named; another project has topics of its own; the scope is needed', async () => {
  const topic = newTopic()
  for (const lease of [9, 86_401, 10.5, 'x']) expect(refusal(await call('PUT', pathOf(topic, 'publishers/a'), { lease })), String(lease)).toEqual([400, 'invalid-request', 'lease'])
  expect(refusal(await call('PUT', pathOf(topic, 'publishers/a')))).toEqual([400, 'invalid-request', 'lease'])
  expect(refusal(await call('PUT', pathOf(topic, 'publishers/*'), { lease: 60 }))).toEqual([400, 'invalid-request', 'peer'])
  expect(refusal(await call('PUT', pathOf('a/b', 'publishers/a'), { lease: 60 }))).toEqual([400, 'invalid-request', 'topic'])
  expect(refusal(await call('GET', pathOf('x'.repeat(129), 'publishers')))).toEqual([400, 'invalid-request', 'topic'])
  expect(refusal(await call('GET', pathOf(topic, 'publishers?watch=perhaps')))).toEqual([400, 'invalid-request', 'watch'])
  expect(refusal(await call('PUT', pathOf(topic, 'publishers/a'), { lease: 60, metadata: { x: 'y'.repeat(3000) } }))).toEqual([413, 'metadata-too-large'])
  await joinAs(app, 'a mesh', 'm')
  expect(refusal(await call('GET', pathOf('a mesh', 'publishers?watch=1')))).toEqual([409, 'room-mode-conflict'])
  expect(refusal(await call('PUT', pathOf('a mesh', 'publishers/a'), { lease: 60 }))).toEqual([409, 'room-mode-conflict'])
  await call('PUT', pathOf(topic, 'publishers/a'), { lease: 60 })
  await call('POST', '/v1/projects', { id: 'fleet', quotas: { peers: 1 } }, app.adminKey)
  const { key } = (await call('POST', '/v1/projects/fleet/keys', {}, app.adminKey)).body as { key: string }
  expect((await call('GET', pathOf(topic, 'publishers'), undefined, key)).body).toEqual({ entries: [], next: null })
  expect(refusal(await call('DELETE', pathOf(topic, 'publishers/a'), undefined, key))).toEqual([404, 'not-found'])
  expect(refusal(await call('GET', pathOf(topic, 'publishers?project=default'), undefined, key))).toEqual([404, 'not-found'])
  await call('PUT', pathOf(topic, 'publishers/b'), { lease: 60 }, key)
  expect(refusal(await call('PUT', pathOf(topic, 'publishers/c'), { lease: 60 }, key))).toEqual([503, 'too-many-peers'])
  const narrow = String((await call('POST', '/v1/projects/default/keys', { scopes: ['rooms:admin'] }, app.adminKey)).body['key'])
  expect(refusal(await call('GET', pathOf(topic, 'publishers'), undefined, narrow))).toEqual([403, 'forbidden'])
})

test('a kick ends the lease of its peer, a closed room those of everybody', async () => {
  const topic = newTopic()
  const stream = await watched(topic, 'publishers')
  await stream.next('list')
  await joinAs(app, topic, 'a', { kind: 'topic', role: 'publisher' })
  for (const peer of ['a', 'b', 'c']) await call('PUT', pathOf(topic, `publishers/${peer}`), { lease: 60 })
  await call('DELETE', `/v1/rooms/${topic}/peers/a`)
  expect((await stream.next('removed')).data).toEqual({ peer: 'a', reason: 'kicked' })
  await joinAs(app, topic, 'b', { kind: 'topic', role: 'publisher' })
  await call('DELETE', `/v1/rooms/${topic}`)
  expect([(await stream.next('removed')).data, (await stream.next('removed')).data].sort((a, b) => (String(a['peer']) < String(b['peer']) ? -1 : 1))).toEqual([{ peer: 'b', reason: 'closed' }, { peer: 'c', reason: 'closed' }])
  expect(await entries(topic, 'publishers')).toEqual([])
})

test('a stream ends with its key, its token, its project, and the server; not with the time in which its token served for joining', async () => {
  const topic = newTopic()
  await call('POST', '/v1/projects', { id: 'ending' }, app.adminKey)
  const newKey = async (project: string): Promise<{ id: string, key: string }> => (await call('POST', `/v1/projects/${project}/keys`, {}, app.adminKey)).body as { id: string, key: string }
  const [ofKey, ofTokensKey, ofProject] = [await newKey('default'), await newKey('default'), await newKey('ending')]
  const issue = async (key?: string) => (await call('POST', `/v1/rooms/${topic}/tokens`, { peer: 'p', kind: 'topic', role: 'subscriber', ttl: 10 }, key)).body as { token: string, tokenId: string }
  const [revoked, ofGoneKey, expiring] = [await issue(), await issue(ofTokensKey.key), await issue()]
  const streams: Record<string, Stream> = {}
  for (const [name, credential] of Object.entries({ key: ofKey.key, project: ofProject.key, revoked: revoked.token, tokensKey: ofGoneKey.token, expiring: expiring.token })) streams[name] = await watched(topic, 'publishers', bearer(credential))
  await call('DELETE', `/v1/projects/default/keys/${ofKey.id}`, undefined, app.adminKey)
  await call('DELETE', `/v1/tokens/${revoked.tokenId}`)
  await call('PATCH', '/v1/projects/ending', { enabled: false }, app.adminKey)
  await until('three have ended', () => ['key', 'project', 'revoked'].every(name => streams[name]?.isOver() === true))
  clock.ahead += 60
  expect(refusal(await call('GET', pathOf(topic, 'publishers'), undefined, expiring.token))).toEqual([401, 'token-expired'])
  const beats = streams['expiring']?.text().length ?? 0
  await until('it goes on', () => (streams['expiring']?.text().length ?? 0) > beats)
  await call('DELETE', `/v1/projects/default/keys/${ofTokensKey.id}`, undefined, app.adminKey)
  await until('the one of a token whose key is gone has ended', () => streams['tokensKey']?.isOver() === true)
  expect([streams['expiring']?.isOver(), streams['key']?.response.complete]).toEqual([false, true])
})

test('a server that stops ends its streams in good order, and does not wait for them', async () => {
  const other = await startApp({}, NO_RELAY)
  const stream = await watchStream(other, pathOf('t', 'publishers?watch=1'), bearer(other.apiKey))
  await stream.next('list')
  const began = performance.now()
  await other.stop(20_000)
  expect(performance.now() - began).toBeLessThan(9000)
  await until('the end', () => stream.isOver())
  expect(stream.response.complete).toBe(true)
})

test('a stream is counted as a request, and its length is not taken for the time of an answer', async () => {
  const other = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1' }, NO_RELAY)
  const { id, key } = (await call('POST', '/v1/projects/default/keys', {}, other.adminKey, other)).body as { id: string, key: string }
  const stream = await watchStream(other, pathOf('t', 'publishers?watch=1'), bearer(key))
  await stream.next('list')
  await call('DELETE', `/v1/projects/default/keys/${id}`, undefined, other.adminKey, other)
  await until('the end', () => stream.isOver())
  await call('GET', pathOf('t', 'publishers'), undefined, other.apiKey, other)
  const lines = async (): Promise<string[]> => (await (await fetch(other.metricsUrl())).text()).split('\n').filter(line => line.includes('/v1/topics/:topic/publishers"'))
  await until('both are counted', async () => (await lines()).some(line => /^turnpike_http_requests_total\{.*status="200"\} 2$/.test(line)))
  expect((await lines()).filter(line => line.startsWith('turnpike_http_request_duration_seconds_count'))).toEqual([expect.stringMatching(/ 1$/)])
})

test('streams are bounded: one too many is refused, and one that is not read is cut off', async () => {
  const small = await startApp({ ...GENEROUS, TURNPIKE_SIGNALING_WATCHERS_PER_PROJECT: '1', TURNPIKE_SIGNALING_METADATA_BYTES: '60000' }, NO_RELAY)
  const path = pathOf('t', 'publishers?watch=1')
  const { port } = new URL(small.url())
  const unread = connectTcp(Number(port), '127.0.0.1')
  whenDone(() => unread.destroy())
  unread.on('error', () => {}).pause()
  unread.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${small.apiKey}\r\n\r\n`)
  const next = async () => await small.request(path)
  let refused = { status: 0, headers: new Headers(), body: {} as Record<string, unknown> }
  await until('the first watches', async () => {
    const probe = await watchStream(small, path, bearer(small.apiKey))
    probe.close()
    if (probe.status !== 200) refused = await next()
    return probe.status !== 200
  })
  expect([refused.status, refused.body['code']]).toEqual([429, 'too-many-watchers'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  let written = 0
  await until('it is cut off', async () => {
    written++
    await call('PUT', pathOf('t', 'publishers/a'), { lease: 60, metadata: { written, x: 'y'.repeat(59_000) } }, small.apiKey, small)
    const probe = await watchStream(small, path, bearer(small.apiKey))
    probe.close()
    return probe.status === 200
  }, 30_000)
  // What the kernel takes is not ours to bound.
  expect(written * 59_000).toBeLessThan(32_000_000)
})

test('the worked example of docs/topics.md: two robots find each other, negotiate through mailboxes, and hear of each other\'s end', async () => {
  const [, script = ''] = /<!-- example: topic-manager\.mjs -->\n```js\n([^]*?)```/.exec(readFileSync('docs/topics.md', 'utf8')) ?? []
  const file = `${scratchDirectory()}/topic-manager.mjs`
  writeFileSync(file, script)
  const topic = newTopic()
  await call('PATCH', '/v1/projects/default', { dialects: ['libdatachannel'] }, app.adminKey)
  const robot = async (role: 'publisher' | 'subscriber', name: string) => {
    const { PATH = '' } = process.env
    const env = { PATH, TURNPIKE: app.url(), TOPIC: topic, NAME: name, ROLE: role, TOPIC_TOKEN: await tokenFor(app, topic, { peer: name, kind: 'topic', role }), SOCKET_TOKEN: await tokenFor(app, `${topic}.sockets`, { peer: '*' }) }
    const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    whenDone(() => child.kill('SIGKILL'))
    const said = { text: '' }
    child.stdout.on('data', (bytes: Buffer) => { said.text += bytes.toString() })
    return { child, said, until: async (words: string) => await until(`${words} of ${name}`, () => said.text.includes(words), 20_000) }
  }
  const subscriber = await robot('subscriber', '9,9,9,9')
  const publisher = await robot('publisher', '7,7,7,7')
  await publisher.until(`open ${topic},7,7,7,7,9,9,9,9\n`)
  await subscriber.until(`open ${topic},9,9,9,9,7,7,7,7\n`)
  await publisher.until(`offer from ${topic},9,9,9,9,7,7,7,7\n`)
  await subscriber.until(`answer from ${topic},7,7,7,7,9,9,9,9\n`)
  publisher.child.kill('SIGKILL')
  clock.ahead += 61
  await subscriber.until('gone 7,7,7,7\n')
}, 60_000)
