import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { connect, joinAs, tokenFor, type Frame, type Peer, type Refused } from '../kit/peer.ts'

cleanUpAfterFile()
const SETTINGS = { TURNPIKE_SIGNALING_GRACE_SECONDS: '2', TURNPIKE_SIGNALING_MAILBOX_SECONDS: '1' }
/** Nothing here needs a relay. */
const NO_RELAY = { programPath: [] }
let app: TestApp
beforeAll(async () => { app = await startApp(SETTINGS, NO_RELAY) })

let rooms = 0
const newRoom = (): string => `room ${++rooms}`
const secretOf = (peer: Peer): string => String(peer.welcome['resume'])
const signals = (peer: Peer): unknown[] => peer.frames.filter(({ type }) => type === 'signal').map(({ data }) => data)
const codeOf = (outcome: Peer | Refused): unknown => ('status' in outcome ? [outcome.status, outcome.body['code']] : 'joined')

/** One that acknowledges. */
async function full (room: string, peer: string, more: object = {}, server = app): Promise<Peer> {
  return await connect(server, { token: await tokenFor(server, room, { peer, ...more }), query: '?ack=0' }) as Peer
}

async function resume (peer: Peer, ack: number, server = app): Promise<Peer> {
  return await connect(server, { protocols: ['turnpike.v1', `turnpike.resume.${secretOf(peer)}`], query: `?ack=${ack}` }) as Peer
}

async function lose (peer: Peer): Promise<void> {
  peer.socket.terminate()
  await until('the socket is gone', () => peer.closed !== null)
}

test('a lost socket keeps its place, nobody hears of it, and what was sent meanwhile follows once', async () => {
  const room = newRoom()
  const [a, b] = [await full(room, 'a'), await full(room, 'b')]
  b.send({ type: 'signal', cid: 7, to: 'a', data: 0 })
  await b.next('accepted')
  a.send({ type: 'signal', cid: 1, to: 'b', data: 1 })
  await b.next('signal')
  b.send({ type: 'ack', seq: 1 })
  await lose(b)
  for (let i = 2; i <= 5; i++) a.send({ type: 'signal', cid: i, to: 'b', data: i })
  await until('all are accepted', () => a.frames.filter(({ type }) => type === 'accepted').length === 5)
  const back = await resume(b, 1)
  expect(back.welcome).toMatchObject({ type: 'welcome', resumed: true, session: b.welcome['session'], accepted: 7, peers: [{ id: 'a', polite: false }], grace: 2 })
  await until('the rest', () => signals(back).length === 4)
  expect(back.frames.slice(1)).toEqual([2, 3, 4, 5].map(i => ({ type: 'signal', seq: i, from: 'a', data: i })))
  expect(a.frames.filter(({ type }) => type === 'peer-left')).toEqual([])
})

test('what a client sends again after a loss is not done twice; what had not arrived is', async () => {
  const room = newRoom()
  const [a, b] = [await full(room, 'a'), await full(room, 'b')]
  a.send({ type: 'signal', cid: 1, to: 'b', data: 1 })
  await b.next('signal')
  await lose(a)
  const back = await resume(a, 0)
  back.send({ type: 'signal', cid: 1, to: 'b', data: 1 })
  back.send({ type: 'signal', cid: 2, to: 'b', data: 2 })
  expect(await back.next('accepted')).toEqual({ type: 'accepted', ref: 1 })
  expect(await back.next('accepted')).toEqual({ type: 'accepted', ref: 2 })
  await until('the second', () => signals(b).length === 2)
  expect(signals(b)).toEqual([1, 2])
  back.send({ type: 'signal', cid: 2, to: 'b', data: 3 })
  // Sent again for no reason, over the same socket.
  expect(await back.next('error')).toMatchObject({ code: 'frame-invalid', ref: 2 })
})

test('an error that answers a numbered frame is not lost with the socket', async () => {
  const a = await full(newRoom(), 'a')
  a.send({ type: 'signal', cid: 1, to: 'nobody', data: 1 })
  await a.next('accepted')
  await lose(a)
  await new Promise(resolve => setTimeout(resolve, 1100))
  const back = await resume(a, 0)
  expect(await back.next('error')).toMatchObject({ seq: 1, ref: 1, code: 'peer-unavailable' })
})

test('each secret serves once the next is known; the one before still counts where the welcome was lost', async () => {
  const room = newRoom()
  const a = await full(room, 'a')
  await lose(a)
  const unheard = await resume(a, 0)
  await lose(unheard)
  const heard = await resume(a, 0)
  expect(heard.welcome['resumed']).toBe(true)
  heard.send({ type: 'ack', seq: 0 })
  heard.send({ type: 'signal', cid: 1, to: '*', data: 1 })
  await heard.next('accepted')
  expect(codeOf(await resume(a, 0))).toEqual([404, 'session-unknown'])
  expect(codeOf(await resume(unheard, 0))).toEqual([404, 'session-unknown'])
  expect(codeOf(await connect(app, { protocols: ['turnpike.v1', 'turnpike.resume.s_nonsense.x'] }))).toEqual([404, 'session-unknown'])
  expect(codeOf(await connect(app, { protocols: ['turnpike.v1', `turnpike.resume.${secretOf(heard)}`], query: '?ack=nine' }))).toEqual([400, 'invalid-request'])
})

test('the newer socket of a session takes over from the older one', async () => {
  const room = newRoom()
  const [a, b] = [await full(room, 'a'), await full(room, 'b')]
  const newer = await resume(a, 0)
  await until('the older is closed', () => a.closed !== null)
  expect(a.closed?.code).toBe(4001)
  b.send({ type: 'signal', to: 'a', data: 'hello' })
  expect(await newer.next('signal')).toMatchObject({ data: 'hello' })
  expect(b.frames.filter(({ type }) => type === 'peer-left')).toEqual([])
})

test('when the grace period is over the peer is gone, its senders are told, and its token serves to join anew', async () => {
  const room = newRoom()
  const [a, b] = [await full(room, 'a'), await full(room, 'b')]
  await lose(b)
  a.send({ type: 'signal', cid: 1, to: 'b', data: 1 })
  expect(await a.next('error')).toMatchObject({ ref: 1, code: 'signal-undelivered' })
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'lost' })
  expect(codeOf(await resume(b, 0))).toEqual([404, 'session-unknown'])
  const anew = await connect(app, { protocols: ['turnpike.v1', `turnpike.resume.${secretOf(b)}`, `turnpike.token.${await tokenFor(app, room, { peer: 'b' })}`], query: '?ack=1' }) as Peer
  expect(anew.welcome).toMatchObject({ resumed: false, accepted: null })
})

test('whose socket is lost gives way to a newcomer with a token of its own', async () => {
  const room = newRoom()
  const [a, b] = [await full(room, 'a'), await full(room, 'b')]
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'b' }) }))).toEqual([409, 'peer-id-taken'])
  await lose(b)
  const reloaded = await full(room, 'b')
  expect(reloaded.welcome['resumed']).toBe(false)
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'replaced' })
  expect(await a.next('peer-joined')).toMatchObject({ peer: { id: 'b' } })
})

test('delivered says up to where everything has been acknowledged', async () => {
  const room = newRoom()
  const [a, b] = [await full(room, 'a'), await full(room, 'b')]
  for (let cid = 1; cid <= 3; cid++) a.send({ type: 'signal', cid, to: 'b', data: cid })
  await until('they are there', () => signals(b).length === 3)
  b.send({ type: 'ack', seq: 2 })
  expect(await a.next('delivered')).toEqual({ type: 'delivered', cid: 2 })
  b.send({ type: 'ack', seq: 3 })
  expect(await a.next('delivered')).toEqual({ type: 'delivered', cid: 3 })
  expect(a.frames.filter(({ type }) => type === 'delivered')).toHaveLength(2)
})

test('an ack that is beyond what was sent is refused', async () => {
  const a = await full(newRoom(), 'a')
  a.send({ type: 'ack', seq: 5 })
  expect(await a.next('error')).toMatchObject({ code: 'frame-invalid', message: expect.stringContaining('seq') })
})

test('one that stops acknowledging is ended with 4109; its senders are told of each', async () => {
  const small = await startApp({ ...SETTINGS, TURNPIKE_SIGNALING_UNACKED_FRAMES: '10' }, NO_RELAY)
  const [a, b, c] = [await joinAs(small, 'r', 'a'), await full('r', 'b', {}, small), await joinAs(small, 'r', 'c')]
  for (let cid = 1; cid <= 12; cid++) a.send({ type: 'signal', cid, to: '*', data: cid })
  await until('it is closed', () => b.closed !== null)
  expect(b.closed?.code).toBe(4109)
  await until('the sender knows', () => a.frames.filter(({ code }) => code === 'signal-undelivered').length > 8)
  expect(await a.next('peer-left')).toMatchObject({ id: 'b', reason: 'lost' })
  // One that never acknowledges goes on, and cannot resume.
  await until('all of it', () => signals(c).length === 12)
  await lose(c)
  expect(codeOf(await resume(c, 0, small))).toEqual([404, 'session-unknown'])
})

test('signals wait for a peer that is not there yet, so many of them, and come right after its welcome', async () => {
  const room = newRoom()
  const a = await full(room, 'a')
  for (let cid = 1; cid <= 70; cid++) a.send({ type: 'signal', cid, to: 'late', data: cid })
  await until('more than 64 are refused', () => a.frames.filter(({ code }) => code === 'peer-unavailable').length === 6)
  expect(a.frames.filter(({ type }) => type === 'error').map(({ ref }) => ref)).toEqual([65, 66, 67, 68, 69, 70])
  const late = await full(room, 'late')
  await until('all of it', () => signals(late).length === 64)
  expect(late.frames.slice(0, 3)).toEqual([expect.objectContaining({ type: 'welcome', peers: [expect.objectContaining({ id: 'a' })] }), { type: 'signal', seq: 1, from: 'a', data: 1 }, { type: 'signal', seq: 2, from: 'a', data: 2 }])
  expect(signals(late)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
})

test('in a topic, publishers and subscribers see and signal each other alone', async () => {
  const room = newRoom()
  const topic = async (peer: string, role: string): Promise<Peer> => await full(room, peer, { kind: 'topic', role })
  const [p1, p2] = [await topic('p1', 'publisher'), await topic('p2', 'publisher')]
  const s1 = await topic('s1', 'subscriber')
  expect((s1.welcome['peers'] as Frame[]).map(({ id }) => id)).toEqual(['p1', 'p2'])
  expect(p2.welcome['peers']).toEqual([])
  expect(await p1.next('peer-joined')).toMatchObject({ peer: { id: 's1' } })
  p1.send({ type: 'signal', cid: 1, to: 'p2', data: 1 })
  expect(await p1.next('error')).toMatchObject({ ref: 1, code: 'not-permitted' })
  p1.send({ type: 'signal', cid: 2, to: '*', data: 'all' })
  expect(await s1.next('signal')).toMatchObject({ from: 'p1', data: 'all' })
  await p1.next('accepted')
  expect(signals(p2)).toEqual([])
  expect(p1.frames.filter(({ type }) => type === 'peer-joined')).toHaveLength(1)
  // Not through the mailbox either.
  p1.send({ type: 'signal', cid: 3, to: 'p3', data: 1 })
  await p1.next('accepted')
  await topic('p3', 'publisher')
  expect(await p1.next('error')).toMatchObject({ ref: 3, code: 'not-permitted' })
})

test('a pair holds two; the second to come is impolite', async () => {
  const room = newRoom()
  const [first, second] = [await full(room, 'first', { kind: 'pair' }), await full(room, 'second', { kind: 'pair' })]
  expect(second.welcome).toMatchObject({ room: { kind: 'pair', capacity: 2 }, peers: [{ id: 'first', polite: false }] })
  expect(await first.next('peer-joined')).toMatchObject({ peer: { id: 'second', polite: true } })
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'third', kind: 'pair' }) }))).toEqual([503, 'room-full'])
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'third', kind: 'mesh' }) }))).toEqual([409, 'room-mode-conflict'])
})

test('a token whose peer is * leaves it to the client which peer it is', async () => {
  const room = newRoom()
  const token = await tokenFor(app, room, { peer: '*' })
  expect(codeOf(await connect(app, { token }))).toEqual([400, 'invalid-request'])
  expect(codeOf(await connect(app, { token, query: `?peer=${encodeURIComponent('a/b')}` }))).toEqual([400, 'invalid-request'])
  const robot = await connect(app, { token, query: '?peer=1,2,3' }) as Peer
  expect(robot.welcome['self']).toMatchObject({ id: '1,2,3' })
  expect(codeOf(await connect(app, { token, query: '?peer=other' }))).toBe('joined')
  expect(codeOf(await connect(app, { token: await tokenFor(app, room, { peer: 'x' }), query: '?peer=y' }))).toEqual([403, 'peer-mismatch'])
})

test('a project may have lower limits than the server', async () => {
  const limited = await startApp(SETTINGS, NO_RELAY)
  const patched = await limited.request('/v1/projects/default', { method: 'PATCH', key: limited.adminKey, body: JSON.stringify({ quotas: { messageBytes: 1000, metadataBytes: 100, signalsPerSecond: 1, signalsBurst: 5, roomCapacity: 2, socketsPerAddress: 3 } }) })
  expect(patched.status).toBe(200)
  const [a, b] = [await full('r', 'a', {}, limited), await full('r', 'b', {}, limited)]
  expect(a.welcome).toMatchObject({ room: { capacity: 2 } })
  expect(codeOf(await connect(limited, { token: await tokenFor(limited, 'r', { peer: 'c' }) }))).toEqual([503, 'room-full'])
  await full('other', 'c', {}, limited)
  expect(codeOf(await connect(limited, { token: await tokenFor(limited, 'other', { peer: 'd' }) }))).toEqual([429, 'too-many-sockets'])
  a.send({ type: 'update', cid: 1, metadata: { x: 'y'.repeat(200) } })
  expect(await a.next('error')).toMatchObject({ code: 'metadata-too-large' })
  for (let cid = 2; cid < 9; cid++) a.send({ type: 'signal', cid, to: 'b', data: 1 })
  expect(await a.next('error')).toMatchObject({ code: 'rate-limited' })
  b.send({ type: 'signal', cid: 1, to: 'a', data: 'x'.repeat(1000) })
  await until('the large one is closed', () => b.closed !== null)
  expect(b.closed?.code).toBe(1009)
})

test('when too much waits for all together, those for whom most waits are ended first', async () => {
  const tight = await startApp({ ...SETTINGS, TURNPIKE_SIGNALING_WAITING_BYTES: '300000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000' }, NO_RELAY)
  const [a, greedy, modest] = [await full('r', 'a', {}, tight), await full('r', 'greedy', {}, tight), await full('r', 'modest', {}, tight)]
  a.send({ type: 'signal', to: 'modest', data: 'x'.repeat(1000) })
  for (let i = 0; i < 10; i++) a.send({ type: 'signal', to: 'greedy', data: 'x'.repeat(40_000) })
  await until('it is ended', () => greedy.closed !== null)
  expect(greedy.closed?.code).toBe(4100)
  a.send({ type: 'signal', to: 'modest', data: 'still here' })
  await until('the other goes on', () => signals(modest).includes('still here'))
  expect(await (await fetch(tight.metricsUrl())).text()).toContain('turnpike_signaling_errors_total{code="server-full"} 1')
})

test('when too much is kept for peers that never acknowledge, it is forgotten, and they go on', async () => {
  const tight = await startApp({ ...SETTINGS, TURNPIKE_SIGNALING_WAITING_BYTES: '300000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000' }, NO_RELAY)
  const [a, silent] = [await full('r', 'a', {}, tight), await connect(tight, { token: await tokenFor(tight, 'r', { peer: 'silent' }) }) as Peer]
  // One after another: what waits is what is kept, not what its socket has not taken yet.
  for (let i = 1; i <= 12; i++) {
    a.send({ type: 'signal', to: 'silent', data: `${i} ${'x'.repeat(40_000)}` })
    await until('it has come', () => signals(silent).length === i)
  }
  expect(silent.closed).toBeNull()
  expect(await (await fetch(tight.metricsUrl())).text()).not.toContain('turnpike_signaling_errors_total{code="server-full"}')
})

test('sessions go on in the next process: places, numbers, what was not acknowledged, and mail', async () => {
  const before = await startApp(SETTINGS, NO_RELAY)
  const [a, b] = [await full('r', 'a', {}, before), await full('r', 'b', {}, before)]
  a.send({ type: 'update', cid: 1, metadata: { battery: 80 } })
  a.send({ type: 'signal', cid: 2, to: 'b', data: 'one' })
  await until('it is there', () => signals(b).length === 1)
  await lose(b)
  a.send({ type: 'signal', cid: 3, to: 'b', data: 'two' })
  a.send({ type: 'signal', cid: 4, to: 'c', data: 'three' })
  await until('it is accepted', () => a.frames.some(({ type, ref }) => type === 'accepted' && ref === 4))
  await before.stop(3000)
  expect(a.closed?.code).toBe(4200)
  const after = await startApp({ ...SETTINGS, TURNPIKE_SIGNALING_MAILBOX_SECONDS: '5', TURNPIKE_DATA_DIR: before.env['TURNPIKE_DATA_DIR'] ?? '', TURNPIKE_API_KEY: before.apiKey }, NO_RELAY)
  const [aBack, bBack] = [await resume(a, a.frames.filter(({ seq }) => seq !== undefined).length, after), await resume(b, 1, after)]
  expect(aBack.welcome).toMatchObject({ resumed: true, accepted: 4, session: a.welcome['session'], self: { metadata: { battery: 80 } }, peers: [{ id: 'b', polite: true }] })
  expect(bBack.welcome).toMatchObject({ resumed: true, peers: [{ id: 'a', metadata: { battery: 80 }, polite: false }] })
  expect(await bBack.next('signal')).toEqual({ type: 'signal', seq: 2, from: 'a', data: 'one' })
  expect(await bBack.next('signal')).toEqual({ type: 'signal', seq: 3, from: 'a', data: 'two' })
  bBack.send({ type: 'ack', seq: 3 })
  expect(await aBack.next('delivered')).toEqual({ type: 'delivered', cid: 3 })
  const c = await connect(after, { token: await tokenFor(after, 'r', { peer: 'c' }) }) as Peer
  expect(await c.next('signal')).toMatchObject({ from: 'a', data: 'three' })
  // Each is taken up once.
  await after.stop(3000)
  expect(aBack.closed?.code).toBe(4200)
})

test('a project that is switched off: its peers are told and closed, those without a socket are gone too', async () => {
  const off = await startApp(SETTINGS, NO_RELAY)
  const [a, b] = [await full('r', 'a', {}, off), await full('r', 'b', {}, off)]
  await lose(b)
  expect((await off.request('/v1/projects/default', { method: 'PATCH', key: off.adminKey, body: '{"enabled": false}' })).status).toBe(200)
  expect(await a.next('error')).toMatchObject({ code: 'project-disabled' })
  await until('it is closed', () => a.closed !== null)
  expect(a.closed?.code).toBe(4000)
  expect(codeOf(await resume(b, 0, off))).toEqual([404, 'session-unknown'])
})

test('a welcome may be larger than what else may wait for a socket', async () => {
  const tight = await startApp({ ...SETTINGS, TURNPIKE_SIGNALING_OUTBOX_BYTES: '3000' }, NO_RELAY)
  for (const peer of ['a', 'b', 'c']) await full('r', peer, { metadata: { x: 'y'.repeat(1800) } }, tight)
  const late = await full('r', 'late', {}, tight)
  expect(late.welcome['peers']).toHaveLength(3)
  late.send({ type: 'signal', cid: 1, to: '*', data: 1 })
  expect(await late.next('accepted')).toEqual({ type: 'accepted', ref: 1 })
})
