import jwt from 'jsonwebtoken'
import { generateKeyPairSync } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { connect, joinAs, tokenFor, type Peer, type Refused } from '../kit/peer.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp({ TURNPIKE_HTTP_ALLOWED_ORIGINS: 'https://app.example', TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '50', TURNPIKE_SIGNALING_GRACE_SECONDS: '1', TURNPIKE_SIGNALING_MAILBOX_SECONDS: '0' }) })

let rooms = 0
const newRoom = (): string => `room ${++rooms}`
const codeOf = (outcome: Peer | Refused): unknown => ('status' in outcome ? [outcome.status, outcome.body['code']] : 'joined')

test('a welcome says who is there, who yields, and which ICE servers to use', async () => {
  const room = newRoom()
  const alice = await joinAs(app, room, 'alice', { role: 'robot', metadata: { battery: 80 } })
  const bob = await joinAs(app, room, 'bob')
  expect(alice.socket.protocol).toBe('turnpike.v1')
  expect(bob.welcome).toMatchObject({
    type: 'welcome',
    self: { id: 'bob', role: null, metadata: {} },
    room: { id: room, capacity: 50, kind: 'mesh', metadata: {} },
    peers: [{ id: 'alice', role: 'robot', metadata: { battery: 80 }, polite: false }],
    heartbeat: 10,
    grace: 1,
    resumed: false,
    accepted: null,
    delivered: null,
  })
  const ice = bob.welcome['iceServers'] as { urls: string[], username?: string }[]
  expect(ice.map(({ urls }) => urls[0]?.split(':')[0])).toEqual(['stun', 'turn'])
  expect(ice[1]?.username).toMatch(/:default\.bob\.[0-9a-f]{12}\.~cm9vbSAx$/)
  expect(Number(bob.welcome['iceExpiresAt'])).toBeGreaterThan(Date.now() / 1000 + 3000)
  expect(await alice.next('peer-joined')).toMatchObject({ seq: 1, peer: { id: 'bob', polite: true } })
})

test('signals go to one, or to all others, byte for byte, and are accepted', async () => {
  const room = newRoom()
  const [a, b, c] = [await joinAs(app, room, 'a'), await joinAs(app, room, 'b'), await joinAs(app, room, 'c')]
  const data = '{ "sdp":"v=0\\r\\n\\u00e9 \\ud83d\\ude00", "n":12345678901234567890.10,"b":{"data":[1, 2]} }'
  a.send(`{"type":"signal","cid":5,"data":${data},"to":"b"}`)
  await b.next('signal')
  expect(b.texts.at(-1)).toBe(`{"type":"signal","seq":2,"from":"a","data":${data}}`)
  expect(await a.next('accepted')).toEqual({ type: 'accepted', ref: 5 })
  a.send({ type: 'signal', to: '*', data: null, ack: 1 })
  expect(await b.next('signal')).toMatchObject({ from: 'a', data: null })
  expect(await c.next('signal')).toMatchObject({ from: 'a', data: null })
  expect(c.frames.filter(({ type }) => type === 'signal')).toHaveLength(1)
  expect(a.frames.filter(({ type }) => type === 'signal')).toEqual([])
})

test('10,000 frames from one to another arrive in their order', async () => {
  const many = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '100000' })
  const [a, b] = [await joinAs(many, 'r', 'a'), await joinAs(many, 'r', 'b')]
  for (let i = 0; i < 10_000; i++) a.send({ type: 'signal', to: 'b', data: i })
  await until('all of them', () => b.frames.length === 10_001, 20_000)
  expect(b.frames.slice(1).map(({ data }) => data)).toEqual(Array.from({ length: 10_000 }, (_, i) => i))
  expect(b.frames.at(-1)?.['seq']).toBe(10_000)
})

test('update tells the others, leave and a lost socket are told apart', async () => {
  const room = newRoom()
  const [a, b, c] = [await joinAs(app, room, 'a'), await joinAs(app, room, 'b'), await joinAs(app, room, 'c')]
  b.send({ type: 'update', cid: 0, metadata: { ready: true } })
  expect(await a.next('peer-updated')).toMatchObject({ peer: { id: 'b', metadata: { ready: true }, polite: true } })
  expect(await b.next('accepted')).toEqual({ type: 'accepted', ref: 0 })
  b.send({ type: 'leave' })
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'left' })
  await until('b is closed', () => b.closed !== null)
  expect(b.closed?.code).toBe(1000)
  c.socket.terminate()
  expect(await a.next('peer-left')).toMatchObject({ id: 'c', reason: 'lost' })
})

test('rooms of the same name in two projects never meet', async () => {
  const room = newRoom()
  const a = await joinAs(app, room, 'a')
  const call = await app.request(`/call/${encodeURIComponent(room)}/token`, { method: 'POST', body: '{"name":"Visitor"}', key: null })
  const visitor = await connect(app, { token: String(call.body['token']) }) as Peer
  expect(visitor.welcome['peers']).toEqual([])
  expect(visitor.welcome['self']).toMatchObject({ metadata: { name: 'Visitor' } })
  visitor.send({ type: 'signal', to: 'a', cid: 1, data: 1 })
  expect(await visitor.next('error')).toMatchObject({ code: 'peer-unavailable', ref: 1 })
  expect(a.frames).toHaveLength(1)
})

test('joining is refused with an HTTP status and a reason', async () => {
  const room = newRoom()
  const token = await tokenFor(app, room, { peer: 'x' })
  const changed = token.split('.')
  changed[1] = Buffer.from(JSON.stringify({ ...jwt.decode(token) as object, room: 'another' })).toString('base64url')
  const signed = (claims: object, options: jwt.SignOptions = {}): string => jwt.sign({ ...jwt.decode(token) as object, ...claims }, 'not-the-key', { algorithm: 'HS256', keyid: jwt.decode(token, { complete: true })?.header.kid ?? '', ...options })
  const none = `${Buffer.from(JSON.stringify({ alg: 'none', kid: jwt.decode(token, { complete: true })?.header.kid })).toString('base64url')}.${changed[1]}.`
  expect(codeOf(await connect(app, { protocols: ['turnpike.v1'] }))).toEqual([401, 'token-missing'])
  expect(codeOf(await connect(app, { token: 'garbage' }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { token: changed.join('.') }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { token: signed({}) }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { token: signed({}, { keyid: 'unknown' }) }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { token: none }))).toEqual([401, 'token-invalid'])
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const rsa = jwt.sign(jwt.decode(token) as object, privateKey, { algorithm: 'RS256', keyid: jwt.decode(token, { complete: true })?.header.kid ?? '' })
  expect(codeOf(await connect(app, { token: rsa }))).toEqual([401, 'token-invalid'])
  expect(codeOf(await connect(app, { token, query: '?room=elsewhere' }))).toEqual([403, 'room-mismatch'])
  expect(codeOf(await connect(app, { token, headers: { origin: 'https://evil.example' } }))).toEqual([403, 'origin-not-allowed'])
  expect(codeOf(await connect(app, { token, headers: { origin: 'https://app.example' } }))).toBe('joined')
  expect(codeOf(await connect(app, { token }))).toEqual([409, 'peer-id-taken'])
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'y', capacity: 3 }) }))).toEqual([409, 'room-mode-conflict'])
  const plain = await app.request('/v1/signal')
  expect([plain.status, plain.body['code']]).toEqual([426, 'upgrade-required'])
})

test('a token in the address works, for clients that cannot offer subprotocols', async () => {
  const token = await tokenFor(app, newRoom(), { peer: 'robot' })
  expect(codeOf(await connect(app, { protocols: [], query: `?token=${token}` }))).toBe('joined')
})

test('an expired token says how late it is, by which clock', async () => {
  let shift = 0
  const late = await startApp({}, { nowSeconds: () => Math.floor(Date.now() / 1000) + shift })
  const token = await tokenFor(late, 'r', { peer: 'a', ttl: 10 })
  shift = 14
  expect(codeOf(await connect(late, { token }))).toBe('joined')
  shift = 300
  const refused = await connect(late, { token }) as Refused
  expect([refused.status, refused.body['code']]).toEqual([401, 'token-expired'])
  expect(refused.body['detail']).toMatch(/expired 29\d s ago by this server's clock/)
})

test('capacity, takeover, permissions', async () => {
  const room = newRoom()
  const a = await joinAs(app, room, 'a', { capacity: 2 })
  const b = await joinAs(app, room, 'b', { capacity: 2, permissions: { signal: false, update: false } })
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'c', capacity: 2 }) }))).toEqual([503, 'room-full'])
  b.send({ type: 'signal', cid: 1, to: 'a', data: 1 })
  expect(await b.next('error')).toMatchObject({ ref: 1, code: 'not-permitted' })
  b.send({ type: 'update', cid: 2, metadata: {} })
  expect(await b.next('error')).toMatchObject({ ref: 2, code: 'not-permitted' })
  const again = await joinAs(app, room, 'b', { capacity: 2, takeover: true })
  await until('the older one is closed', () => b.closed !== null)
  expect(b.closed?.code).toBe(4001)
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'replaced' })
  expect(await a.next('peer-joined')).toMatchObject({ peer: { id: 'b' } })
  again.send({ type: 'signal', cid: 3, to: 'a', data: 1 })
  expect(await a.next('signal')).toMatchObject({ from: 'b' })
})

const FRAMES: [string, object | string, string, number | null][] = [
  ['an unknown type', { type: 'dance', cid: 1 }, 'frame-unknown', 1],
  ['no type', { cid: 2 }, 'frame-unknown', 2],
  ['a type of the prototype', { type: 'constructor' }, 'frame-unknown', null],
  ['to nobody', { type: 'signal', cid: 3, to: 'nobody', data: 1 }, 'peer-unavailable', 3],
  ['to oneself', { type: 'signal', cid: 4, to: 'a', data: 1 }, 'peer-unavailable', 4],
  ['no to', { type: 'signal', cid: 5, data: 1 }, 'frame-invalid', 5],
  ['no data', { type: 'signal', cid: 6, to: '*' }, 'frame-invalid', 6],
  ['a cid that is text', { type: 'signal', cid: 'x', to: '*', data: 1 }, 'frame-invalid', null],
  ['a negative ack', { type: 'signal', ack: -1, to: '*', data: 1 }, 'frame-invalid', null],
  ['an ack without seq', { type: 'ack' }, 'frame-invalid', null],
  ['metadata that is a list', { type: 'update', cid: 7, metadata: [] }, 'frame-invalid', 7],
  ['metadata of 3 kB', { type: 'update', cid: 8, metadata: { x: 'y'.repeat(3000) } }, 'metadata-too-large', 8],
]

test.each(FRAMES)('%s is an error that names the frame, and the socket stays', async (_name, frame, code, ref) => {
  const a = await joinAs(app, newRoom(), 'a')
  a.send(frame)
  expect(await a.next('error')).toMatchObject({ code, ref })
  a.send({ type: 'signal', cid: 99, to: '*', data: 1 })
  expect(await a.next('accepted')).toMatchObject({ ref: 99 })
})

test.each([
  ['70 kB', JSON.stringify({ type: 'signal', to: '*', data: 'x'.repeat(70_000) }), 1009],
  ['a binary frame', Buffer.from('{"type":"leave"}'), 4008],
  ['invalid JSON', '{"type":', 4008],
  ['a list', '[]', 4008],
])('%s ends the socket with %i, and nobody else\'s', async (_name, frame, code) => {
  const room = newRoom()
  const [a, b] = [await joinAs(app, room, 'a'), await joinAs(app, room, 'b')]
  a.send(frame as string)
  await until('the close', () => a.closed !== null)
  expect(a.closed?.code).toBe(typeof code === 'number' ? code : 0)
  expect(await b.next('peer-left')).toMatchObject({ id: 'a' })
  b.send({ type: 'signal', cid: 1, to: '*', data: 1 })
  expect(await b.next('accepted')).toMatchObject({ ref: 1 })
  const [counted] = { 1009: ['frame-too-large'], 4008: ['frame-binary', 'frame-not-json'] }[Number(code)] ?? []
  const metrics = await (await fetch(app.metricsUrl())).text()
  expect(metrics).toContain(`turnpike_signaling_errors_total{code="${counted}"}`)
})

test('10,000 frames in a second: limited with the frame named, then closed; others are not slowed', async () => {
  const room = newRoom()
  const [flooder, a, b] = [await joinAs(app, room, 'flooder'), await joinAs(app, room, 'a'), await joinAs(app, room, 'b')]
  for (let i = 0; i < 10_000; i++) flooder.send({ type: 'signal', cid: i, to: 'a', data: i })
  const started = performance.now()
  b.send({ type: 'signal', cid: 1, to: 'a', data: 'hello' })
  await until('the other is heard', () => a.frames.some(({ from }) => from === 'b'))
  expect(performance.now() - started).toBeLessThan(1000)
  await until('the flooder is closed', () => flooder.closed !== null)
  expect(flooder.closed?.code).toBe(4129)
  expect(flooder.frames.filter(({ code }) => code === 'rate-limited').length).toBeGreaterThan(100)
  expect(flooder.frames.find(({ code }) => code === 'rate-limited')?.['ref']).toBeGreaterThanOrEqual(200)
  expect(a.frames.filter(({ from }) => from === 'flooder').length).toBeLessThan(300)
  expect((await app.request('/healthz')).status).toBe(200)
})

/** Joins over a TCP socket of the test's own, which can stop reading and ignore pings. */
async function rawPeer (token: string): Promise<ReturnType<typeof connectTcp>> {
  const { port } = new URL(app.url())
  const socket = connectTcp({ host: '127.0.0.1', port: Number(port) })
  socket.on('error', () => {})
  socket.write(`GET /v1/signal HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: turnpike.v1, turnpike.token.${token}\r\n\r\n`)
  await new Promise(resolve => socket.once('data', resolve))
  return socket
}

test('a socket that never reads is closed when too much waits for it; others go on', async () => {
  const wide = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '100000' })
  const [a, b] = [await joinAs(wide, 'r', 'a'), await joinAs(wide, 'r', 'b')]
  const before = app
  app = wide
  const deaf = await rawPeer(await tokenFor(wide, 'r', { peer: 'deaf' }))
  app = before
  deaf.pause()
  await a.next('peer-joined')
  const data = 'x'.repeat(30_000)
  const isOut = (): boolean => b.frames.some(({ type, id }) => type === 'peer-left' && id === 'deaf')
  for (let sent = 0; sent < 2000 && !isOut(); sent += 5) {
    for (let i = 0; i < 5; i++) a.send({ type: 'signal', to: '*', data })
    await until('the reader keeps up', () => b.frames.filter(({ type }) => type === 'signal').length === sent + 5)
  }
  await until('the deaf one is out', isOut)
  a.send({ type: 'signal', to: 'b', data: 'still here' })
  await until('others go on', () => b.frames.some(frame => frame['data'] === 'still here'), 20_000)
  const metrics = await (await fetch(wide.metricsUrl())).text()
  expect(metrics).toMatch(/turnpike_signaling_closes_total\{code="4108"\} 1/)
  expect(metrics).toMatch(/turnpike_signaling_errors_total\{code="too-slow"\} 1/)
  deaf.destroy()
})

test('a socket that answers no pings is found', async () => {
  const quick = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1', TURNPIKE_SIGNALING_GRACE_SECONDS: '1' })
  const a = await joinAs(quick, 'r', 'a')
  const before = app
  app = quick
  const dead = await rawPeer(await tokenFor(quick, 'r', { peer: 'dead' }))
  app = before
  await a.next('peer-joined')
  expect(await a.next('peer-left')).toMatchObject({ id: 'dead', reason: 'lost' })
  dead.destroy()
  expect(await (await fetch(quick.metricsUrl())).text()).toContain('turnpike_signaling_errors_total{code="heartbeat-lost"} 1')
  expect(a.closed).toBeNull()
}, 20_000)

test('ICE servers are replaced before they expire', async () => {
  const short = await startApp({ TURNPIKE_CREDENTIALS_TTL_SECONDS: '60' })
  const a = await joinAs(short, 'r', 'a')
  expect(a.frames).toHaveLength(1)
  let shift = 0
  const later = await startApp({ TURNPIKE_CREDENTIALS_TTL_SECONDS: '60' }, { nowSeconds: () => Math.floor(Date.now() / 1000) + shift })
  const b = await joinAs(later, 'r', 'b')
  shift = 46
  const pushed = await b.next('ice-servers')
  expect(pushed).toMatchObject({ seq: 1, iceServers: [{ urls: [expect.stringMatching(/^stun:/)] }, { username: expect.stringMatching(/:default\.b\.[0-9a-f]{12}(\.~?[\w-]+)?$/) }] })
  expect(Number(pushed['iceExpiresAt'])).toBeGreaterThan(Number(b.welcome['iceExpiresAt']) + 40)
})

test('without a relay a peer joins all the same, and is told the ICE servers when there is one', async () => {
  const programPath: string[] = []
  const bare = await startApp({}, { programPath })
  const a = await joinAs(bare, 'r', 'a')
  expect(a.welcome).toMatchObject({ iceServers: [], iceExpiresAt: null })
  programPath.push('/usr/bin', '/usr/local/bin')
  expect(await a.next('ice-servers')).toMatchObject({ seq: 1 })
})

test('limits of projects and addresses', async () => {
  const small = await startApp({ TURNPIKE_SIGNALING_ROOMS_PER_PROJECT: '2', TURNPIKE_SIGNALING_PEERS_PER_PROJECT: '3', TURNPIKE_SIGNALING_SOCKETS_PER_ADDRESS: '4' })
  await joinAs(small, 'one', 'a')
  const b = await joinAs(small, 'two', 'b')
  expect(codeOf(await connect(small, { token: await tokenFor(small, 'three', { peer: 'c' }) }))).toEqual([503, 'too-many-rooms'])
  await joinAs(small, 'one', 'c')
  expect(codeOf(await connect(small, { token: await tokenFor(small, 'one', { peer: 'd' }) }))).toEqual([503, 'too-many-peers'])
  const visit = async (): Promise<unknown> => codeOf(await connect(small, { token: String((await small.request('/call/x/token', { method: 'POST', body: '{}', key: null })).body['token']) }))
  expect(await visit()).toBe('joined')
  expect(await visit()).toEqual([429, 'too-many-sockets'])
  await b.close()
  await until('the place is free again', async () => await visit() === 'joined')
})

test('at the end everybody is told, and closed with 4200; newcomers are refused', async () => {
  const ending = await startApp()
  const a = await joinAs(ending, 'r', 'a')
  const started = performance.now()
  await ending.stop(2000)
  expect(performance.now() - started).toBeLessThan(2500)
  await until('the close', () => a.closed !== null)
  expect(a.frames.at(-1)).toMatchObject({ type: 'draining', reconnect: 'now' })
  expect(a.closed?.code).toBe(4200)
})

test('what is counted: sockets, rooms, signals delivered, errors and closes', async () => {
  const counted = await startApp({ TURNPIKE_SIGNALING_MAILBOX_SECONDS: '0' })
  const [a, b] = [await joinAs(counted, 'r', 'a'), await joinAs(counted, 'r', 'b')]
  a.send({ type: 'signal', to: 'b', data: 1 })
  a.send({ type: 'signal', to: 'c', data: 1 })
  await b.next('signal')
  await a.next('error')
  const metric = async (name: string): Promise<string | undefined> => (await (await fetch(counted.metricsUrl())).text()).split('\n').find(line => line.startsWith(name))
  await until('signals are counted', async () => await metric('turnpike_signaling_signals_total') === 'turnpike_signaling_signals_total{project="default"} 1')
  expect(await metric('turnpike_signaling_sockets')).toBe('turnpike_signaling_sockets{project="default"} 2')
  expect(await metric('turnpike_signaling_rooms')).toBe('turnpike_signaling_rooms{project="default"} 1')
  expect(await metric('turnpike_signaling_errors_total')).toBe('turnpike_signaling_errors_total{code="peer-unavailable"} 1')
  await a.close()
  await b.close()
  await until('they are gone', async () => await metric('turnpike_signaling_rooms') === 'turnpike_signaling_rooms{project="default"} 0')
})
