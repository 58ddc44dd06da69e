import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createSignaling } from '../../../src/signaling/signaling.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

test('a watcher that ends twice counts once less: it neither makes room for others nor ends them', () => {
  const { config } = loadConfig({ env: {}, readFile: () => '' })
  const limits = { ...config.signaling, watchersPerProject: 2 }
  const { topics } = createSignaling({ limits, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })
  const listing = { project: 'p', topic: 't', role: 'publisher' as const }
  const seen: string[] = []
  const watch = (name: string): (() => void) => topics.watch(listing, undefined, ({ type }) => { seen.push(`${name} ${type}`) })
  const [end] = [watch('first'), watch('second')]
  expect(() => watch('third')).toThrow(expect.objectContaining({ code: 'too-many-watchers' }))
  end()
  end()
  watch('third')
  expect(() => watch('fourth')).toThrow(expect.objectContaining({ code: 'too-many-watchers' }))
  end()
  topics.lease(listing, 'robot', { seconds: 60 })
  expect(seen).toEqual(['first list', 'second list', 'third list', 'second added', 'third added'])
})
