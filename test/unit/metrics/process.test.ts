import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { createMetrics, type Metrics } from '../../../src/metrics/metrics.ts'
import { watchProcess } from '../../../src/metrics/process.ts'
import { until } from '../../kit/files.ts'
import { sample } from '../../kit/relay.ts'

function watched (): Metrics {
  const metrics = createMetrics()
  onTestFinished(watchProcess(metrics))
  return metrics
}

async function value (metrics: Metrics, series: string): Promise<number> {
  return await sample(metrics, `turnpike_process_${series} `) ?? NaN
}

function block (ms: number): void {
  const endsAt = performance.now() + ms
  while (performance.now() < endsAt);
}

/** The lag by kind; each rendering begins anew, so all are read from one. */
async function lags (metrics: Metrics): Promise<{ mean: number, p99: number, max: number }> {
  const { text } = await metrics.render()
  const [mean = NaN, p99 = NaN, max = NaN] = ['mean', 'p99', 'max'].map(stat => Number(new RegExp(`lag_seconds\\{stat="${stat}"\\} (.+)`).exec(text)?.[1]))
  return { mean, p99, max }
}

test('the start, the processor time, the memory and the descriptors are those of this process', async () => {
  const metrics = watched()
  expect(await value(metrics, 'start_time_seconds')).toBeCloseTo(Date.now() / 1000 - process.uptime(), 0)
  expect(await value(metrics, 'memory_bytes{kind="resident"}')).toBeGreaterThan(await value(metrics, 'memory_bytes{kind="heap_used"}'))
  expect(await value(metrics, 'memory_bytes{kind="heap_used"}')).toBeGreaterThan(1e6)
  expect(await value(metrics, 'max_fds')).toBe(Number(/Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]))
  const cpuBefore = await value(metrics, 'cpu_seconds_total{mode="user"}')
  const before = process.cpuUsage().user
  while (process.cpuUsage().user - before < 100_000) block(10)
  await metrics.render()
  const { user } = process.cpuUsage()
  const cpuAfter = await value(metrics, 'cpu_seconds_total{mode="user"}')
  expect(cpuAfter - cpuBefore).toBeGreaterThan(0.05)
  expect(Math.abs(cpuAfter - user / 1e6)).toBeLessThan(0.5)
})

test('descriptors that are opened are counted, and counted no more when they are closed', async () => {
  const metrics = watched()
  const before = await value(metrics, 'open_fds')
  const opened = Array.from({ length: 50 }, () => openSync('/dev/null', 'r'))
  const during = await value(metrics, 'open_fds')
  for (const fd of opened) closeSync(fd)
  expect(during - before).toBeGreaterThan(40)
  expect(await value(metrics, 'open_fds') - before).toBeLessThan(10)
})

test('a loop that was held up shows it once, and one that was not shows next to nothing', async () => {
  const metrics = watched()
  const looks = async (): Promise<void> => { await new Promise(resolve => setTimeout(resolve, 100)) }
  await looks()
  block(300)
  await looks()
  const held = await lags(metrics)
  expect(held.max).toBeGreaterThan(0.2)
  expect(held.p99).toBeGreaterThan(held.mean)
  // A machine that does something else may be late as well, but not every time.
  let calm = held
  await until('a scrape after a calm time', async () => {
    await looks()
    calm = await lags(metrics)
    return calm.max < 0.1
  })
  expect(calm.mean).toBeLessThan(0.02)
})

test('two watchers do not take each other\'s lag or pauses away, and one that is stopped leaves the other be', async () => {
  const metrics = watched()
  const other = createMetrics()
  const stopOther = watchProcess(other)
  await new Promise(resolve => setTimeout(resolve, 60))
  block(300)
  await new Promise(resolve => setTimeout(resolve, 60))
  expect((await lags(other)).max).toBeGreaterThan(0.2)
  stopOther()
  expect((await lags(metrics)).max).toBeGreaterThan(0.2)
  const cpu = await value(other, 'cpu_seconds_total{mode="user"}')
  block(50)
  expect(await value(other, 'cpu_seconds_total{mode="user"}')).toBe(cpu)
  expect(await value(metrics, 'cpu_seconds_total{mode="user"}')).toBeGreaterThan(cpu)
})

test('each garbage collection is observed by its kind', async () => {
  const metrics = watched()
  await until('minor collections were seen', async () => {
    Array.from({ length: 300_000 }, (_, i) => ({ i }))
    return await value(metrics, 'gc_duration_seconds_count{kind="minor"}') > 0
  })
  expect(await value(metrics, 'gc_duration_seconds_sum{kind="minor"}')).toBeGreaterThan(0)
})

test('a process that stops watching can end', async () => {
  const program = "const { createMetrics } = await import('./src/metrics/metrics.ts'); const { watchProcess } = await import('./src/metrics/process.ts'); const metrics = createMetrics(); const stop = watchProcess(metrics); await metrics.render(); stop()"
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'ignore', 'inherit'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  const [code, signal] = await new Promise<unknown[]>(resolve => child.on('exit', (...how) => resolve(how)))
  expect([code, signal]).toEqual([0, null])
})
