import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createSignaling, type Signaling, type SignalGrant, type Socket } from '../../../src/signaling/signaling.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

beforeEach(() => { vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }) })
afterEach(() => { vi.useRealTimers() })

const { config } = loadConfig({ env: {}, readFile: () => '' })
const make = (): Signaling => createSignaling({ limits: { ...config.signaling, graceSeconds: 0 }, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })
type Told = Record<string, unknown> & { type: string }

/** Joins a room; what the peer is told after its welcome, and how to leave. */
function member (signaling: Signaling, peer: string, role: string | null = null): { told: Told[], say (frame: object): void, lose (code?: number): void } {
  const told: Told[] = []
  const socket: Socket = { send: text => told.push(JSON.parse(text) as Told), close: () => {}, terminate: () => {}, ping: () => {}, bufferedBytes: () => 0 }
  const grant: SignalGrant = { project: 'p', room: 'r', peer, role, metadata: {}, kind: role === null ? 'mesh' : 'topic', capacity: 1000, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' }
  const events = signaling.attach(socket, grant, '127.0.0.1', { spoken: 'native', ack: null })
  told.shift()
  return { told, say: frame => events.onMessage(Buffer.from(JSON.stringify(frame)), false), lose: (code = 1006) => events.onClose(code) }
}

/** Uses up what is told at once. */
function storm (signaling: Signaling): void {
  for (let i = 0; i < 10; i++) member(signaling, `storm ${i}`)
}

test('where little happens each change is told at once; in a storm, many in one frame', () => {
  const signaling = make()
  const a = member(signaling, 'a')
  storm(signaling)
  expect(a.told.filter(({ type }) => type === 'peer-joined')).toHaveLength(9)
  for (let i = 0; i < 20; i++) member(signaling, `late ${i}`)
  vi.advanceTimersByTime(100)
  expect(a.told).toHaveLength(10)
  expect(a.told.at(-1)).toMatchObject({ type: 'presence', seq: 10, left: [], updated: [] })
  expect((a.told.at(-1)?.['joined'] as { id: string, polite: boolean }[]).map(({ id, polite }) => [id, polite])).toEqual([['storm 9', true], ...Array.from({ length: 20 }, (_, i) => [`late ${i}`, true])])
})

test('who came and went between two rounds is not told of; who was there and went is, before those who came', () => {
  const signaling = make()
  const [a, b] = [member(signaling, 'a'), member(signaling, 'b')]
  storm(signaling)
  vi.advanceTimersByTime(100)
  const before = a.told.length
  const brief = member(signaling, 'brief')
  member(signaling, 'stays').say({ type: 'update', metadata: { x: 1 } })
  brief.lose()
  b.lose()
  vi.advanceTimersByTime(100)
  expect(a.told.slice(before)).toEqual([
    { type: 'peer-left', seq: before + 1, id: 'b', reason: 'lost' },
    { type: 'peer-joined', seq: before + 2, peer: { id: 'stays', role: null, metadata: { x: 1 }, polite: true } },
  ])
})

test('a peer that closes its socket with a code of ours is lost, and neither kicked nor replaced', () => {
  const signaling = make()
  const a = member(signaling, 'a')
  for (const code of [4001, 4003, 4004]) member(signaling, `b${code}`).lose(code)
  member(signaling, 'c').lose(1000)
  expect(a.told.filter(({ type }) => type === 'peer-left').map(({ reason }) => reason)).toEqual(['lost', 'lost', 'lost', 'left'])
})

test('nobody hears from a peer before it is told that there is one', () => {
  const signaling = make()
  const a = member(signaling, 'a')
  storm(signaling)
  vi.advanceTimersByTime(100)
  const before = a.told.length
  member(signaling, 'hasty').say({ type: 'signal', to: 'a', data: 'hello' })
  expect(a.told.slice(before).map(({ type }) => type)).toEqual(['peer-joined', 'signal'])
  vi.advanceTimersByTime(100)
  expect(a.told.slice(before)).toHaveLength(2)
})

test('in a topic nobody is told of their own kind', () => {
  const signaling = make()
  const [publisher, subscriber] = [member(signaling, 'p', 'publisher'), member(signaling, 's', 'subscriber')]
  member(signaling, 'p2', 'publisher')
  vi.advanceTimersByTime(100)
  expect(publisher.told.map(({ peer }) => (peer as { id: string }).id)).toEqual(['s'])
  expect(subscriber.told.map(({ peer }) => (peer as { id: string }).id)).toEqual(['p2'])
})

test('who is let go because of what it is told of a storm has left for everybody, before it and behind it', () => {
  const signaling = make()
  const a = member(signaling, 'a')
  let isSlow = false
  const slow: Socket = { send: () => {}, close: () => {}, terminate: () => {}, ping: () => {}, bufferedBytes: () => (isSlow ? 10_000_000 : 0) }
  signaling.attach(slow, { project: 'p', room: 'r', peer: 'slow', role: null, metadata: {}, kind: 'mesh', capacity: 1000, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' }, '127.0.0.1', { spoken: 'grpc', ack: null })
  const b = member(signaling, 'b')
  storm(signaling)
  isSlow = true
  vi.advanceTimersByTime(100)
  vi.advanceTimersByTime(100)
  for (const { told } of [a, b]) expect(told.filter(({ type }) => type === 'peer-left')).toEqual([expect.objectContaining({ id: 'slow', reason: 'lost' })])
})
