import { expect, onTestFinished, test, vi } from 'vitest'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { Allocations } from '../../../src/relay/allocations.ts'
import { Cutter, type CutterNeeds } from '../../../src/relay/cutter.ts'
import { silentLog } from '../../kit/store.ts'

/** A relay whose command line fails as often as it is told to; what it is asked to cut is written down. */
function cutterWith (reasonToCut: CutterNeeds['reasonToCut'], failures = 0) {
  vi.useFakeTimers({ toFake: ['setInterval', 'setImmediate', 'performance'] })
  const metrics = createMetrics()
  const asked: string[][] = []
  const control = {
    cut: async (sessions: readonly string[]) => {
      asked.push([...sessions])
      if (asked.length <= failures) throw new Error('it does not answer')
    },
    sessions: async () => [],
  }
  const allocations: Allocations = new Allocations({ relay: 'r', coturn: 'r.main', metrics, nowSeconds: () => 1000, onTraffic: () => {}, onBegun: () => {}, onEnded: () => {}, onCount: () => {}, onListed: (allocation, crowd) => cutter.judge(allocation, crowd), isOwn: () => false, knowsProject: () => true })
  const cutter: Cutter = new Cutter({ isExternal: false, log: silentLog, reasonToCut, relay: 'r', metrics, control, allocations })
  cutter.start()
  onTestFinished(() => {
    cutter.stop()
    vi.useRealTimers()
  })
  const begin = (session: string): void => allocations.take({ kind: 'new', session, username: '2000:shop.alice.0', transport: 'udp', clientAddress: '192.0.2.1:1', lifetimeSeconds: 600 } as never)
  return { begin, asked }
}

test('one allocation too many whose cut failed is cut again, although nothing else tells that it is too many', async () => {
  const { begin, asked } = cutterWith((_allocation, crowd) => (crowd !== null && crowd.ofUser > 1 ? 'quota' : null), 1)
  begin('1')
  begin('2')
  await vi.advanceTimersByTimeAsync(100)
  expect(asked).toEqual([['2']])
  await vi.advanceTimersByTimeAsync(1500)
  expect(asked).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(1500)
  expect(asked).toEqual([['2'], ['2']])
})

test('one whose cut failed lives on where the reason is gone meanwhile', async () => {
  let isRevoked = true
  const { begin, asked } = cutterWith(() => (isRevoked ? 'revoked' : null), 1)
  begin('1')
  await vi.advanceTimersByTimeAsync(100)
  expect(asked).toEqual([['1']])
  isRevoked = false
  await vi.advanceTimersByTimeAsync(5000)
  expect(asked).toHaveLength(1)
  isRevoked = true
  await vi.advanceTimersByTimeAsync(1000)
  expect(asked).toEqual([['1'], ['1']])
})

test('a question that cannot be answered now ends nothing, and is asked again', async () => {
  let tries = 0
  const { begin, asked } = cutterWith(() => {
    if (++tries < 3) throw new Error('the ledger cannot be read')
    return 'quota'
  })
  begin('1')
  await vi.advanceTimersByTimeAsync(600)
  expect(asked).toEqual([])
  await vi.advanceTimersByTimeAsync(600)
  expect(asked).toEqual([['1']])
})
