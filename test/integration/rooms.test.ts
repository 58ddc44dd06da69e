/** Rooms from outside: what the application's own server sees of them and does to them, over real sockets. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { runHere } from '../kit/command.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { connect, joinAs, tokenFor, type Peer, type Refused } from '../kit/peer.ts'
import { startReceiver } from '../kit/receiver.ts'
import { allocate, allocated, liveAllocations, relayPort, untilLive } from '../kit/turn.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1', TURNPIKE_SIGNALING_METADATA_BYTES: '256', TURNPIKE_SIGNALING_MESSAGE_BYTES: '1024' }, { programPath: [] }) })

let rooms = 0
const newRoom = (): string => `room ${++rooms}`
const pathOf = (room: string): string => `/v1/rooms/${encodeURIComponent(room)}`
const call = (method: string, path: string, body?: object, key?: string) => app.request(path, { method, ...(key === undefined ? {} : { key }), ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
const refusal = ({ status, body }: { status: number, body: Record<string, unknown> }): unknown => [status, body['code'], ...(body['errors'] as { field: string }[] ?? []).map(({ field }) => field)]
const codeOf = (outcome: Peer | Refused): unknown => ('status' in outcome ? [outcome.status, outcome.body['code']] : 'joined')
async function otherProject (settings: object = {}): Promise<string> {
  const id = `p${++rooms}`
  await call('POST', '/v1/projects', { id, ...settings }, app.adminKey)
  return String((await call('POST', `/v1/projects/${id}/keys`, {}, app.adminKey)).body['key'])
}
async function closed (peer: Peer): Promise<number | undefined> {
  await until('the close', () => peer.closed !== null)
  return peer.closed?.code
}

test('a room and its peers are shown as they are: who, since when, from where, connected or not, how far away', async () => {
  const room = newRoom()
  const began = Math.floor(Date.now() / 1000)
  await joinAs(app, room, 'b', { role: 'robot', metadata: { battery: 80 } })
  const gone = await joinAs(app, room, 'a')
  const listed = (await call('GET', '/v1/rooms')).body['rooms'] as { id: string }[]
  expect(listed.find(({ id }) => id === room)).toEqual({ id: room, kind: 'mesh', capacity: 50, metadata: {}, peerCount: 2, since: expect.any(Number), madeAhead: false })
  let shown: Record<string, unknown> & { peers: Record<string, unknown>[] } = { peers: [] }
  gone.socket.terminate()
  await until('a is lost, and b has answered a ping', async () => {
    shown = (await call('GET', pathOf(room))).body as typeof shown
    return shown.peers[0]?.['connected'] === false && typeof shown.peers[1]?.['roundTripMs'] === 'number'
  })
  expect(shown).toMatchObject({ id: room, kind: 'mesh', capacity: 50, peerCount: 2, next: null })
  expect(shown.peers[0]).toMatchObject({ id: 'a', role: null, session: gone.welcome['session'], connected: false })
  expect(shown.peers[1]).toEqual({ id: 'b', role: 'robot', metadata: { battery: 80 }, session: expect.stringMatching(/^s_/), since: expect.any(Number), address: '127.0.0.1', connected: true, roundTripMs: expect.any(Number), protocol: 'native' })
  const [, { since, roundTripMs } = { since: 0, roundTripMs: 0 }] = shown.peers
  expect(Number(since)).toBeGreaterThanOrEqual(began)
  expect(Number(since)).toBeLessThanOrEqual(Date.now() / 1000)
  expect(Number(roundTripMs)).toBeLessThan(5000)
})

test('lists come in pages, each entry once', async () => {
  const key = await otherProject()
  for (const id of ['c', 'a', 'b']) expect((await call('PUT', pathOf(id), {}, key)).status).toBe(201)
  const first = (await call('GET', '/v1/rooms?limit=2', undefined, key)).body as { rooms: { id: string }[], total: number, next: string }
  expect([first.rooms.map(({ id }) => id), first.total]).toEqual([['a', 'b'], 3])
  expect((await call('GET', `/v1/rooms?limit=2&cursor=${first.next}`, undefined, key)).body).toMatchObject({ rooms: [{ id: 'c' }], next: null })
  const room = newRoom()
  for (const peer of ['x', 'z', 'y']) await joinAs(app, room, peer)
  const page = (await call('GET', `${pathOf(room)}?limit=2`)).body as { peers: { id: string }[], next: string, peerCount: number }
  expect([page.peers.map(({ id }) => id), page.peerCount]).toEqual([['x', 'y'], 3])
  expect((await call('GET', `${pathOf(room)}?limit=2&cursor=${page.next}`)).body).toMatchObject({ peers: [{ id: 'z' }], next: null })
  expect(refusal(await call('GET', '/v1/rooms?cursor=nonsense!'))).toEqual([400, 'invalid-request', 'cursor'])
})

test('a closed room: everybody is told room-closed and closed with 4004, cannot resume, and can come again', async () => {
  const room = newRoom()
  const [a, b] = [await joinAs(app, room, 'a'), await joinAs(app, room, 'b')]
  expect((await call('DELETE', pathOf(room))).body).toEqual({ peersClosed: 2 })
  for (const peer of [a, b]) {
    expect(await peer.next('error')).toMatchObject({ ref: null, code: 'room-closed' })
    expect(await closed(peer)).toBe(4004)
  }
  expect(refusal(await call('GET', pathOf(room)))).toEqual([404, 'not-found'])
  expect(refusal(await call('DELETE', pathOf(room)))).toEqual([404, 'not-found'])
  expect(codeOf(await connect(app, { protocols: ['turnpike.v1', `turnpike.resume.${String(a.welcome['resume'])}`] }))).toEqual([404, 'session-unknown'])
  expect((await joinAs(app, room, 'a')).welcome['peers']).toEqual([])
})

test('a kicked peer is out at once and cannot come back with its token; with a new one it can', async () => {
  const room = newRoom()
  const token = await tokenFor(app, room, { peer: 'b', ttl: 600 })
  const [a, b] = [await joinAs(app, room, 'a'), await connect(app, { token }) as Peer]
  expect((await call('DELETE', `${pathOf(room)}/peers/b`)).body).toEqual({ allocationsClosed: 0, tokenRevoked: true })
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'kicked' })
  expect(await b.next('error')).toMatchObject({ code: 'kicked' })
  expect(await closed(b)).toBe(4003)
  expect(codeOf(await connect(app, { token }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { protocols: ['turnpike.v1', `turnpike.resume.${String(b.welcome['resume'])}`, `turnpike.token.${token}`] }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'b' }) }))).toBe('joined')
  const lost = await joinAs(app, room, 'c')
  lost.socket.terminate()
  await until('c is lost', async () => ((await call('GET', pathOf(room))).body['peers'] as { connected: boolean }[]).some(({ connected }) => !connected))
  expect((await call('DELETE', `${pathOf(room)}/peers/c`)).status).toBe(200)
  expect(await a.next('peer-left')).toMatchObject({ id: 'c', reason: 'kicked' })
  expect(refusal(await call('DELETE', `${pathOf(room)}/peers/c`))).toEqual([404, 'not-found'])
  expect(refusal(await call('DELETE', `${pathOf('nobody is here')}/peers/c`))).toEqual([404, 'not-found'])
})

test('the webhook is told of a room in its order: who came, who was sent out and by whom, and the end', async () => {
  const [room, receiver] = [newRoom(), await startReceiver()]
  const key = await otherProject({ webhook: receiver.url })
  const tokenOf = async (peer: string): Promise<string> => String((await call('POST', `${pathOf(room)}/tokens`, { peer }, key)).body['token'])
  const a = await connect(app, { token: await tokenOf('a') }) as Peer
  await connect(app, { token: await tokenOf('b') })
  await call('DELETE', `${pathOf(room)}/peers/b`, undefined, key)
  await a.next('peer-left')
  a.send({ type: 'leave' })
  await until('the end is told', () => receiver.taken.some(({ event }) => event.type === 'room.ended'))
  const session = String(a.welcome['session'])
  expect(receiver.taken.map(({ event: { id: _, at: _at, project: _project, ...rest } }) => rest)).toEqual([
    { type: 'room.started', room, kind: 'mesh' },
    { type: 'peer.joined', room, peer: 'a', role: null, session },
    { type: 'peer.joined', room, peer: 'b', role: null, session: expect.stringMatching(/^s_/) },
    { type: 'peer.kicked', room, peer: 'b', by: `key:${key.split('_')[1]}` },
    { type: 'peer.left', room, peer: 'b', reason: 'kicked', session: expect.stringMatching(/^s_/) },
    { type: 'peer.left', room, peer: 'a', reason: 'left', session },
    { type: 'room.ended', room, kind: 'mesh' },
  ])
})

test('a kick cuts what the peer relays and what it begins with old credentials; with a new token it relays again, in the same second', async () => {
  const relaying = await startApp()
  const token = await tokenFor(relaying, 'lobby', { peer: 'mallory' })
  const [alice, mallory] = [await joinAs(relaying, 'lobby', 'alice'), await connect(relaying, { token }) as Peer]
  const turnOf = (peer: Peer): { username: string, credential: string } => (peer.welcome['iceServers'] as { username?: string, credential?: string }[]).find(({ username }) => username !== undefined) as { username: string, credential: string }
  const old = turnOf(mallory)
  await allocated(relayPort(relaying), old)
  await allocated(relayPort(relaying), turnOf(alice))
  await untilLive(relaying, 2)
  const kicked = await relaying.request('/v1/rooms/lobby/peers/mallory', { method: 'DELETE' })
  expect([kicked.status, kicked.body]).toEqual([200, { allocationsClosed: 1, tokenRevoked: true }])
  expect(await untilLive(relaying, 1)).toMatchObject([{ user: 'alice' }])
  const back = await connect(relaying, { token: await tokenFor(relaying, 'lobby', { peer: 'mallory' }) }) as Peer
  const fresh = turnOf(back)
  expect(Number(fresh.username.split(':')[0])).toBeGreaterThan(Number(old.username.split(':')[0]))
  await allocated(relayPort(relaying), fresh)
  await untilLive(relaying, 2)
  // coturn cannot know: it says yes, and the allocation is gone at once.
  await allocate(relayPort(relaying), old)
  await until('the old one was seen and cut', async () => /turnpike_relay_cuts_total\{[^}]*reason="revoked"\} 2/.test(await (await fetch(relaying.metricsUrl())).text()))
  expect((await untilLive(relaying, 2)).map(({ user }) => user).sort()).toEqual(['alice', 'mallory'])
  expect((await relaying.request('/v1/turn/revocations')).body['revocations']).toMatchObject([{ kind: 'peer', subject: expect.stringMatching(/^default\.mallory\.[0-9a-f]{12}\.lobby$/) }])
  expect((await relaying.request('/v1/rooms/lobby/peers/mallory', { method: 'DELETE' })).body).toMatchObject({ allocationsClosed: 1 })
  expect(await untilLive(relaying, 1)).toMatchObject([{ user: 'alice' }])
  expect(await liveAllocations(relaying, '?room=lobby')).toHaveLength(1)
})

test('a peer whose id is no TURN user loses its credentials too', async () => {
  const relaying = await startApp()
  const robot = await joinAs(relaying, 'field', 'robot,7 ü')
  const [, turn] = robot.welcome['iceServers'] as { username: string, credential: string }[]
  await allocated(relayPort(relaying), turn as { username: string, credential: string })
  await untilLive(relaying, 1)
  expect((await relaying.request(`/v1/rooms/field/peers/${encodeURIComponent('robot,7 ü')}`, { method: 'DELETE' })).body).toEqual({ allocationsClosed: 1, tokenRevoked: true })
  await untilLive(relaying, 0)
})

test('a peer whose session was taken up after a restart is shown since it joined, and a kick ends what it was issued before', async () => {
  const first = await startApp()
  const robot = await connect(first, { token: await tokenFor(first, 'field', { peer: 'robot' }), query: '?ack=0' }) as Peer
  const { since } = ((await first.request('/v1/rooms/field')).body['peers'] as { since: number }[])[0] ?? { since: 0 }
  await first.stop(2000)
  const next = await startApp(first.env)
  const at = async (method: string, path: string) => await next.request(path, { method, key: first.apiKey })
  expect((await at('GET', '/v1/rooms/field')).body).toMatchObject({ peers: [{ id: 'robot', session: robot.welcome['session'], since, connected: false }] })
  expect((await at('DELETE', '/v1/rooms/field/peers/robot')).body).toEqual({ allocationsClosed: 0, tokenRevoked: true })
  const expiry = Number(robot.welcome['iceExpiresAt'])
  expect((await at('GET', '/v1/turn/revocations')).body['revocations']).toMatchObject([{ kind: 'peer', until: expiry + 60 }])
})

test('a kick that cannot be written down happens all the same, and the answer says so', async () => {
  const room = newRoom()
  const [a, b] = [await joinAs(app, room, 'a'), await joinAs(app, room, 'b')]
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { timeout: 5000 })
  database.exec('BEGIN IMMEDIATE')
  expect(refusal(await call('DELETE', `${pathOf(room)}/peers/b`))).toEqual([503, 'store-unwritable'])
  // A room is closed with its entry in the audit log, or not at all.
  expect(refusal(await call('DELETE', pathOf(room)))).toEqual([503, 'store-unwritable'])
  database.exec('ROLLBACK')
  database.close()
  expect(await closed(b)).toBe(4003)
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'kicked' })
  expect((await call('GET', pathOf(room))).body).toMatchObject({ peerCount: 1 })
})

test('the application says something to one or to all, and is told to how many', async () => {
  const room = newRoom()
  const [a, b] = [await joinAs(app, room, 'a'), await joinAs(app, room, 'b')]
  expect((await call('POST', `${pathOf(room)}/messages`, { data: { notice: 'soon' } })).body).toEqual({ peers: 2 })
  for (const peer of [a, b]) expect(await peer.next('message')).toEqual({ type: 'message', seq: expect.any(Number), data: { notice: 'soon' } })
  expect((await call('POST', `${pathOf(room)}/messages`, { data: null, to: 'b' })).body).toEqual({ peers: 1 })
  expect(await b.next('message')).toMatchObject({ data: null })
  expect(a.frames.filter(({ type }) => type === 'message')).toHaveLength(1)
  expect(refusal(await call('POST', `${pathOf(room)}/messages`, { data: 1, to: 'c' }))).toEqual([404, 'peer-unavailable'])
  expect(refusal(await call('POST', `${pathOf('nobody is here')}/messages`, { data: 1 }))).toEqual([404, 'not-found'])
  expect(refusal(await call('POST', `${pathOf(room)}/messages`, { to: 'b' }))).toEqual([400, 'invalid-request', 'data'])
  expect(refusal(await call('POST', `${pathOf(room)}/messages`, { data: 'x'.repeat(1100) }))).toEqual([413, 'frame-too-large'])
  const deep = { method: 'POST', body: `{"data":${'['.repeat(30_000)}${']'.repeat(30_000)}}` }
  expect(refusal(await app.request(`${pathOf(room)}/messages`, deep))).toEqual([400, 'invalid-request', 'data'])
  expect(refusal(await app.request(`${pathOf(room)}/messages`, { ...deep, headers: { 'idempotency-key': 'deep' } }))).toEqual([400, 'invalid-request', 'data'])
})

test('what is said while a socket is lost arrives when the peer is back, in its place', async () => {
  const room = newRoom()
  const a = await joinAs(app, room, 'a')
  expect((await call('POST', `${pathOf(room)}/messages`, { data: 1 })).body).toEqual({ peers: 1 })
  expect(await a.next('message')).toMatchObject({ seq: 1 })
  a.socket.terminate()
  await until('a is lost', async () => ((await call('GET', pathOf(room))).body['peers'] as { connected: boolean }[])[0]?.connected === false)
  expect((await call('POST', `${pathOf(room)}/messages`, { data: 2, to: 'a' })).body).toEqual({ peers: 1 })
  const back = await connect(app, { protocols: ['turnpike.v1', `turnpike.resume.${String(a.welcome['resume'])}`], query: '?ack=1' }) as Peer
  expect(back.welcome['resumed']).toBe(true)
  expect(await back.next('message')).toEqual({ type: 'message', seq: 2, data: 2 })
})

test('a room made ahead: tokens have its kind and capacity, its metadata is in the welcome, and it stays while it is empty, over a restart too', async () => {
  const first = await startApp({}, { programPath: [] })
  const at = async (path: string, method = 'GET', body?: object, on = first, key = first.apiKey) => await on.request(path, { method, key, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const made = await at('/v1/rooms/standup', 'PUT', { kind: 'topic', capacity: 3, metadata: { title: 'Standup' } })
  expect([made.status, made.body]).toEqual([201, { id: 'standup', kind: 'topic', capacity: 3, metadata: { title: 'Standup' }, peerCount: 0, since: null, madeAhead: true }])
  expect(refusal(await at('/v1/rooms/standup/tokens', 'POST', { peer: 'a' }))).toEqual([400, 'invalid-request', 'role'])
  const a = await joinAs(first, 'standup', 'a', { role: 'publisher' })
  expect(a.welcome['room']).toEqual({ id: 'standup', kind: 'topic', capacity: 3, metadata: { title: 'Standup' } })
  expect(codeOf(await connect(first, { token: await tokenFor(first, 'standup', { peer: 'b', kind: 'mesh' }) }))).toEqual([409, 'room-mode-conflict'])
  expect(codeOf(await connect(first, { token: await tokenFor(first, 'standup', { peer: 'b', role: 'subscriber', capacity: 4 }) }))).toEqual([409, 'room-mode-conflict'])
  const refused = await at('/v1/rooms/standup', 'PUT', { kind: 'mesh', capacity: 4 })
  expect([...refusal(refused) as unknown[], refused.body['detail']]).toEqual([409, 'room-mode-conflict', 'kind', 'capacity', 'kind is topic while peers are in the room; capacity is 3 while peers are in the room: name what it has, or close it first'])
  expect(refusal(await at('/v1/rooms/standup', 'PUT', { kind: 'topic', capacity: 4 }))).toEqual([409, 'room-mode-conflict', 'capacity'])
  const changed = await at('/v1/rooms/standup', 'PUT', { kind: 'topic', capacity: 3, metadata: { title: 'Retro' } })
  expect([changed.status, changed.body['metadata']]).toEqual([200, { title: 'Retro' }])
  expect((await joinAs(first, 'standup', 'b', { role: 'subscriber' })).welcome['room']).toMatchObject({ metadata: { title: 'Retro' } })
  await a.close()
  await first.stop(2000)
  const next = await startApp(first.env, { programPath: [] })
  expect((await at('/v1/rooms/standup', 'GET', undefined, next)).body).toMatchObject({ kind: 'topic', capacity: 3, metadata: { title: 'Retro' }, madeAhead: true })
  expect((await at('/v1/rooms/standup', 'DELETE', undefined, next)).body).toEqual({ peersClosed: expect.any(Number) })
  expect(refusal(await at('/v1/rooms/standup', 'GET', undefined, next))).toEqual([404, 'not-found'])
  expect(refusal(await at('/v1/rooms/standup/tokens', 'POST', { peer: 'a' }, next))).toEqual([201, undefined])
})

test('a room whose capacity is cut by the quota of its project can be made again as it was, with peers in it', async () => {
  const room = pathOf(newRoom())
  const key = await otherProject({ quotas: { roomCapacity: 3 } })
  const put = async (body: object): Promise<Awaited<ReturnType<typeof call>>> => await call('PUT', room, body, key)
  expect((await put({ capacity: 12 })).body).toMatchObject({ capacity: 12, peerCount: 0 })
  const token = String((await call('POST', `${room}/tokens`, { peer: 'a' }, key)).body['token'])
  expect((await connect(app, { token }) as Peer).welcome['room']).toMatchObject({ capacity: 3 })
  expect((await put({ capacity: 12, metadata: { n: 1 } })).body).toMatchObject({ capacity: 3, metadata: { n: 1 }, peerCount: 1 })
  expect((await put({ metadata: { n: 2 } })).body).toMatchObject({ capacity: 3, metadata: { n: 2 } })
  expect((await put({ capacity: 3 })).status).toBe(200)
  const refused = await put({ capacity: 2 })
  expect([...refusal(refused) as unknown[], refused.body['detail']]).toEqual([409, 'room-mode-conflict', 'capacity', 'capacity is 3 while peers are in the room: name what it has, or close it first'])
})

test('the exchange that docs/rooms.md shows goes as it stands there', async () => {
  const page = readFileSync('docs/rooms.md', 'utf8')
  const [make, invite, look] = [...page.matchAll(/```sh\n(curl [^]*?)```\n\n```json\n([^]*?)```/g)].map(([, command = '', answer = '']) => {
    const typed = command.replace('http://localhost:8080', app.url())
    const said = async (): Promise<object> => JSON.parse((await promisify(execFile)('bash', ['-c', typed], { env: { PATH: process.env['PATH'], TURNPIKE_API_KEY: app.apiKey } })).stdout) as object
    return { said, answer: JSON.parse(answer) as object }
  })
  if (make === undefined || invite === undefined || look === undefined) throw new Error('docs/rooms.md shows no three commands with their answers')
  expect(await make.said()).toEqual(make.answer)
  const invited = await invite.said() as { token: string, tokenId: string }
  expect(invited).toEqual({ ...invite.answer, token: expect.stringMatching(/^eyJhbGciOiJIUzI1NiIs/), tokenId: expect.stringMatching(/^[\w-]{12}$/), url: `${app.url().replace('http', 'ws')}/v1/signal`, expiresAt: expect.any(Number) })
  const alice = await connect(app, { token: invited.token }) as Peer
  const { peers: [shown = {}] = [], ...room } = look.answer as { peers?: object[] }
  const there = { ...shown, session: alice.welcome['session'], since: expect.any(Number), roundTripMs: expect.toBeOneOf([null, expect.any(Number)]) }
  expect(await look.said()).toEqual({ ...room, since: expect.any(Number), peers: [there] })
})

test('what cannot be a room is refused, field by field', async () => {
  const room = pathOf(newRoom())
  expect(refusal(await call('PUT', room, { kind: 'circle' }))).toEqual([400, 'invalid-request', 'kind'])
  expect(refusal(await call('PUT', room, { capacity: 0 }))).toEqual([400, 'invalid-request', 'capacity'])
  expect(refusal(await call('PUT', room, { kind: 'pair', capacity: 3 }))).toEqual([400, 'invalid-request', 'capacity'])
  expect(refusal(await call('PUT', room, { metadata: [] }))).toEqual([400, 'invalid-request', 'metadata'])
  expect(refusal(await call('PUT', room, { color: 'red' }))).toEqual([400, 'invalid-request', 'color'])
  expect(refusal(await call('PUT', room, { metadata: { x: 'y'.repeat(300) } }))).toEqual([413, 'metadata-too-large'])
  expect(refusal(await call('PUT', pathOf('a/b'), {}))).toEqual([400, 'invalid-request', 'room'])
  expect(refusal(await call('PUT', pathOf('x'.repeat(129)), {}))).toEqual([400, 'invalid-request', 'room'])
  expect((await call('PUT', room)).body).toMatchObject({ kind: 'mesh', capacity: 50 })
  expect((await call('PUT', pathOf(newRoom()), { kind: 'pair' })).body).toMatchObject({ capacity: 2 })
  expect((await call('PUT', pathOf(newRoom()), { kind: 'topic' })).body).toMatchObject({ capacity: 1000 })
})

test('rooms made ahead are as many as a project may have rooms, and go with the project', async () => {
  const key = await otherProject({ quotas: { rooms: 2 } })
  const project = `p${rooms}`
  for (const id of ['a', 'b']) await call('PUT', pathOf(id), {}, key)
  expect(refusal(await call('PUT', pathOf('c'), {}, key))).toEqual([503, 'too-many-rooms'])
  expect((await call('PUT', pathOf('b'), { capacity: 7 }, key)).status).toBe(200)
  await call('PUT', '/v1/topics/t/publishers/robot', { lease: 3600 }, key)
  await call('DELETE', `/v1/projects/${project}`, undefined, app.adminKey)
  await call('POST', '/v1/projects', { id: project }, app.adminKey)
  const newKey = String((await call('POST', `/v1/projects/${project}/keys`, {}, app.adminKey)).body['key'])
  expect((await call('GET', '/v1/rooms', undefined, newKey)).body).toEqual({ rooms: [], total: 0, next: null })
  expect((await call('GET', '/v1/topics/t/publishers', undefined, newKey)).body).toEqual({ entries: [], next: null })
})

test('a key sees and touches the rooms of its own project alone, and needs the scope', async () => {
  const room = newRoom()
  const a = await joinAs(app, room, 'a')
  const foreign = await otherProject()
  expect((await call('GET', '/v1/rooms', undefined, foreign)).body).toEqual({ rooms: [], total: 0, next: null })
  for (const [method, path, body] of [['GET', ''], ['DELETE', ''], ['DELETE', '/peers/a'], ['POST', '/messages', { data: 1 }], ['GET', '?project=default'], ['PUT', '?project=default', {}], ['GET', '?project=nobodys']] as const) {
    expect(refusal(await call(method, pathOf(room) + path, body, foreign)), `${method} ${path}`).toEqual([404, 'not-found'])
  }
  expect(refusal(await call('GET', '/v1/rooms?project=nobodys', undefined, app.adminKey))).toEqual([404, 'not-found'])
  expect((await call('GET', `${pathOf(room)}?project=default`, undefined, app.adminKey)).status).toBe(200)
  const narrow = String((await call('POST', '/v1/projects/default/keys', { scopes: ['rooms:token'] }, app.adminKey)).body['key'])
  expect(refusal(await call('GET', '/v1/rooms', undefined, narrow))).toEqual([403, 'forbidden'])
  expect(a.closed).toBeNull()
})

test('making, closing and kicking are in the audit log', async () => {
  const room = newRoom()
  await call('PUT', pathOf(room), { capacity: 5 })
  await joinAs(app, room, 'a')
  await call('DELETE', `${pathOf(room)}/peers/a`)
  await call('DELETE', pathOf(room))
  const { entries } = (await call('GET', '/v1/audit?limit=3', undefined, app.adminKey)).body as { entries: { action: string, target: string, detail: object, actor: string }[] }
  expect(entries.map(({ action, target, detail }) => [action, target, detail])).toEqual([['room.close', room, {}], ['peer.kick', 'a', { room }], ['room.make', room, { fields: ['capacity'] }]])
  expect(entries[0]?.actor).toMatch(/^key:[0-9a-f]{12}$/)
})

test('the same on the command line', async () => {
  const env = { TURNPIKE_DATA_DIR: scratchDirectory(), TURNPIKE_API_KEY: (await otherProject()) }
  const at = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await runHere(env, ...args, '--url', app.url())
    expect(code, err).toBe(0)
    return out
  }
  expect(await at('rooms', 'make', 'my room', '--kind', 'pair', '--metadata', '{"title":"Ours"}')).toBe('my room is pair for 2\n')
  expect(await at('rooms', 'list')).toMatch(/ID +KIND[^\n]*\nmy room +pair +0 +2 +- +yes\n/)
  const issued = (await call('POST', '/v1/rooms/my%20room/tokens', { peer: 'a' }, env.TURNPIKE_API_KEY)).body
  const a = await connect(app, { token: String(issued['token']) }) as Peer
  expect(await at('rooms', 'show', 'my room')).toMatch(/^pair for 2, metadata \{"title":"Ours"\}\nPEER[^\n]*\na +- +open +127\.0\.0\.1 /)
  expect(await at('rooms', 'say', 'my room', 'hello all')).toBe('said to 1\n')
  expect(await a.next('message')).toMatchObject({ data: 'hello all' })
  expect(await at('rooms', 'say', 'my room', '{"n":1}', '--to', 'a')).toBe('said to 1\n')
  expect(await a.next('message')).toMatchObject({ data: { n: 1 } })
  expect(await at('rooms', 'kick', 'my room', 'a')).toBe('sent out; 0 live allocations were cut\n')
  expect(await at('rooms', 'close', 'my room')).toBe('closed; 0 peers were sent away\n')
  expect(await at('rooms', 'list')).toBe('none\n')
  expect(await runHere(env, 'rooms', 'show', 'my room', '--url', app.url())).toMatchObject({ code: 65, err: expect.stringContaining('[not-found]') })
  expect(await runHere(env, 'rooms', 'make', 'x', '--metadata', '5', '--url', app.url())).toMatchObject({ code: 64, err: expect.stringContaining('no JSON object') })
  expect(await runHere(env, 'rooms', 'make', 'x', '--capacity', 'many', '--url', app.url())).toMatchObject({ code: 65, err: expect.stringContaining('capacity') })
})
