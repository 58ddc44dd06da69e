import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { until } from '../../kit/files.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'
import { createSignaling, type SignalGrant, type Socket } from '../../../src/signaling/signaling.ts'

const { config } = loadConfig({ env: {}, readFile: () => '' })
const NATIVE = { spoken: 'native' as const, ack: null }
const grant = (peer: string): SignalGrant => ({ project: 'p', room: 'r', peer, role: null, metadata: {}, kind: 'mesh', capacity: 2, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' })
const make = (limits = config.signaling, store = scratchStore()) => createSignaling({ limits, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store, limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })

/** A socket that writes down what is done to it. */
function paper (): { socket: Socket, done: string[] } {
  const done: string[] = []
  const socket: Socket = { send: text => done.push(text), close: (code, reason) => done.push(`close ${code} ${reason}`), terminate: () => done.push('terminate'), ping: () => done.push('ping'), bufferedBytes: () => 0 }
  return { socket, done }
}

test('after the end nobody is admitted', async () => {
  const signaling = make()
  await signaling.start()
  await signaling.stop(10)
  expect(() => signaling.admit(grant('a'), '127.0.0.1')).toThrow(expect.objectContaining({ code: 'shutting-down' }))
})

test('somebody who was faster between the check and the upgrade: the later one is told, closed, and nobody hears of it', async () => {
  const signaling = make()
  const [first, second] = [paper(), paper()]
  signaling.admit(grant('a'), '127.0.0.1')
  signaling.attach(first.socket, grant('a'), '127.0.0.1', NATIVE)
  const events = signaling.attach(second.socket, grant('a'), '127.0.0.1', NATIVE)
  expect(second.done).toEqual([expect.stringContaining('"code":"peer-id-taken"'), 'close 4100 peer-id-taken'])
  events.onMessage(Buffer.from('{"type":"signal","to":"*","data":1}'), false)
  events.onClose(4100)
  expect(first.done).toHaveLength(1)
})

test('what nobody expected while a frame is carried out ends that session with internal, and is thrown at nobody', () => {
  const signaling = make()
  const [sender, receiver] = [paper(), paper()]
  const events = signaling.attach(sender.socket, grant('a'), '127.0.0.1', NATIVE)
  signaling.attach({ ...receiver.socket, send: text => { if (text.includes('"signal"')) throw new Error('a fault of ours') } }, grant('b'), '127.0.0.1', NATIVE)
  events.onMessage(Buffer.from('{"type":"signal","to":"b","data":1}'), false)
  expect(sender.done.at(-2)).toContain('"code":"internal"')
  expect(sender.done.at(-1)).toMatch(/^close 1011 /)
})

test('what closed sockets still hold counts as waiting, and is given up where that is too much', async () => {
  const signaling = make({ ...config.signaling, waitingBytes: 10_000_000 })
  await signaling.start()
  onTestFinished(() => signaling.stop(10))
  // They read nothing: their first frame is too much already.
  const slow = Array.from({ length: 8 }, () => paper())
  slow.forEach(({ socket }, i) => signaling.attach({ ...socket, bufferedBytes: () => 2_000_000 }, { ...grant(`peer ${i}`), capacity: 50 }, '127.0.0.1', NATIVE))
  expect(slow.every(({ done }) => done.at(-1)?.startsWith('close 4108'))).toBe(true)
  expect(() => signaling.admit({ ...grant('newcomer'), capacity: 50 }, '127.0.0.1')).toThrow(expect.objectContaining({ code: 'server-full' }))
  await until('they are given up', () => slow.every(({ done }) => done.at(-1) === 'terminate'))
  signaling.admit({ ...grant('newcomer'), capacity: 50 }, '127.0.0.1')
})

test('signals to peers that never come fill a quarter of what may wait, and nobody is ended for them', () => {
  const signaling = make({ ...config.signaling, waitingBytes: 400_000 })
  const [sender, slow] = [paper(), paper()]
  const events = signaling.attach(sender.socket, { ...grant('a'), capacity: 50 }, '127.0.0.1', NATIVE)
  signaling.attach({ ...slow.socket, bufferedBytes: () => 20_000 }, { ...grant('b'), capacity: 50, room: 'another' }, '127.0.0.1', NATIVE)
  const data = 'x'.repeat(10_000)
  for (let i = 0; i < 100; i++) events.onMessage(Buffer.from(JSON.stringify({ type: 'signal', to: `nobody ${i}`, data })), false)
  expect(sender.done.filter(text => text.includes('peer-unavailable'))).toHaveLength(91)
  signaling.rooms.say('p', 'another', 'b', 'still there')
  expect(slow.done.some(text => text.startsWith('close'))).toBe(false)
  signaling.admit({ ...grant('c'), capacity: 50 }, '127.0.0.1')
})

test('after a restart, delivered goes no further than the oldest that has not been acknowledged, whoever it was for', async () => {
  const store = scratchStore()
  const before = make(config.signaling, store)
  const of = (peer: string): SignalGrant => ({ ...grant(peer), capacity: 50 })
  const papers = ['first', 'second', 'sender'].map(() => paper())
  const events = papers.map(({ socket }, i) => before.attach(socket, of(['first', 'second', 'sender'][i] ?? ''), '127.0.0.1', { spoken: 'native', ack: 0 }))
  events[2]?.onMessage(Buffer.from('{"type":"signal","cid":1,"to":"second","data":1}'), false)
  events[2]?.onMessage(Buffer.from('{"type":"signal","cid":2,"to":"first","data":2}'), false)
  await before.stop(10)
  const after = make(config.signaling, store)
  await after.start()
  onTestFinished(() => after.stop(10))
  const again = paper()
  const { resume } = JSON.parse(papers[2]?.done[0] ?? '') as { resume: string }
  after.resume(again.socket, resume, 0, '127.0.0.1')
  expect(JSON.parse(again.done[0] ?? '')).toMatchObject({ resumed: true, accepted: 2, delivered: 0 })
})

test('who is kicked when sessions are written down already does not come back in the next process', async () => {
  const store = scratchStore()
  const before = make(config.signaling, store)
  const a = paper()
  before.attach(a.socket, grant('a'), '127.0.0.1', { spoken: 'native', ack: 0 })
  const { resume } = JSON.parse(a.done[0] ?? '') as { resume: string }
  await before.stop(10)
  await before.rooms.kick('p', 'r', 'a', 'a test', work => work())
  const after = make(config.signaling, store)
  await after.start()
  onTestFinished(() => after.stop(10))
  expect(() => after.requireSession(resume)).toThrow(expect.objectContaining({ code: 'session-unknown' }))
})
