/** PeerJS against bytes: what npm peerjs 1.5.5 sends, and what npm peer 1.0.2 makes of it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Happening, Requests, Signal, Speaker } from '../../../../src/signaling/dialect.ts'
import { peerjs } from '../../../../src/signaling/dialects/peerjs.ts'

const self: Speaker = { info: { id: 'bob', role: null, metadata: {} }, project: 'default', form: null }
type Asked = ['leave'] | ['signal', string, Signal, number | null]

function asked (text: string): Asked[] {
  const seen: Asked[] = []
  const requests: Requests = { signal: (_from, to, signal, ref) => { seen.push(['signal', to, signal, ref]) }, leave: () => { seen.push(['leave']) }, update: () => { throw new Error('PeerJS has no metadata') } }
  peerjs.receive(self, text, requests)
  return seen
}

/** What alice is sent when bob has sent this. */
function forwarded (text: string): string {
  const [first] = asked(text)
  if (first?.[0] !== 'signal') throw new Error('nothing was forwarded')
  return peerjs.relay('bob', first[2].body, { ...self, info: { ...self.info, id: first[1] } })
}

const OFFER = '{"type":"OFFER","payload":{"sdp":{"type":"offer","sdp":"v=0\\r\\no=- 1 2\\r\\n"},"type":"data","connectionId":"dc_x","label":"dc_x","reliable":false,"serialization":"binary"},"dst":"alice"}'
const EXPIRED = { type: 'error', ref: null, code: 'peer-unavailable', message: 'nobody came', to: 'nobody' } as const

test.each([
  ['an offer', OFFER, '{"type":"OFFER","src":"bob","dst":"alice","payload":{"sdp":{"type":"offer","sdp":"v=0\\r\\no=- 1 2\\r\\n"},"type":"data","connectionId":"dc_x","label":"dc_x","reliable":false,"serialization":"binary"}}'],
  ['an answer in any spelling', '{ "dst" : "alice", "payload" : {"sdp": "\\u0076=0", "n": 1e2 } ,"type":"ANSWER" }', '{"type":"ANSWER","src":"bob","dst":"alice","payload":{"sdp": "\\u0076=0", "n": 1e2 }}'],
  ['a candidate with a forged src and more', '{"type":"CANDIDATE","src":"eve","x":{"payload":1},"payload":"p,q","dst":"alice"}', '{"type":"CANDIDATE","src":"bob","dst":"alice","payload":"p,q"}'],
  ['a goodbye without a payload', '{"type":"LEAVE","dst":"alice"}', '{"type":"LEAVE","src":"bob","dst":"alice"}'],
  ['an expiry', '{"type":"EXPIRE","dst":"alice","payload":null}', '{"type":"EXPIRE","src":"bob","dst":"alice","payload":null}'],
])('%s goes on as type, src, dst and payload', (_what, sent, arrives) => {
  expect(forwarded(sent)).toBe(arrives)
})

test('ids are written as JSON', () => {
  const text = JSON.stringify({ type: 'OFFER', dst: 'a"b,c', payload: 1 })
  expect(JSON.parse(forwarded(text))).toEqual({ type: 'OFFER', src: 'bob', dst: 'a"b,c', payload: 1 })
})

test('a frame as most are written, with whatever is broken in it, is taken as in any other spelling, and goes on as whole JSON', () => {
  const type = fc.constantFrom('"OFFER"', '"ANSWER"', '"CANDIDATE"', '"LEAVE"', '"HEARTBEAT"', '"OFF\\u0045R"', '["OFFER"]')
  const payload = fc.oneof(fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 })).map(value => JSON.stringify(value)), fc.json({ maxDepth: 1 }),
    fc.constantFrom('{},"dst":"eve"', '{"a":"},\\"dst\\":\\"eve\\"}"}', '{"dst":"x"},"payload":{}', '{"b":{},"dst":"eve"}', ' {"a": 1}', '{"a":1} ', '{"a":1', '{}}', '{"a":01}', '{"a":"\n"}'))
  const dst = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('"alice"', '"\u00e9\u{1F600}"') }, { weight: 1, arbitrary: fc.string({ maxLength: 5 }).map(text => JSON.stringify(text)) },
    { weight: 1, arbitrary: fc.constantFrom('"ali\\u0063e"', '"a\nb"', '"\u007f"', '"\\"', '"a\\""', '""', '5', 'null', '"*"', '"alice","dst":"bob"', '"alice","x":1') })
  const splice = fc.option(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), remove: fc.nat(2), insert: fc.constantFrom('', ' ', '"', '}', '{', ',', '\\', '0', '\u00e9') }), { nil: undefined })
  const outcome = (text: string): Asked[] | string => {
    try {
      return asked(text)
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  let carried = 0
  fc.assert(fc.property(fc.record({ type, payload, dst, splice }), ({ type, payload, dst, splice }) => {
    const frame = `{"type":${type},"payload":${payload},"dst":${dst}}`
    const at = Math.floor((splice?.at ?? 0) * frame.length)
    const text = splice === undefined ? frame : frame.slice(0, at) + splice.insert + frame.slice(at + splice.remove)
    const seen = outcome(text)
    // No client begins with a space.
    expect(seen).toEqual(outcome(` ${text}`))
    if (typeof seen === 'string' || seen[0]?.[0] !== 'signal') return
    carried++
    const sent = JSON.parse(text) as Record<string, unknown>
    expect(JSON.parse(forwarded(text))).toEqual({ type: sent['type'], src: 'bob', dst: seen[0][1], ...(Object.hasOwn(sent, 'payload') ? { payload: sent['payload'] } : {}) })
  }), { numRuns: 5000 })
  expect(carried).toBeGreaterThan(500)
})

test.each([
  '{"type":"HEARTBEAT"}',
  '{"type":"HEARTBEAT","dst":"alice","payload":1}',
  '{"type":"OPEN","dst":"alice"}',
  '{"type":"ERROR","dst":"alice","payload":{"msg":"x"}}',
  '{"type":"ID-TAKEN","dst":"alice"}',
  '{"type":"offer","dst":"alice"}',
  '{"type":["OFFER"],"dst":"alice"}',
  '{"type":"OFFER"}',
  '{"type":"OFFER","dst":""}',
  '{"type":"OFFER","dst":5}',
  '{"type":"LEAVE","dst":5}',
  '{"dst":"alice"}',
  '{}',
])('%s is taken and nothing comes of it', text => {
  expect(asked(text)).toEqual([])
})

test.each(['{"type":"LEAVE"}', '{"type":"LEAVE","dst":""}', '{"type":"LEAVE","dst":null}'])('%s leaves', text => {
  expect(asked(text)).toEqual([['leave']])
})

test.each(['', 'null', '[]', '"OFFER"', '{"type":"OFFER"', '{"type":"OFFER","dst":"alice","payload":}'])('%j is refused', text => {
  expect(() => asked(text)).toThrow(expect.objectContaining({ code: 'frame-not-json' }))
})

test('it opens with OPEN and says nothing of who comes and goes', () => {
  const peer = { id: 'alice', role: null, metadata: {}, polite: true }
  const room = { id: 'r', capacity: 2, kind: 'mesh' as const, metadata: {} }
  const welcome: Happening = { type: 'welcome', session: 's', resume: 'secret', self: self.info, room, peers: [peer], iceServers: [], iceExpiresAt: null, heartbeat: 10, grace: 30, resumed: false, accepted: null, delivered: null }
  expect(peerjs.tell(welcome, self)).toEqual(['{"type":"OPEN"}'])
  const silent: Happening[] = [{ type: 'peer-joined', peer }, { type: 'peer-updated', peer }, { type: 'peer-left', id: 'alice', reason: 'left' }, { type: 'presence', left: [], joined: [peer], updated: [] },
    { type: 'ice-servers', iceServers: [], iceExpiresAt: 1 }, { type: 'message', data: '1' }, { type: 'accepted', ref: 1 }, { type: 'delivered', cid: 1 }, { type: 'draining', reconnect: 'now', deadline: 1 }]
  expect(silent.map(happening => peerjs.tell(happening, self))).toEqual(silent.map(() => []))
})

test('who is not there is told as EXPIRE, whatever the reason', () => {
  expect(peerjs.tell(EXPIRED, self)).toEqual(['{"type":"EXPIRE","src":"nobody","dst":"bob"}'])
  expect(peerjs.tell({ ...EXPIRED, code: 'dialect-mismatch', to: 'a"b' }, self)).toEqual(['{"type":"EXPIRE","src":"a\\"b","dst":"bob"}'])
})

test.each(['LEAVE', 'EXPIRE'])('that a %s did not arrive is told to nobody', type => {
  const [signal] = asked(`{"type":"${type}","dst":"nobody"}`)
  expect(signal).toEqual(['signal', 'nobody', { spoken: 'peerjs', body: `"${type}"` }, expect.any(Number)])
  expect(peerjs.tell({ ...EXPIRED, ref: signal?.[3] ?? null }, self)).toEqual([])
})

test.each(['*', 'a/b', '/', '\u0000', 'x'.repeat(200)])('%j is the id of nobody, never of everybody, and expires under its name', dst => {
  const [signal] = asked(JSON.stringify({ type: 'OFFER', dst, payload: 1 }))
  expect(signal).toEqual(['signal', `/${dst.slice(0, 128)}`, { spoken: 'peerjs', body: '"OFFER","payload":1' }, null])
  expect(peerjs.tell({ ...EXPIRED, to: signal?.[1] ?? '' }, self)).toEqual([JSON.stringify({ type: 'EXPIRE', src: dst.slice(0, 128), dst: 'bob' })])
})

test('a refusal is ID-TAKEN, or ERROR with what is wrong', () => {
  expect(peerjs.tell({ type: 'error', ref: null, code: 'peer-id-taken', message: 'x', to: null }, self)).toEqual(['{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}'])
  expect(peerjs.tell({ type: 'error', ref: null, code: 'room-full', message: 'it has "50" peers', to: null }, self)).toEqual(['{"type":"ERROR","payload":{"msg":"The room is full: it has \\"50\\" peers (room-full)"}}'])
})

test('there are no words for it in other protocols, and none of theirs in it', () => {
  expect(peerjs.toNative('OFFER,"payload":{"sdp":{"type":"offer","sdp":"v=0"}}')).toBeUndefined()
  expect(peerjs.fromNative('alice', { description: { type: 'offer', sdp: 'v=0' } }, self)).toBeNull()
})
