/** The PeerJS dialect over real sockets: who may join and as whom, and everything that users of npm peer have suffered from. */
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { joinAs, tokenFor } from '../kit/peer.ts'
import { allowPeerjs, connectPeerjs, refusalOf } from '../kit/peerjs.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => {
  app = await startApp({ TURNPIKE_SIGNALING_MAILBOX_SECONDS: '1', TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1', TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '100000' })
  await allowPeerjs(app)
})

const OPEN = '{"type":"OPEN"}'
const ID_TAKEN = '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}'
const OFFER = { type: 'OFFER', payload: { sdp: { type: 'offer', sdp: 'v=0\r\n' }, type: 'data', connectionId: 'dc_1' } }
let made = 0
/** Everybody without a token is in one room. */
const newId = (name: string): string => `${name}-${++made}`
const fetched = async (path: string, options: RequestInit = {}): Promise<{ status: number, type: string | null, origin: string | null, text: string }> => {
  const answer = await fetch(app.url() + path, options)
  return { status: answer.status, type: answer.headers.get('content-type'), origin: answer.headers.get('access-control-allow-origin'), text: await answer.text() }
}

test.each(['/peerjs', '/peerjs/'])('GET %s greets as the server of PeerJS does', async path => {
  expect(await fetched(path)).toEqual({ status: 200, type: 'application/json; charset=utf-8', origin: '*', text: '{"name":"PeerJS Server","description":"A server side element to broker connections between PeerJS clients.","website":"https://peerjs.com/"}' })
})

test.each(['/peerjs/peerjs', '/peerjs/myproject', '/peerjs'])('GET %s/id is a new id each time, as text that pages of every origin may read', async path => {
  const [one, two] = [await fetched(`${path}/id?ts=17320000000000.123&version=1.5.5`), await fetched(`${path}/id`)]
  expect(one).toMatchObject({ status: 200, type: 'text/html; charset=utf-8', origin: '*', text: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/) })
  expect(two.text).not.toBe(one.text)
})

test('who is there is not told, and an address for sockets answers nothing else', async () => {
  expect(await fetched('/peerjs/peerjs/peers')).toMatchObject({ status: 401, origin: '*' })
  expect(await fetched('/peerjs/peers')).toMatchObject({ status: 401, origin: '*' })
  expect(await fetched('/peerjs/peerjs')).toMatchObject({ status: 426, origin: '*' })
})

test.each(['/peerjs/', '/'])('with the option path %s two clients open and signal to each other', async path => {
  const [alice, bob] = [newId('alice'), newId('bob')]
  const a = await connectPeerjs(app, { id: alice, path })
  const b = await connectPeerjs(app, { id: bob, path: '/peerjs/' })
  expect([a.texts, b.texts]).toEqual([[OPEN], [OPEN]])
  a.send(`{"type":"OFFER","src":"eve","dst":"${bob}","x":1,"payload":{ "sdp" : "v=0\\r\\n\\u00e9", "n": 12345678901234567890.10 }}`)
  await b.next('OFFER')
  expect(b.texts.at(-1)).toBe(`{"type":"OFFER","src":"${alice}","dst":"${bob}","payload":{ "sdp" : "v=0\\r\\n\\u00e9", "n": 12345678901234567890.10 }}`)
  b.send(Buffer.from(JSON.stringify({ type: 'ANSWER', dst: alice, payload: 1 })))
  b.send({ type: 'CANDIDATE', dst: alice, payload: 2 })
  b.send({ type: 'LEAVE', dst: alice })
  await a.next('LEAVE')
  expect(a.texts.slice(1)).toEqual([`{"type":"ANSWER","src":"${bob}","dst":"${alice}","payload":1}`, `{"type":"CANDIDATE","src":"${bob}","dst":"${alice}","payload":2}`, `{"type":"LEAVE","src":"${bob}","dst":"${alice}"}`])
})

test('a room token decides project, room and id; with the peer * the client says its id', async () => {
  const [one, any] = [await tokenFor(app, 'private', { peer: 'carol' }), await tokenFor(app, 'private', { peer: '*' })]
  const carol = await connectPeerjs(app, { id: 'carol', token: one })
  const dave = await connectPeerjs(app, { id: 'dave', token: any, key: 'default' })
  const stranger = await connectPeerjs(app, { id: 'dave' })
  expect([carol.texts, dave.texts, stranger.texts]).toEqual([[OPEN], [OPEN], [OPEN]])
  dave.send({ ...OFFER, dst: 'carol' })
  expect(await carol.next('OFFER')).toEqual({ ...OFFER, src: 'dave', dst: 'carol' })
  stranger.send({ ...OFFER, dst: 'carol' })
  expect(await stranger.next('EXPIRE')).toEqual({ type: 'EXPIRE', src: 'carol', dst: 'dave' })
  expect(carol.frames.filter(({ type }) => type === 'OFFER')).toHaveLength(1)
})

test('whoever may not join is told why in a frame, and then closed', async () => {
  const token = await tokenFor(app, 'private', { peer: 'carol' })
  const refused = async (options: object): Promise<unknown> => {
    const { texts, closed } = await refusalOf(app, options)
    expect(closed).toBeGreaterThanOrEqual(4000)
    const [frame] = texts.map(text => JSON.parse(text) as { type: string, payload: { msg: string } })
    return [texts.length, frame?.type, /\(([a-z-]+)\)$/.exec(frame?.payload.msg ?? '')?.[1]]
  }
  expect(await refused({ id: 'mallory', token })).toEqual([1, 'ERROR', 'peer-mismatch'])
  expect(await refused({ id: 'carol', token: `${token}x` })).toEqual([1, 'ERROR', 'token-invalid'])
  expect(await refused({ id: 'carol', token, key: 'another' })).toEqual([1, 'INVALID-KEY', undefined])
  expect(await refused({ id: 'carol', key: 'another' })).toEqual([1, 'ERROR', 'token-missing'])
  expect(await refused({ id: '*' })).toEqual([1, 'ERROR', 'invalid-request'])
  for (const query of ['', '?key=peerjs&id=&token=t', '?key=peerjs&id=a', '?id=a&token=t', '?key=peerjs&id=a&id=b&token=t']) expect(await refused({ query })).toEqual([1, 'ERROR', 'invalid-request'])
})

test('a project that does not answer PeerJS, or wants tokens, refuses; another one is not reached', async () => {
  await app.request('/v1/projects', { method: 'POST', key: app.adminKey, body: '{"id":"closed"}' })
  const token = String((await app.request('/v1/rooms/r/tokens', { method: 'POST', key: app.adminKey, body: '{"peer":"carol","project":"closed"}' })).body['token'])
  const refusal = async (options: object): Promise<string> => (await refusalOf(app, { id: 'carol', key: 'closed', ...options })).texts.join()
  expect(await refusal({ token })).toContain('(dialect-off)')
  expect(await refusal({})).toContain('(token-missing)')
  await allowPeerjs(app, { project: 'closed', anonymous: false })
  expect(await refusal({})).toContain('(token-missing)')
  const member = await connectPeerjs(app, { id: 'carol', key: 'closed', token })
  expect(member.texts).toEqual([OPEN])
  await allowPeerjs(app, { project: 'closed' })
  const [here, there] = [await connectPeerjs(app, { id: 'nina', key: 'closed' }), await connectPeerjs(app, { id: 'otto' })]
  there.send({ ...OFFER, dst: 'nina' })
  expect(await there.next('EXPIRE')).toMatchObject({ src: 'nina' })
  expect(here.texts).toEqual([OPEN])
})

test('an id is taken for others, and not for the client that has it: reconnecting opens at once, the older socket is closed', async () => {
  const id = newId('alice')
  const first = await connectPeerjs(app, { id, token: 'mine' })
  expect(await refusalOf(app, { id, token: 'theirs' })).toMatchObject({ texts: [ID_TAKEN] })
  expect(first.closed).toBeNull()
  const second = await connectPeerjs(app, { id, token: 'mine' })
  expect(second.texts).toEqual([OPEN])
  await until('the older one is closed', () => first.closed !== null)
  expect(first.closed).toBe(4001)
  const caller = await connectPeerjs(app, { id: newId('bob') })
  caller.send({ ...OFFER, dst: id })
  expect(await second.next('OFFER')).toMatchObject({ dst: id })
  await second.close()
  expect((await connectPeerjs(app, { id, token: 'theirs' })).texts).toEqual([OPEN])
})

test('with a room token it is the token that tells, also beside another one for the same peer', async () => {
  const [mine, theirs] = [await tokenFor(app, 'taken', { peer: 'alice' }), await tokenFor(app, 'taken', { peer: 'alice' })]
  const first = await connectPeerjs(app, { id: 'alice', token: mine })
  expect(await refusalOf(app, { id: 'alice', token: theirs })).toMatchObject({ texts: [ID_TAKEN] })
  expect((await connectPeerjs(app, { id: 'alice', token: mine })).texts).toEqual([OPEN])
  await until('the older one is closed', () => first.closed !== null)
  const takeover = await tokenFor(app, 'taken', { peer: 'alice', takeover: true })
  expect((await connectPeerjs(app, { id: 'alice', token: takeover })).texts).toEqual([OPEN])
})

test('what is sent to somebody who is not there yet arrives right after OPEN, in its order', async () => {
  const [early, late] = [newId('early'), newId('late')]
  const a = await connectPeerjs(app, { id: early })
  a.send({ ...OFFER, dst: late })
  for (let i = 0; i < 3; i++) a.send({ type: 'CANDIDATE', payload: i, dst: late })
  a.send({ type: 'HEARTBEAT' })
  const b = await connectPeerjs(app, { id: late })
  await until('all of it', () => b.frames.length === 5)
  expect(b.frames.map(({ type, payload, src }) => (type === 'CANDIDATE' ? payload : [type, src]))).toEqual([['OPEN', undefined], ['OFFER', early], 0, 1, 2])
  expect(a.texts).toEqual([OPEN])
})

test('a peer that does not come expires once, in its time; a farewell to nobody is not answered', async () => {
  const a = await connectPeerjs(app, { id: newId('alice') })
  a.send({ type: 'LEAVE', dst: 'gone', payload: 1 })
  a.send({ type: 'EXPIRE', dst: 'gone' })
  const sentAt = performance.now()
  a.send({ ...OFFER, dst: 'nobody' })
  for (let i = 0; i < 10; i++) a.send({ type: 'CANDIDATE', payload: i, dst: 'nobody' })
  a.send({ ...OFFER, dst: '*' })
  await until('both', () => a.frames.length >= 3)
  expect(performance.now() - sentAt).toBeGreaterThan(900)
  a.send({ ...OFFER, dst: 'the last' })
  expect(await a.next('EXPIRE')).toBeDefined()
  await until('the last', () => a.frames.some(({ src }) => src === 'the last'))
  expect(a.frames.slice(1).map(({ type, src }) => `${type} ${src}`).toSorted()).toEqual(['EXPIRE *', 'EXPIRE nobody', 'EXPIRE the last'])
})

test('what waits for somebody absent is bounded: the rest expires at once', async () => {
  const a = await connectPeerjs(app, { id: newId('alice') })
  for (let i = 0; i < 1000; i++) a.send({ type: 'CANDIDATE', payload: i, dst: 'crowded' })
  await until('all are dealt with', () => a.frames.filter(({ type }) => type === 'EXPIRE').length === 1000 - 64)
  const b = await connectPeerjs(app, { id: 'crowded' })
  await until('what waited', () => b.frames.length > 1)
  a.send({ ...OFFER, dst: 'crowded' })
  await b.next('OFFER')
  expect(b.frames.filter(({ type }) => type === 'CANDIDATE').map(({ payload }) => payload)).toEqual(Array.from({ length: 64 }, (_, i) => i))
})

test('what came too fast is told by the peer that it did not reach; a flood ends its socket', async () => {
  const strict = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '1', TURNPIKE_SIGNALING_SIGNALS_BURST: '20' })
  await allowPeerjs(strict)
  const [a, b] = [await connectPeerjs(strict, { id: 'a' }), await connectPeerjs(strict, { id: 'b' })]
  for (let i = 0; i < 25; i++) a.send({ type: 'CANDIDATE', payload: i, dst: 'b' })
  expect(await a.next('EXPIRE')).toEqual({ type: 'EXPIRE', src: 'b', dst: 'a' })
  await until('what was within the burst', () => b.frames.length > 20)
  expect(b.frames.slice(1, 21).map(({ payload }) => payload)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  for (let i = 0; i < 100; i++) a.send({ type: 'HEARTBEAT' })
  await until('the close', () => a.closed !== null)
  expect(a.closed).toBe(4129)
  expect(a.texts.at(-1)).toContain('(flooding)')
})

test('LEAVE without dst gives the id back; a client that only listens is kept by pings', async () => {
  const id = newId('alice')
  const quiet = await connectPeerjs(app, { id: newId('quiet') })
  let pings = 0
  quiet.socket.on('ping', () => { pings++ })
  const a = await connectPeerjs(app, { id })
  a.send({ type: 'LEAVE' })
  await until('the close', () => a.closed !== null)
  expect(a.closed).toBe(1000)
  expect((await connectPeerjs(app, { id, token: 'another' })).texts).toEqual([OPEN])
  await until('more pings than may stay without an answer', () => pings >= 3)
  expect(quiet.closed).toBeNull()
})

test('a peer of our own protocol in the same room is not reached, and each is told so in its own words', async () => {
  const token = await tokenFor(app, 'mixed', { peer: 'carol' })
  const native = await joinAs(app, 'mixed', 'native')
  const carol = await connectPeerjs(app, { id: 'carol', token })
  expect(await native.next('peer-joined')).toMatchObject({ peer: { id: 'carol' } })
  carol.send({ ...OFFER, dst: 'native' })
  expect(await carol.next('EXPIRE')).toEqual({ type: 'EXPIRE', src: 'native', dst: 'carol' })
  native.send({ type: 'signal', cid: 0, to: 'carol', data: { description: { type: 'offer', sdp: 'v=0' } } })
  expect(await native.next('error')).toMatchObject({ ref: 0, code: 'dialect-mismatch' })
  expect(carol.texts).toHaveLength(2)
})

test('a frame that is none ends its own socket, after an ERROR, and nobody else', async () => {
  const other = await connectPeerjs(app, { id: newId('other') })
  for (const frame of ['{', 'null', '[]', Buffer.from([0xC3, 0x28])]) {
    const bad = await connectPeerjs(app, { id: newId('bad') })
    bad.send(frame)
    await until('the close', () => bad.closed !== null)
    expect(bad.frames.at(-1)?.type).toBe('ERROR')
  }
  other.send({ ...OFFER, dst: 'x', payload: 'y'.repeat(70_000) })
  await until('the close', () => other.closed !== null)
  expect(other.closed).toBe(1009)
})
