/** 10,000 allocation events a second into the listener that coturn reports to, as coturn says them, with the ledger on disk: how late the event loop is, and whether all of it is in the books. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { ADMIN_KEY, startFedApp } from './coturns.ts'
import { median, report } from './processes.ts'

const LIVE = 2000
const EVENTS_PER_SECOND = 10_000
const ROUNDS = 3
const ROUND_MS = 10_000
const LAG_RESOLUTION_MS = 5

type Told = { events: number, allocations: number, bytes: number, seconds: number }

const { app, source } = await startFedApp()

async function inBooks (): Promise<{ allocations: number, bytes: number }> {
  const { usage } = await app.ask('GET', '/v1/usage?by=project&limit=100', undefined, ADMIN_KEY) as { usage: { allocations: number, bytesFromClient: number, bytesToClient: number }[] }
  return usage.reduce((sum, { allocations, bytesFromClient, bytesToClient }) => ({ allocations: sum.allocations + allocations, bytes: sum.bytes + bytesFromClient + bytesToClient }), { allocations: 0, bytes: 0 })
}

await source.say<Told>(`begin ${LIVE}`)
const [p99, most, rates, cpu]: [number[], number[], number[], number[]] = [[], [], [], []]
for (let i = 0; i < ROUNDS; i++) {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  const before = process.cpuUsage()
  lag.enable()
  const told = await source.say<Told>(`run ${EVENTS_PER_SECOND} ${ROUND_MS}`)
  lag.disable()
  const { user, system } = process.cpuUsage(before)
  p99.push(lag.percentile(99) / 1e6 - LAG_RESOLUTION_MS)
  most.push(lag.max / 1e6 - LAG_RESOLUTION_MS)
  rates.push(EVENTS_PER_SECOND * ROUND_MS / 1000 / told.seconds)
  cpu.push((user + system) / 1e4 / told.seconds)
}
const told = await source.say<Told>('end')
await wait(500)
const books = await inBooks()
report('ms of event loop lag at 10,000 events a second, p99', p99, '≤ 100')
report('the same, at worst', most, '≤ 100')
report('told and not in the books: allocations and bytes', [told.allocations - books.allocations, told.bytes - books.bytes], '0')
process.stdout.write(`  ${told.events} events, ${told.allocations} allocations, ${Math.round(median(rates))} events a second; ${Math.round(median(cpu))} % of a core\n`)
await app.stop(2000)
process.exit(0)
