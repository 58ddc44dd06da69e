/**
 * Packets relayed a second, and for each CPU second of coturn: the managed coturn against one that is started by hand with next to nothing in its
 * configuration, and against its own configuration without telemetry and command line. All three on core 0, the load on core 1. Needs turnserver.
 */
import { createHmac } from 'node:crypto'
import { cpuSeconds, managedCoturn, pin, startBenchApp, startCoturn, startHelper } from './coturns.ts'
import { median, report } from './processes.ts'

const PAIRS = 25
/** Short and many: what else goes on on the machine meets all three. */
const ROUNDS = 20
const ROUND_MS = 500
/** Well below what coturn relays, so that nothing is lost and its rests count too. */
const PACED = 40_000
const SECRET = 'secret-of-a-bare-coturn'
const TELEMETRY = /^(?:redis-statsdb|cli-)/

type Told = { arrived: number, lost: number }
type Round = { packetsPerSecond: number, packetsPerCpuSecond: number, load: number, lostShare: number }
type Loaded = { pid: number, helper: Awaited<ReturnType<typeof startHelper>> }

async function load (pid: number, port: number, { username, password }: { username: string, password: string }): Promise<Loaded> {
  pin(pid, 0)
  return { pid, helper: await startHelper('turn-load.ts', [String(port), username, password, String(PAIRS)]) }
}

/** Each message is relayed twice: by the allocation of its sender, and by that of its receiver. */
async function round ({ pid, helper }: Loaded, line: string, ms: number): Promise<Round> {
  const [before, loadBefore, began] = [cpuSeconds(pid), cpuSeconds(helper.child.pid ?? 0), performance.now()]
  const { arrived, lost } = await helper.say<Told>(line)
  const seconds = (performance.now() - began) / 1000
  return { packetsPerSecond: arrived * 2 / (ms / 1000), packetsPerCpuSecond: arrived * 2 / (cpuSeconds(pid) - before), load: (cpuSeconds(helper.child.pid ?? 0) - loadBefore) / seconds, lostShare: lost / (arrived + lost) }
}

const app = await startBenchApp({ TURNPIKE_RELAY_PORT: '23700', TURNPIKE_RELAY_MIN_PORT: '24000', TURNPIKE_RELAY_MAX_PORT: '24499' })
const { pid, conf } = managedCoturn(app)
const { username, credential } = await app.ask('POST', '/v1/turn/credentials', { user: 'bench' }) as { username: string, credential: string }
const ports = (port: number, minPort: number): string[] => [`listening-port=${port}`, `min-port=${minPort}`, `max-port=${minPort + 499}`]
const untold = await startCoturn([...conf.filter(line => !TELEMETRY.test(line) && !/^(?:listening|min|max)-port=/.test(line)), 'no-cli', ...ports(23_702, 24_500)])
const bare = await startCoturn(['listening-ip=127.0.0.1', 'relay-ip=127.0.0.1', 'no-tls', 'no-dtls', 'no-cli', 'realm=bare', 'use-auth-secret', `static-auth-secret=${SECRET}`, 'allow-loopback-peers', 'log-file=stdout', 'simple-log', 'pidfile=', ...ports(23_704, 25_000)])
const bareName = `${Math.floor(Date.now() / 1000) + 3600}:bench`
const coturns = {
  managed: await load(pid, 23_700, { username, password: credential }),
  untold: await load(untold.pid, 23_702, { username, password: credential }),
  bare: await load(bare.pid, 23_704, { username: bareName, password: createHmac('sha1', SECRET).update(bareName).digest('base64') }),
}
const names = Object.keys(coturns) as (keyof typeof coturns)[]

/** One after another, and the next time the other way round: what comes and goes on the machine meets all of them. */
async function rounds (line: string, ms: number): Promise<Record<keyof typeof coturns, Round[]>> {
  const all: Record<keyof typeof coturns, Round[]> = { managed: [], untold: [], bare: [] }
  for (const name of names) await round(coturns[name], line, ms)
  for (let i = 0; i < ROUNDS; i++) for (const name of i % 2 === 0 ? names : [...names].reverse()) all[name].push(await round(coturns[name], line, ms))
  return all
}

function ratios (ours: readonly Round[], others: readonly Round[], of: 'packetsPerSecond' | 'packetsPerCpuSecond'): number[] {
  return ours.map((one, i) => one[of] / (others[i]?.[of] ?? Number.NaN))
}

const flood = await rounds(`flood ${ROUND_MS}`, ROUND_MS)
const paced = await rounds(`pace ${PACED} ${ROUND_MS}`, ROUND_MS)
report('packets relayed a second, managed ÷ bare coturn', ratios(flood.managed, flood.bare, 'packetsPerSecond'), '≥ 0.98')
report('packets relayed for each CPU second of coturn, managed ÷ bare', ratios(flood.managed, flood.bare, 'packetsPerCpuSecond'), '≥ 0.98')
report(`the same at ${PACED * 2} packets a second`, ratios(paced.managed, paced.bare, 'packetsPerCpuSecond'), '≥ 0.98')
report('coturn\'s CPU for each packet, with ÷ without telemetry', ratios(flood.untold, flood.managed, 'packetsPerCpuSecond'), '≤ 1.02')
report(`the same at ${PACED * 2} packets a second`, ratios(paced.untold, paced.managed, 'packetsPerCpuSecond'), '≤ 1.02')
const each = (of: keyof Round, digits = 0): string => names.map(name => median(flood[name].map(one => one[of])).toFixed(digits)).join(', ')
process.stdout.write(`  managed, without telemetry, bare: ${each('packetsPerSecond')} packets a second, lost ${each('lostShare', 4)}; the load took ${each('load', 2)} of its core\n`)
await app.stop(2000)
process.exit(0)
