import { expect, test } from 'vitest'
import type { Happening, Requests, Speaker } from '../../../../src/signaling/dialect.ts'
import { ayame } from '../../../../src/signaling/dialects/ayame.ts'

const self: Speaker = { info: { id: 'me', role: null, metadata: {} }, project: 'p', form: null }
const candidate = { candidate: 'candidate:1 1 UDP 1 10.0.0.1 1 typ host', sdpMid: '0', sdpMLineIndex: 0 }

function asked (text: string): unknown[] {
  const done: unknown[] = []
  const requests: Requests = { signal: (_from, to, signal) => done.push([to, signal]), update: () => done.push('update'), leave: () => done.push('leave') }
  ayame.receive(self, text, requests)
  return done
}
const welcome = (peers: string[], speaker = self): Happening => ({ type: 'welcome', session: 's_1', resume: 'r', self: speaker.info, room: { id: 'r', capacity: 2, kind: 'pair', metadata: {} }, peers: peers.map(id => ({ id, role: null, metadata: {}, polite: false })), iceServers: [{ urls: ['turn:x'], username: 'u', credential: 'c' }], iceExpiresAt: 1, heartbeat: 10, grace: 30, resumed: false, accepted: null, delivered: null })

test('offers, answers and candidates go to the other one as the very text they are', () => {
  for (const body of ['{"type":"offer", "sdp":"v=0"}', '{"sdp":"v=0","type":"answer"}', '{"type":"candidate","ice":{"candidate":"x"},"more":1.0}']) {
    expect(asked(body)).toEqual([['*', { spoken: 'ayame', body }]])
    expect(ayame.relay('a', body, self)).toBe(body)
  }
})

test('connected and bye leave, pong does nothing', () => {
  expect([...asked('{"type":"connected"}'), ...asked('{"type":"bye"}'), ...asked('{"type":"pong"}')]).toEqual(['leave', 'leave'])
})

test.each([['{"type":"register"}', 'frame-unknown'], ['{}', 'frame-unknown'], ['{"type":{}}', 'frame-unknown'], [`{"type":${'['.repeat(9000)}${']'.repeat(9000)}}`, 'frame-unknown'], ['{', 'frame-not-json'], ['[]', 'frame-not-json'], ['null', 'frame-not-json']])('%.40s is refused with %s', (text, code) => {
  expect(() => asked(text)).toThrow(expect.objectContaining({ code }) as Error)
})

test('accept brings ICE servers, and says whether somebody is there to make an offer to', () => {
  const accept = { type: 'accept', connectionId: 's_1', iceServers: [{ urls: ['turn:x'], username: 'u', credential: 'c' }], isExistClient: false, isExistUser: false }
  expect(ayame.tell(welcome([]), self).map(text => JSON.parse(text) as unknown)).toEqual([accept])
  expect(ayame.tell(welcome(['a']), self).map(text => JSON.parse(text) as unknown)).toEqual([{ ...accept, isExistClient: true, isExistUser: true }])
  const known: Speaker = { ...self, info: { ...self.info, metadata: { name: 'Ada' } } }
  expect(ayame.tell(welcome([]), known).map(text => JSON.parse(text) as unknown)).toEqual([{ ...accept, authzMetadata: { name: 'Ada' } }])
})

test('who leaves says bye; of all else it has no words', () => {
  const view = { id: 'a', role: null, metadata: {}, polite: true }
  expect(ayame.tell({ type: 'peer-left', id: 'a', reason: 'lost' }, self)).toEqual(['{"type":"bye"}'])
  expect(ayame.tell({ type: 'presence', left: [{ id: 'a', reason: 'left' }], joined: [view], updated: [] }, self)).toEqual(['{"type":"bye"}'])
  const silent: Happening[] = [{ type: 'presence', left: [], joined: [view], updated: [view] }, { type: 'peer-joined', peer: view }, { type: 'message', data: '1' }, { type: 'error', ref: null, code: 'rate-limited', message: '', to: null }, { type: 'draining', reconnect: 'now', deadline: 1 }]
  expect(silent.flatMap(happening => ayame.tell(happening, self))).toEqual([])
})

test('native data is said in its words and its words are native data', () => {
  const pairs = [
    [{ description: { type: 'offer', sdp: 'v=0\r\n' } }, { type: 'offer', sdp: 'v=0\r\n' }],
    [{ description: { type: 'answer', sdp: 'v=0\r\n' } }, { type: 'answer', sdp: 'v=0\r\n' }],
    [{ candidate }, { type: 'candidate', ice: candidate }],
  ]
  for (const [native, own] of pairs) {
    expect(JSON.parse(ayame.fromNative('a', native, self) ?? 'null')).toEqual(own)
    expect(ayame.toNative(JSON.stringify(own))).toEqual(native)
  }
  expect(ayame.fromNative('a', { candidate: null }, self)).toBe('')
  expect(ayame.fromNative('a', { hello: 1 }, self)).toBeNull()
  expect(ayame.toNative('{"type":"candidate"}')).toEqual({ candidate: null })
  expect(ayame.toNative('{"type":"candidate","ice":{"sdpMid":"0"}}')).toBeUndefined()
  expect(ayame.toNative('{"type":"offer"}')).toBeUndefined()
})
