import { expect, test } from 'vitest'
import type { Happening, Requests, Speaker } from '../../../../src/signaling/dialect.ts'
import { grpc } from '../../../../src/signaling/dialects/grpc.ts'

const speaker = (role: string | null = null): Speaker => ({ info: { id: 'me', role, metadata: {} }, project: 'p', form: null })
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const sdp = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n'
const line = 'candidate:1 1 UDP 2122317823 10.5.0.6 53578 typ host'

/** What a frame asks for. */
function asked (frame: object, role: string | null = null): unknown[] {
  const done: unknown[] = []
  const requests: Requests = { signal: (_from, to, { body }) => done.push({ to, ...JSON.parse(body) as object }), update: () => done.push('update'), leave: () => done.push('leave') }
  grpc.receive(speaker(role), JSON.stringify(frame), requests)
  return done
}
const told = (happening: Happening): unknown[] => grpc.tell(happening, speaker('worker')).map(frame => JSON.parse(frame) as unknown)
const spoken = (event: string, text: string): unknown => grpc.toNative(JSON.stringify({ event, message: base64(text) }))

test('each event goes to the peer that is named, and a local candidate is no longer local there', () => {
  for (const event of ['OFFER', 'ANSWER', 'ACCEPT_ANSWER', 'ICE_CANDIDATE']) expect(asked({ peer: 'w', event, message: 'AAE=' })).toEqual([{ to: 'w', event, message: 'AAE=' }])
  expect(asked({ peer: 'w', event: 'LOCAL_ICE_CANDIDATE', message: 'AAE=' })).toEqual([{ to: 'w', event: 'ICE_CANDIDATE', message: 'AAE=' }])
  for (const event of ['BLANK', 'PING']) expect(asked({ peer: 'w', event, message: '' })).toEqual([])
})

test('a worker does not dial and a client does not answer', () => {
  const refused = expect.objectContaining({ code: 'not-permitted' }) as Error
  for (const event of ['OFFER', 'ACCEPT_ANSWER']) expect(() => asked({ peer: 'c', event, message: '' }, 'worker')).toThrow(refused)
  expect(() => asked({ peer: 'w', event: 'ANSWER', message: '' }, 'client')).toThrow(refused)
  expect(asked({ peer: 'w', event: 'OFFER', message: '' }, 'client')).toHaveLength(1)
  expect(asked({ peer: 'c', event: 'ANSWER', message: '' }, 'worker')).toHaveLength(1)
})

test.each([
  [{ peer: 'w', event: 'WELCOME', message: '' }, 'frame-unknown'],
  [{ peer: 'w', event: 99, message: '' }, 'frame-unknown'],
  [{ peer: 'w', event: 'constructor', message: '' }, 'frame-unknown'],
  [{ peer: '', event: 'OFFER', message: '' }, 'frame-invalid'],
  [{ peer: '*', event: 'OFFER', message: '' }, 'frame-invalid'],
  [{ peer: 'a/b', event: 'OFFER', message: '' }, 'frame-invalid'],
])('%j is refused with %s', (frame, code) => {
  expect(() => asked(frame)).toThrow(expect.objectContaining({ code }) as Error)
})

test('what the door could not read is refused', () => {
  const none: Requests = { signal: () => {}, update: () => {}, leave: () => {} }
  for (const text of ['', 'null', '1']) expect(() => grpc.receive(speaker(), text, none)).toThrow(expect.objectContaining({ code: 'frame-invalid' }) as Error)
})

test('to a peer of the same protocol bytes go as they are, under the name of the sender', () => {
  expect(JSON.parse(grpc.relay('a"b', '{"event":"OFFER","message":"AP8="}', speaker()))).toEqual({ peer: 'a"b', event: 'OFFER', message: 'AP8=' })
})

test('native data has words, except for what is not about negotiating', () => {
  const words = (data: unknown): unknown => JSON.parse(grpc.fromNative('n', data, speaker()) ?? 'null')
  expect(words({ description: { type: 'offer', sdp, extra: 1 } })).toEqual({ peer: 'n', event: 'OFFER', message: base64(JSON.stringify({ type: 'offer', sdp })) })
  expect(words({ description: { type: 'answer', sdp } })).toEqual({ peer: 'n', event: 'ANSWER', message: base64(JSON.stringify({ type: 'answer', sdp })) })
  const candidate = { candidate: line, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'x' }
  expect(words({ candidate })).toEqual({ peer: 'n', event: 'ICE_CANDIDATE', message: base64(JSON.stringify(candidate)) })
  for (const candidate of [null, { candidate: '' }]) expect(grpc.fromNative('n', { candidate }, speaker())).toBe('')
  for (const data of [{}, null, 1, 'x', [], { description: { type: 'rollback' } }, { description: null }, { candidate: 5 }, { candidate: { sdpMid: '0' } }]) expect(grpc.fromNative('n', data, speaker())).toBeNull()
})

test('what is said here is native data, bare or as JSON', () => {
  expect(spoken('OFFER', sdp)).toEqual({ description: { type: 'offer', sdp } })
  expect(spoken('ANSWER', JSON.stringify({ type: 'answer', sdp }))).toEqual({ description: { type: 'answer', sdp } })
  expect(spoken('ICE_CANDIDATE', line)).toEqual({ candidate: { candidate: line, sdpMid: null, sdpMLineIndex: 0 } })
  expect(spoken('ICE_CANDIDATE', `a=${line}\r\n`)).toEqual({ candidate: { candidate: line, sdpMid: null, sdpMLineIndex: 0 } })
  expect(spoken('ICE_CANDIDATE', JSON.stringify({ candidate: line, sdpMid: '1', sdpMLineIndex: 1 }))).toEqual({ candidate: { candidate: line, sdpMid: '1', sdpMLineIndex: 1 } })
  expect(spoken('ICE_CANDIDATE', '')).toEqual({ candidate: null })
  expect(spoken('ACCEPT_ANSWER', '')).toBeNull()
  for (const [event, text] of [['OFFER', JSON.stringify({ type: 'answer', sdp })], ['OFFER', '{'], ['ANSWER', 'x'], ['ICE_CANDIDATE', '{}']] as const) expect(spoken(event, text)).toBeUndefined()
})

test('what happens is told in events', () => {
  const peer = (id: string) => ({ id, role: 'client', metadata: {}, polite: true })
  const iceServers = [{ urls: ['turn:x'], username: 'u', credential: 'c' }]
  expect(told({ type: 'welcome', session: 's', resume: 'r', self: speaker().info, room: { id: 'r', capacity: 2, kind: 'mesh', metadata: {} }, peers: [peer('a')], iceServers, iceExpiresAt: 7, heartbeat: 10, grace: 30, resumed: false, accepted: null, delivered: null }))
    .toEqual([{ event: 'WELCOME', peer: 'me', role: 'worker', iceServers, iceExpiresAt: '7' }, { event: 'PEER_JOINED', peer: 'a', role: 'client' }])
  expect(told({ type: 'peer-joined', peer: peer('a') })).toEqual([{ event: 'PEER_JOINED', peer: 'a', role: 'client' }])
  expect(told({ type: 'peer-left', id: 'a', reason: 'lost' })).toEqual([{ event: 'PEER_LEFT', peer: 'a' }])
  expect(told({ type: 'presence', left: [{ id: 'a', reason: 'left' }], joined: [peer('b')], updated: [peer('c')] })).toEqual([{ event: 'PEER_LEFT', peer: 'a' }, { event: 'PEER_JOINED', peer: 'b', role: 'client' }])
  expect(told({ type: 'ice-servers', iceServers, iceExpiresAt: 8 })).toEqual([{ event: 'ICE_SERVERS', iceServers, iceExpiresAt: '8' }])
  expect(told({ type: 'message', data: '{"a":1}' })).toEqual([{ event: 'SERVER_MESSAGE', message: base64('{"a":1}') }])
  expect(told({ type: 'error', ref: null, code: 'peer-unavailable', message: 'm', to: 'w' })).toEqual([{ event: 'ERROR', peer: 'w', error: { code: 'peer-unavailable', message: 'm', retry: 'backoff' } }])
  expect(told({ type: 'draining', reconnect: 'now', deadline: 1 })).toEqual([{ event: 'DRAINING' }])
  expect([...told({ type: 'accepted', ref: 1 }), ...told({ type: 'delivered', cid: 1 }), ...told({ type: 'peer-updated', peer: peer('a') })]).toEqual([])
})
