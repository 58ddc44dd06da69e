/** What the control plane itself takes: processor, memory, file descriptors, the lag of its event loop, pauses for garbage collection. */
import { readdirSync, readFileSync } from 'node:fs'
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import type { Metrics } from './metrics.ts'

/** How often (ms) the event loop is asked whether it is late. */
const RESOLUTION_MS = 20

const GC_KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  // V8's other way to collect the young generation.
  [constants.NODE_PERFORMANCE_GC_MINOR_MARK_SWEEP]: 'minor',
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

/** Measures this process until the returned function is called. Each caller has instruments of its own: two do not disturb each other. */
export function watchProcess (metrics: Metrics): () => void {
  const lag = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  lag.enable()
  const pauses = new PerformanceObserver(list => {
    for (const { duration, detail } of list.getEntries() as (PerformanceEntry & { detail?: { kind?: number } })[]) {
      const kind = GC_KINDS[detail?.kind ?? -1]
      if (kind !== undefined) metrics.observe('turnpike_process_gc_duration_seconds', { kind }, duration / 1000)
    }
  })
  pauses.observe({ entryTypes: ['gc'] })
  const startedAt = Date.now() / 1000 - process.uptime()
  const addCpu = cpuCounter(metrics)
  const forget = metrics.beforeRender(() => {
    metrics.set('turnpike_process_start_time_seconds', {}, startedAt)
    addCpu()
    setMemory(metrics)
    setFileDescriptors(metrics)
    setLag(metrics, lag)
  })
  return () => {
    forget()
    pauses.disconnect()
    lag.disable()
  }
}

/** A counter is added to: what was used since the last time. */
function cpuCounter (metrics: Metrics): () => void {
  let counted = { user: 0, system: 0 }
  return () => {
    const used = process.cpuUsage()
    for (const mode of ['user', 'system'] as const) metrics.add('turnpike_process_cpu_seconds_total', { mode }, Math.max(0, used[mode] - counted[mode]) / 1e6)
    counted = used
  }
}

function setMemory (metrics: Metrics): void {
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
  for (const [kind, bytes] of Object.entries({ resident: rss, heap_used: heapUsed, heap_total: heapTotal, external })) metrics.set('turnpike_process_memory_bytes', { kind }, bytes)
}

function setFileDescriptors (metrics: Metrics): void {
  try {
    // Reading the directory opens one more, which is closed when it has been read.
    metrics.set('turnpike_process_open_fds', {}, readdirSync('/proc/self/fd').length - 1)
    const limit = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    if (limit !== undefined) metrics.set('turnpike_process_max_fds', {}, limit === 'unlimited' ? Infinity : Number(limit))
  } catch {
    // No /proc, or no descriptor left to read it with: better no figure than an old one.
    metrics.remove('turnpike_process_open_fds', {})
    metrics.remove('turnpike_process_max_fds', {})
  }
}

function setLag (metrics: Metrics, lag: ReturnType<typeof monitorEventLoopDelay>): void {
  // Two scrapes at once: the second has nothing new, and what the first was told still holds.
  if (lag.count === 0) return
  const stats = { mean: lag.mean, p99: lag.percentile(99), max: lag.max }
  // Node.js measures from one look to the next, so a loop that is never late shows the pause between two looks.
  for (const [stat, nanoseconds] of Object.entries(stats)) metrics.set('turnpike_process_event_loop_lag_seconds', { stat }, Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000))
  lag.reset()
}
