import { expect, test, vi } from 'vitest'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { clockWatch, statusReport } from '../../../src/relay/relay-report.ts'
import type { Status } from '../../../src/relay/supervisor.ts'

function writtenLog (): { lines: string[], log: Parameters<typeof statusReport>[2] } {
  const lines: string[] = []
  const at = (level: string) => (_: object, message: string): void => { lines.push(`${level}: ${message}`) }
  return { lines, log: { debug: () => {}, info: at('info'), warn: at('warn'), error: at('error') } }
}
const status = (more: Partial<Status>): Status => ({ state: 'healthy', code: null, reason: 'every check passed', since: 1, restarts: 0, checks: [], lastReadyAt: 1, ...more })

test('what ails a relay is said once, however often it is found, and so is its recovery', () => {
  const { lines, log } = writtenLog()
  const show = statusReport('turnpike', createMetrics(), log)
  const busy = status({ state: 'failed', code: 'relay-port-busy', reason: 'udp port 1 is taken' })
  show(status({}))
  for (let i = 0; i < 3; i++) {
    show(busy)
    show(status({ state: 'starting', code: 'relay-port-busy', reason: 'being started again' }))
  }
  show(status({ state: 'failed', code: 'relay-port-busy', reason: 'udp port 1 is taken by another' }))
  show(status({}))
  show(status({}))
  expect(lines).toEqual(['warn: relay failed: udp port 1 is taken', 'warn: relay failed: udp port 1 is taken by another', 'info: relay healthy again'])
})

test('the metrics show the one state that it is in, and what each check came to', async () => {
  const metrics = createMetrics()
  const show = statusReport('turnpike', metrics, writtenLog().log)
  show(status({ checks: [{ check: 'echo', transport: 'udp', result: 'passed', detail: '', roundTripMs: 12 }, { check: 'allocate', transport: 'tcp', result: 'failed', detail: '', roundTripMs: null }, { check: 'echo', transport: 'tcp', result: 'left-out', detail: '', roundTripMs: null }] }))
  const { text } = await metrics.render()
  expect(text.match(/^turnpike_relay_state\{.*\} 1$/gm)).toEqual(['turnpike_relay_state{relay="turnpike",state="healthy"} 1'])
  expect(text).toContain('turnpike_relay_probe_success{relay="turnpike",transport="udp",check="echo"} 1')
  expect(text).toContain('turnpike_relay_probe_success{relay="turnpike",transport="tcp",check="allocate"} 0')
  expect(text).toContain('turnpike_relay_probe_round_trip_seconds{relay="turnpike",transport="udp"} 0.012')
  expect(text.match(/check="echo"/g)).toHaveLength(1)
})

test.each([
  [600, ['warn: the clock of this machine jumped 600 s forward: credentials issued before end that much earlier than they say']],
  [-3600, ['warn: the clock of this machine jumped 3600 s back: credentials issued before end that much later than they say']],
  [30, []],
])('a wall clock that is set by %i s between two looks', (seconds, expected) => {
  vi.useFakeTimers()
  const { lines, log } = writtenLog()
  let offset = 0
  const look = clockWatch(log, () => Math.floor(Date.now() / 1000) + offset)
  look()
  vi.advanceTimersByTime(10_000)
  look()
  offset = seconds
  vi.advanceTimersByTime(10_000)
  look()
  vi.advanceTimersByTime(10_000)
  look()
  vi.useRealTimers()
  expect(lines).toEqual(expected)
})
