import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createSignaling, type Signaling, type Socket } from '../../../src/signaling/signaling.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

beforeEach(() => { vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }) })
afterEach(() => { vi.useRealTimers() })

const { config } = loadConfig({ env: {}, readFile: () => '' })

function join (signaling: Signaling, peer: string, role: 'publisher' | 'subscriber'): string[] {
  const told: string[] = []
  const socket: Socket = { send: text => told.push(text), close: () => {}, terminate: () => {}, ping: () => {}, bufferedBytes: () => 0 }
  signaling.attach(socket, { project: 'p', room: 'r', peer, role, metadata: {}, kind: 'topic', capacity: 2000, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' }, '127.0.0.1', { spoken: 'native', ack: null })
  return told
}

test('1,000 joins in exactly one second are at most 30 frames for each of five members, and each join is told once', () => {
  const signaling = createSignaling({ limits: config.signaling, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })
  const members = Array.from({ length: 5 }, (_, n) => join(signaling, `member ${n}`, 'subscriber'))
  for (let n = 0; n < 1000; n++) {
    join(signaling, `p${n}`, 'publisher')
    vi.advanceTimersByTime(1)
  }
  vi.advanceTimersByTime(1000)
  for (const told of members) {
    const frames = told.slice(1).map(text => JSON.parse(text) as { type: string, peer?: { id: string }, joined?: { id: string }[] })
    expect(frames.length).toBeLessThanOrEqual(30)
    expect(frames.flatMap(({ peer, joined }) => peer ?? joined ?? []).map(({ id }) => id)).toEqual(Array.from({ length: 1000 }, (_, n) => `p${n}`))
  }
})
