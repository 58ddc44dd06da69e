/** What 500 live allocations that relay take of a core in our own process: its CPU with them, less its CPU without any, the relay proved and probed in both. Needs turnserver. */
import { managedCoturn, pin, startBenchApp, startHelper } from './coturns.ts'
import { report } from './processes.ts'

const ALLOCATIONS = 500
/** Of each allocation. */
const PACKETS_PER_SECOND = 20
const WINDOW_MS = 11_000
const IDLE_WINDOWS = 2
const LIVE_WINDOWS = 3

type Told = { arrived: number, lost: number }

/** Percent of one core that this process takes while something goes on. */
async function percentDuring (work: () => Promise<unknown>): Promise<number> {
  const [began, before] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 10 / (performance.now() - began)
}

const app = await startBenchApp({ TURNPIKE_RELAY_PORT: '23710', TURNPIKE_RELAY_MIN_PORT: '24000', TURNPIKE_RELAY_MAX_PORT: '24999' })
pin(managedCoturn(app).pid, 0)
const { username, credential } = await app.ask('POST', '/v1/turn/credentials', { user: 'bench' }) as { username: string, credential: string }
const live = async (): Promise<number> => ((await app.ask('GET', '/v1/turn/allocations?limit=1000'))['allocations'] as object[]).length

await new Promise(resolve => setTimeout(resolve, 3000))
const idle: number[] = []
for (let i = 0; i < IDLE_WINDOWS; i++) idle.push(await percentDuring(() => new Promise(resolve => setTimeout(resolve, WINDOW_MS))))
const { say } = await startHelper('turn-load.ts', ['23710', username, credential, String(ALLOCATIONS / 2)])
while (await live() < ALLOCATIONS) await new Promise(resolve => setTimeout(resolve, 50))
await say(`pace ${ALLOCATIONS * PACKETS_PER_SECOND} 4000`)
const relaying: number[] = []
let [arrived, lost] = [0, 0]
for (let i = 0; i < LIVE_WINDOWS; i++) {
  relaying.push(await percentDuring(async () => {
    const told = await say<Told>(`pace ${ALLOCATIONS * PACKETS_PER_SECOND} ${WINDOW_MS}`)
    arrived += told.arrived
    lost += told.lost
  }))
}
const stillLive = await live()
const baseline = idle.reduce((sum, percent) => sum + percent, 0) / idle.length
report(`percent of a core, ${stillLive} live allocations that relay, less none`, relaying.map(percent => percent - baseline), '≤ 1')
process.stdout.write(`  ${idle.map(percent => percent.toFixed(2)).join(', ')} % without any, ${relaying.map(percent => percent.toFixed(2)).join(', ')} % with them; ${arrived} messages arrived, ${lost} lost\n`)
await app.stop(2000)
process.exit(0)
