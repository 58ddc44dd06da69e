/** The SDK against a server that drops, repeats and refuses: what the application sees of it. Real sockets on loopback. */
import { expect, test } from 'vitest'
import { join, TurnpikeClientError, type JoinOptions, type Room } from '../../../src/client/client.ts'
import { whenDone } from '../../kit/cleanup.ts'
import { until } from '../../kit/files.ts'
import { startSignalServer, welcome, type Accepted, type SignalServer } from '../../kit/signal-server.ts'

const QUICK = { minMs: 5, maxMs: 20 }
/** One event after another, as text. */
type Told = string[]

function listen (room: Room): Told {
  const told: Told = []
  for (const type of ['state', 'signal', 'message', 'peer-joined', 'peer-left', 'peer-updated', 'undelivered', 'session-lost', 'draining', 'error', 'closed'] as const) {
    room.on(type, detail => told.push(`${type} ${detail instanceof TurnpikeClientError ? `${detail.code} ${detail.retry}` : JSON.stringify(detail)}`))
  }
  return told
}

async function joined (more: Partial<JoinOptions> = {}, hello: object = {}): Promise<{ server: SignalServer, room: Room, first: Accepted, told: Told }> {
  const server = await startSignalServer()
  const joining = join({ url: server.url, token: 'token', reconnect: QUICK, ...more })
  const first = await server.accept()
  first.send(welcome(hello))
  const room = await joining
  whenDone(() => room.leave())
  return { server, room, first, told: listen(room) }
}

/** Connects again and is let in. */
async function comeBack (server: SignalServer, hello: object): Promise<Accepted> {
  const next = await server.accept()
  next.send(welcome(hello))
  return next
}

const signal = (seq: number, data: unknown): object => ({ type: 'signal', seq, from: 'bob', data })

test('what follows the welcome in the same packet reaches whoever listens once joined', async () => {
  const server = await startSignalServer()
  const joining = join({ url: `${server.url}?peer=me`, token: 'abc' })
  const first = await server.accept()
  first.send(welcome({ peers: [{ id: 'bob', role: null, metadata: {}, polite: true }] }), signal(1, 'early'), signal(2, 'bird'))
  const room = await joining
  const told = listen(room)
  await until('both', () => told.length === 2)
  expect(told).toEqual(['signal {"from":"bob","data":"early"}', 'signal {"from":"bob","data":"bird"}'])
  expect(first.protocols).toEqual(['turnpike.v1', 'turnpike.token.abc'])
  expect(Object.fromEntries(first.query)).toEqual({ peer: 'me', ack: '0' })
  expect([room.self.id, [...room.peers.keys()], room.state, room.session]).toEqual(['me', ['bob'], 'joined', 's_1'])
  room.leave()
  await until('the close', () => first.closed !== null)
  expect([first.closed, first.frames.at(-1)]).toEqual([1000, { type: 'leave', ack: 2 }])
})

test('send resolves when the server has accepted, rejects with what it says, and tells what could not be delivered later', async () => {
  const { room, first, told } = await joined()
  const good = room.send('bob', { n: 1 })
  const bad = room.send('zoe', 2)
  expect(await first.next('signal')).toEqual({ type: 'signal', cid: 1, to: 'bob', data: { n: 1 } })
  first.send({ type: 'accepted', ref: 1 }, { type: 'error', seq: 1, ref: 2, code: 'peer-unavailable', message: 'zoe did not come' })
  await good
  await expect(bad).rejects.toMatchObject({ name: 'TurnpikeClientError', code: 'peer-unavailable', retry: 'backoff', message: 'zoe did not come' })
  first.send({ type: 'error', seq: 2, ref: 1, code: 'signal-undelivered', message: 'bob was gone' })
  await until('the late error', () => told.length > 0)
  expect(told).toEqual(['undelivered {"cid":1,"to":"bob","data":{"n":1},"error":{"code":"signal-undelivered","retry":"backoff","name":"TurnpikeClientError"}}'])
  const updated = room.update({ name: 'Ada' })
  first.send({ type: 'accepted', ref: 3 })
  await updated
  expect(room.self.metadata).toEqual({ name: 'Ada' })
})

test('over a lost socket the session goes on: nothing is seen twice, what was not accepted is sent again in its order', async () => {
  const { server, room, first, told } = await joined()
  first.send(signal(1, 'one'), signal(2, 'two'))
  await until('both', () => told.length === 2)
  const sent = [1, 2, 3].map(n => room.send('bob', n))
  await until('all', () => first.frames.filter(({ type }) => type === 'signal').length === 3)
  first.socket.terminate()
  const second = await server.accept()
  expect(second.protocols).toEqual(['turnpike.v1', 'turnpike.resume.s_1.first', 'turnpike.token.token'])
  expect(second.query.get('ack')).toBe('2')
  // The server has taken the first one, and says 2 once more.
  second.send(welcome({ resumed: true, resume: 's_1.second', accepted: 1 }), signal(2, 'two'), signal(3, 'three'))
  expect([await second.next('signal'), await second.next('signal')]).toMatchObject([{ cid: 2, data: 2 }, { cid: 3, data: 3 }])
  const question = await second.next('ack')
  second.send({ type: 'accepted', ref: 2 }, { type: 'accepted', ref: 3 }, { type: 'accepted', ref: question['cid'] })
  await Promise.all(sent)
  expect(told).toEqual(['signal {"from":"bob","data":"one"}', 'signal {"from":"bob","data":"two"}', 'state "reconnecting"', 'state "joined"', 'signal {"from":"bob","data":"three"}'])
  second.socket.terminate()
  expect((await server.accept()).protocols).toContain('turnpike.resume.s_1.second')
})

test('an error that was on its way when the socket was lost is not taken for a success', async () => {
  const { server, room, first } = await joined()
  const sent = room.send('zoe', 1)
  await first.next('signal')
  first.socket.terminate()
  const second = await comeBack(server, { resumed: true, accepted: 1 })
  const question = await second.next('ack')
  expect(second.frames.filter(({ type }) => type === 'signal')).toEqual([])
  second.send({ type: 'error', seq: 1, ref: 1, code: 'not-permitted', message: 'no' }, { type: 'accepted', ref: question['cid'] })
  await expect(sent).rejects.toMatchObject({ code: 'not-permitted', retry: 'never' })
})

test('a session that is gone is told, with what may not have arrived and who came and went; the rest is sent again', async () => {
  const peers = ['bob', 'eve'].map(id => ({ id, role: null, metadata: {}, polite: false }))
  const { server, room, first, told } = await joined({}, { peers })
  for (const n of [1, 2, 3]) room.send('bob', n).catch(() => {})
  await until('all', () => first.frames.length === 3)
  first.send({ type: 'accepted', ref: 1 }, { type: 'accepted', ref: 2 }, { type: 'delivered', cid: 1 }, signal(1, 'x'))
  await until('the signal', () => told.length === 1)
  first.socket.terminate()
  const second = await comeBack(server, { session: 's_2', resume: 's_2.first', peers: [{ ...peers[0], polite: true }, { id: 'zoe', role: null, metadata: {}, polite: true }] })
  expect(await second.next('signal')).toMatchObject({ cid: 3, data: 3 })
  expect(told.slice(2)).toEqual([
    'state "joined"',
    'session-lost {"undelivered":[{"cid":2,"to":"bob","data":2}]}',
    'peer-left {"id":"eve","reason":"lost"}',
    'peer-updated {"id":"bob","role":null,"metadata":{},"polite":true}',
    'peer-joined {"id":"zoe","role":null,"metadata":{},"polite":true}',
  ])
  // The numbers of the new session begin anew.
  second.send(signal(1, 'y'))
  await until('the signal', () => told.at(-1) === 'signal {"from":"bob","data":"y"}')
  second.socket.terminate()
  expect((await server.accept()).query.get('ack')).toBe('1')
})

test('many changes at once are told one by one: who left, who joined, who is described anew', async () => {
  const { first, told, room } = await joined({}, { peers: [{ id: 'bob', role: null, metadata: {}, polite: false }, { id: 'eve', role: null, metadata: {}, polite: false }] })
  const view = (id: string): object => ({ id, role: null, metadata: { new: true }, polite: true })
  first.send({ type: 'presence', seq: 1, left: [{ id: 'bob', reason: 'left' }], joined: [view('zoe')], updated: [view('eve')] }, { type: 'message', seq: 2, data: 'hi' }, { type: 'unheard-of', seq: 3 })
  await until('the last', () => told.some(text => text.startsWith('message')))
  expect(told.map(text => text.slice(0, 24))).toEqual(['peer-left {"id":"bob","r', 'peer-joined {"id":"zoe",', 'peer-updated {"id":"eve"', 'message "hi"'])
  expect([...room.peers.keys()].sort()).toEqual(['eve', 'zoe'])
})

test('what was processed is acknowledged in portions: after 64 frames, after a moment, and on what is sent', async () => {
  const { first, room, told } = await joined()
  first.send(...Array.from({ length: 70 }, (_, i) => signal(i + 1, i)))
  expect(await first.next('ack')).toEqual({ type: 'ack', seq: 64 })
  expect(await first.next('ack')).toEqual({ type: 'ack', seq: 70 })
  first.send(signal(71, 'last'))
  await until('it', () => told.length === 71)
  room.send('bob', 'x').catch(() => {})
  expect(await first.next('signal')).toMatchObject({ ack: 71 })
  expect(first.frames.length).toBe(3)
})

test.each([
  [4003, 'never', ''], [4001, 'never', ''], [1009, 'never', ''], [1000, 'never', ''], [4200, 'now', 's_1.first'], [1001, 'now', 's_1.first'], [4100, 'backoff', 's_1.first'], [1011, 'backoff', 's_1.first'],
])('a close with %i means: %s', async (code, retry, secret) => {
  const { server, room, first, told } = await joined()
  if (code === 4003) first.send({ type: 'error', ref: null, code: 'kicked', message: 'out' })
  first.socket.close(code, 'why')
  if (retry === 'never') {
    await until('the end', () => room.state === 'closed')
    expect(told.at(-1)).toBe(code === 4003 ? 'closed kicked never' : 'closed connection-ended never')
    await expect(room.send('bob', 1)).rejects.toMatchObject({ code: code === 4003 ? 'kicked' : 'connection-ended' })
    expect(server.sockets.length).toBe(1)
  } else expect((await server.accept()).protocols).toContain(`turnpike.resume.${secret}`)
})

test('a room that is left settles everything: promises, iterators, listeners', async () => {
  const { room, first, told } = await joined()
  const waiting = room.send('bob', 1)
  const seen: string[] = []
  const reading = (async () => { for await (const { type } of room.events()) seen.push(type) })()
  first.send(signal(1, 'x'))
  await until('the signal', () => told.length === 1)
  room.leave()
  room.leave()
  await expect(waiting).rejects.toMatchObject({ code: 'left' })
  await expect(room.send('bob', 2)).rejects.toMatchObject({ code: 'left' })
  await reading
  expect(seen).toEqual(['signal', 'state', 'closed'])
  expect(told.slice(1)).toEqual(['state "closed"', 'closed left never'])
  expect(await room.events().next()).toEqual({ done: true, value: undefined })
})

test('while the server is away so many frames wait and no more; they go when it is back', async () => {
  const { server, room, first, told } = await joined({ queueFrames: 3 })
  await server.stop()
  await until('being away', () => room.state === 'reconnecting')
  const sent = [1, 2, 3].map(n => room.send('bob', n))
  await expect(room.send('bob', 4)).rejects.toMatchObject({ code: 'queue-full', retry: 'backoff' })
  const again = await startSignalServer(Number(new URL(server.url).port))
  const second = await comeBack(again, { resumed: true })
  await until('all', () => second.frames.filter(({ type }) => type === 'signal').length === 3)
  second.send({ type: 'accepted', ref: 3 })
  await Promise.all(sent)
  expect(first.frames).toEqual([])
  expect(told).toEqual(['state "reconnecting"', 'state "joined"'])
})

test('frames leave no faster than the server takes them', async () => {
  const { room, first } = await joined({ framesPerSecond: 25 })
  const begunAt = performance.now()
  for (let i = 0; i < 110; i++) room.send('bob', i).catch(() => {})
  await until('the burst', () => first.frames.length >= 100)
  expect(first.frames.length).toBeLessThan(110)
  await until('the rest', () => first.frames.length === 110)
  expect(performance.now() - begunAt).toBeGreaterThan(300)
  expect(first.frames.map(({ data }) => data)).toEqual(Array.from({ length: 110 }, (_, i) => i))
})

test('a socket that has gone silent is found and left for another one', async () => {
  const { server, room, first } = await joined({}, { heartbeat: 0.1 })
  // It is open, and nobody answers.
  const question = await first.next('ack')
  expect(question['cid']).toBe(1)
  const second = await comeBack(server, { resumed: true, heartbeat: 10 })
  expect(second.protocols).toContain('turnpike.resume.s_1.first')
  // Not without a code, nor with 1000: that would say that we leave.
  await until('the close', () => first.closed !== null)
  expect(first.closed).toBe(4200)
  await until('the welcome', () => room.state === 'joined')
})

test('a server that cannot be reached is given up after the time that was set', async () => {
  const { server, room, told } = await joined({ reconnect: { ...QUICK, giveUpAfterMs: 150 } })
  await server.stop()
  await until('the end', () => room.state === 'closed')
  expect(told.at(-1)).toBe('closed connection-lost backoff')
})

test('joining says why it was refused, and waits for a server that is not there yet', async () => {
  const server = await startSignalServer()
  server.refusal = { status: 503, code: 'room-full', detail: 'the room holds 2' }
  await expect(join({ url: server.url, token: 'x' })).rejects.toMatchObject({ code: 'room-full', retry: 'backoff', message: 'the room holds 2' })
  expect(server.attempts).toBe(1)
  server.refusal = { status: 401, code: 'token-expired', detail: 'old' }
  await expect(join({ url: server.url, token: 'x' })).rejects.toMatchObject({ code: 'token-expired', retry: 'never' })
  await server.stop()
  await expect(join({ url: server.url, token: 'x', reconnect: QUICK, joinWithinMs: 100 })).rejects.toMatchObject({ code: 'connection-lost', retry: 'backoff' })
  const joining = join({ url: server.url, token: 'x', reconnect: QUICK })
  const later = await startSignalServer(Number(new URL(server.url).port))
  ;(await later.accept()).send(welcome())
  const room = await joining
  expect(room.state).toBe('joined')
  room.leave()
})

test('another token is asked for where there is none, where the one there is has expired, and where the server refused it', async () => {
  const server = await startSignalServer()
  let asked = 0
  let isGood = true
  const getToken = async (): Promise<string> => {
    if (isGood) server.refusal = null
    return `fresh${++asked}`
  }
  const expired = `x.${Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) - 1 })).toString('base64url')}.y`
  const joining = join({ url: server.url, token: expired, getToken, reconnect: QUICK })
  const first = await server.accept()
  expect(first.protocols[1]).toBe('turnpike.token.fresh1')
  first.send(welcome())
  const room = await joining
  whenDone(() => room.leave())
  server.refusal = { status: 401, code: 'token-expired', detail: 'old' }
  first.socket.terminate()
  const second = await server.accept()
  expect(second.protocols).toContain('turnpike.token.fresh2')
  expect(asked).toBe(2)
  await expect(join({ url: server.url, getToken: async () => { throw new Error('signed out') } })).rejects.toMatchObject({ code: 'token-unavailable', message: 'getToken failed: signed out' })
  isGood = false
  server.refusal = { status: 401, code: 'token-invalid', detail: 'no' }
  await expect(join({ url: server.url, token: 'old', getToken })).rejects.toMatchObject({ code: 'token-invalid' })
  expect(asked).toBe(3)
})

test('a gap in the numbers is not passed over: it is asked for again', async () => {
  const { server, first, told } = await joined()
  first.send(signal(1, 'one'), signal(3, 'three'))
  const second = await comeBack(server, { resumed: true })
  expect(second.query.get('ack')).toBe('1')
  second.send(signal(2, 'two'), signal(3, 'three'))
  await until('all', () => told.filter(text => text.startsWith('signal')).length === 3)
  expect(told.filter(text => text.startsWith('signal')).map(text => text.slice(28))).toEqual(['"one"}', '"two"}', '"three"}'])
})

test('where there is no WebRTC, connecting says so; so does a peer that is not there', async () => {
  const { room } = await joined({}, { peers: [{ id: 'bob', role: null, metadata: {}, polite: false }] })
  expect(() => room.connect('zoe')).toThrowError(expect.objectContaining({ code: 'peer-unavailable' }))
  expect(() => room.connect('bob')).toThrowError(expect.objectContaining({ code: 'no-webrtc' }))
})
