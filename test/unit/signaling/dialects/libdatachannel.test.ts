import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { libdatachannel } from '../../../../src/signaling/dialects/libdatachannel.ts'
import type { Happening, Requests, Signal, Speaker } from '../../../../src/signaling/dialect.ts'

type Sent = { to: string, signal: Signal, ref: number | null }
const { receive, relay, fromNative, toNative, tell } = libdatachannel

function speaker (id: string): Speaker {
  return { info: { id, role: null, metadata: {} }, project: 'default', form: null }
}

function said (self: Speaker, ...texts: string[]): Sent[] {
  const sent: Sent[] = []
  const refuse = (): never => { throw new Error('asked for something that this protocol has no words for') }
  const requests: Requests = { signal: (_from, to, signal, ref) => { sent.push({ to, signal, ref }) }, update: refuse, leave: refuse }
  for (const text of texts) receive(self, text, requests)
  return sent
}

const OFFER = { type: 'offer', sdp: 'v=0\r\n' }
const CANDIDATE = 'candidate:1 1 UDP 2122317823 10.5.0.6 53578 typ host'

test('every frame of the recorded exchange comes out as it was recorded', () => {
  const lines = readFileSync('test/fixtures/dialects/fogros2-sgc.txt', 'utf8').trim().split('\n').map(line => /^Client (\S+) (<<|>>) (.*)$/.exec(line))
  const frames = lines.filter(line => line !== null).map(([, client = '', way, text = '']) => ({ client, way, text }))
  let compared = 0
  for (const [i, { client, way, text }] of frames.entries()) {
    if (way !== '<<') continue
    const [sent] = said(speaker(client), text)
    const out = frames[i + 1]
    expect(sent).toEqual({ to: out?.client, signal: { spoken: 'libdatachannel', body: text }, ref: null })
    expect(relay(client, sent?.signal.body ?? '', speaker(sent?.to ?? ''))).toBe(out?.text)
    compared++
  }
  expect(compared).toBe(6)
})

test('between its clients each form goes on as it is, with whatever else it holds', () => {
  for (const rest of ['"type":"offer","description":"v=0","x":{"id":"kept"}', '"payload":{"sdp":"v=0","type":"offer"},"n":1.50', '"type":"request"', '"type":"offer","sdp":"v=0"', '"anything": [ 1 ]']) {
    expect(relay('13,7,255,0', `{"id":"b",${rest}}`, speaker('b'))).toBe(`{"id":"13,7,255,0",${rest}}`)
  }
})

test('what each form means to others', () => {
  expect(toNative(JSON.stringify({ id: 'b', type: 'offer', description: 'v=0\r\n' }))).toEqual({ description: OFFER })
  expect(toNative(JSON.stringify({ id: 'b', type: 'offer', sdp: 'v=0\r\n' }))).toEqual({ description: OFFER })
  expect(toNative(JSON.stringify({ id: 'b', payload: OFFER }))).toEqual({ description: OFFER })
  expect(toNative(JSON.stringify({ id: 'b', type: 'candidate', candidate: `a=${CANDIDATE}`, mid: '0' }))).toEqual({ candidate: { candidate: CANDIDATE, sdpMid: '0' } })
  expect(toNative(JSON.stringify({ id: 'b', payload: { candidate: CANDIDATE, sdpMid: 'data' } }))).toEqual({ candidate: { candidate: CANDIDATE, sdpMid: 'data' } })
  expect(toNative(JSON.stringify({ id: 'b', type: 'candidate', candidate: CANDIDATE }))).toEqual({ candidate: { candidate: CANDIDATE, sdpMid: '0' } })
  for (const other of [{ type: 'request' }, { type: 'offer' }, { type: 'bye', description: 'v=0' }, { type: 'offer', description: 7 }, { payload: { sdp: 'v=0' } }, { payload: null }, { candidate: {} }, {}]) expect(toNative(JSON.stringify({ id: 'b', ...other })), JSON.stringify(other)).toBeUndefined()
})

test('a client is spoken to in the form in which it spoke first', () => {
  const from = 'browser'
  const candidate = { candidate: CANDIDATE, sdpMid: '1', sdpMLineIndex: 1, usernameFragment: '3EXV' }
  const told = (first: object): unknown[] => {
    const self = speaker('robot')
    said(self, JSON.stringify({ id: 'x', ...first }), JSON.stringify({ id: 'x', type: 'offer', description: 'v=0' }), JSON.stringify({ id: 'x', payload: OFFER }))
    return [fromNative(from, { description: OFFER }, self), fromNative(from, { candidate }, self)].map(text => JSON.parse(text ?? 'null') as unknown)
  }
  const plainCandidate = { id: from, type: 'candidate', candidate: CANDIDATE, mid: '1' }
  expect(told({ type: 'offer', description: 'v=0' })).toEqual([{ id: from, type: 'offer', description: 'v=0\r\n' }, plainCandidate])
  expect(told({ type: 'candidate', candidate: CANDIDATE, mid: '0' })).toEqual([{ id: from, type: 'offer', description: 'v=0\r\n' }, plainCandidate])
  expect(told({ type: 'request' })).toEqual([{ id: from, ...OFFER }, plainCandidate])
  expect(told({ payload: OFFER })).toEqual([{ id: from, payload: OFFER }, { id: from, payload: { candidate: CANDIDATE, sdpMid: '1' } }])
  // Nothing that tells, and then the plain form.
  expect(told({ hello: 1 })).toEqual([{ id: from, type: 'offer', description: 'v=0\r\n' }, plainCandidate])
  expect(fromNative('13,7', { description: OFFER }, { ...speaker('robot'), form: 'payload' })).toBe('{"id":"13,7","payload":{"sdp":"v=0\\r\\n","type":"offer"}}')
})

test('a client that has said nothing yet finds either form in one frame', () => {
  const self = speaker('robot')
  expect(JSON.parse(fromNative('b', { description: OFFER }, self) ?? '')).toEqual({ id: 'b', type: 'offer', description: 'v=0\r\n', payload: OFFER })
  expect(JSON.parse(fromNative('b', { candidate: { candidate: CANDIDATE, sdpMLineIndex: 2 } }, self) ?? '')).toEqual({ id: 'b', type: 'candidate', candidate: CANDIDATE, mid: '2', payload: { candidate: CANDIDATE, sdpMid: '2' } })
})

test('what has no words here is refused to the sender, and the end of candidates needs none', () => {
  for (const data of [null, 1, 'x', [], {}, { description: { type: 'rollback', sdp: '' } }, { description: 'v=0' }, { candidate: 'x' }, { candidate: {} }, { type: 'offer', sdp: 'v=0' }]) expect(fromNative('b', data, speaker('a')), JSON.stringify(data)).toBeNull()
  for (const data of [{ candidate: null }, { candidate: { candidate: '', sdpMid: '0' } }]) expect(fromNative('b', data, speaker('a'))).toBe('')
})

test('nothing that happens is told', () => {
  const peer = { id: 'b', role: null, metadata: {}, polite: true }
  const happenings: Happening[] = [
    { type: 'welcome', session: 's', resume: 'r', self: peer, room: { id: 'r', capacity: 2, kind: 'mesh', metadata: {} }, peers: [peer], iceServers: [], iceExpiresAt: null, heartbeat: 10, grace: 30, resumed: false, accepted: null, delivered: null },
    { type: 'peer-joined', peer }, { type: 'peer-left', id: 'b', reason: 'lost' }, { type: 'presence', left: [], joined: [peer], updated: [] }, { type: 'ice-servers', iceServers: [], iceExpiresAt: 1 },
    { type: 'message', data: '1' }, { type: 'accepted', ref: 1 }, { type: 'delivered', cid: 1 }, { type: 'error', ref: null, code: 'peer-unavailable', message: '', to: 'b' }, { type: 'draining', reconnect: 'now', deadline: 1 },
  ]
  expect(happenings.flatMap(happening => tell(happening, speaker('a')))).toEqual([])
})

test('what is no frame is refused', () => {
  const refusal = (text: string): unknown => {
    try {
      return said(speaker('a'), text)
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  for (const text of ['', 'x', '[]', 'null', '"id"', '{"id":"b"', '\uFEFF{"id":"b"}']) expect(refusal(text), text).toBe('frame-not-json')
  for (const id of [undefined, null, 7, {}, '', '*', 'a/b', 'a\nb', 'x'.repeat(129)]) expect(refusal(JSON.stringify({ id, type: 'offer' })), String(id)).toBe('frame-invalid')
  expect(refusal('{"id":"1,2,3,4,200,17,5,9","payload":1}')).toMatchObject([{ to: '1,2,3,4,200,17,5,9' }])
  expect(refusal('{"id":"a%2Cb"}')).toMatchObject([{ to: 'a%2Cb' }])
})
