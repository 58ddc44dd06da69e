/**
 * Bytes that a TURN client gets relayed over TCP through the edge (HAProxy with the configuration of the compose file) against straight to coturn;
 * one round after the other in the same run. What runs where is left to the machine, as it is for an operator; the load is a process as well. Needs turnserver and haproxy.
 */
import { spawn } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { isRefusal, TurnClient, type Allocation } from '../src/stun/turn-client.ts'
import { cpuSeconds, managedCoturn, startBenchApp } from './coturns.ts'
import { median, report } from './processes.ts'

const ROUNDS = 12
const ROUND_MS = 1000
const MESSAGE = Buffer.alloc(1200)
/** Messages of each client on their way. */
const IN_FLIGHT = 64
const PAIRS = 4
const TICK_MS = 20
const PORTS = { turn: 23_740, tls: 23_741, edge: 23_742, http: 23_743, status: 23_744, agent: 23_745 }

type Line = { one: TurnClient, target: Allocation['relayed'], count: { received: number, sent: number } }

const app = await startBenchApp({ TURNPIKE_RELAY_PORT: String(PORTS.turn), TURNPIKE_RELAY_TLS_PORT: String(PORTS.tls), TURNPIKE_RELAY_MIN_PORT: '24000', TURNPIKE_RELAY_MAX_PORT: '24499', TURNPIKE_EDGE_PORT: String(PORTS.edge), TURNPIKE_EDGE_AGENT_PORT: String(PORTS.agent) })
const { username, credential } = await app.ask('POST', '/v1/turn/credentials', { user: 'bench' }) as { username: string, credential: string }
const edge = spawn('haproxy', ['-db', '-f', 'compose/edge/haproxy.cfg'], { stdio: 'ignore', env: { ...process.env, TURNPIKE_DOMAIN: 'bench.invalid', EDGE_ADDRESS: '127.0.0.1', EDGE_TLS_PORT: String(PORTS.edge), EDGE_HTTP_PORT: String(PORTS.http), EDGE_STATUS_PORT: String(PORTS.status), TURNPIKE_EDGE_AGENT_PORT: String(PORTS.agent), TURNPIKE_RELAY_PORT: String(PORTS.turn) } })
process.on('exit', () => edge.kill('SIGKILL'))
const coturn = managedCoturn(app).pid

async function open (port: number): Promise<{ client: TurnClient, relayed: Allocation['relayed'] }> {
  for (let tries = 0; ; tries++) {
    try {
      const client = await TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port, timeoutMs: 2000 })
      const outcome = await client.allocate({ username, password: credential })
      if (isRefusal(outcome)) throw new Error(String(outcome.code))
      await client.createPermission('127.0.0.1')
      return { client, relayed: outcome.relayed }
    } catch (error) {
      // The edge has just been started.
      if (tries === 20) throw error
      await wait(200)
    }
  }
}

/** A sender and a receiver; what arrives lets the next one go. UDP between the two allocations may lose some. */
async function line (port: number): Promise<Line> {
  const [one, other] = [await open(port), await open(port)]
  const count = { received: 0, sent: 0 }
  other.client.onData(() => {
    count.received++
    if (count.sent >= 0) send({ one: one.client, target: other.relayed, count })
  })
  return { one: one.client, target: other.relayed, count }
}

function send ({ one, target, count }: Line): void {
  count.sent++
  one.send(target, MESSAGE)
}

async function round (lines: readonly Line[]): Promise<number> {
  for (const one of lines) {
    Object.assign(one.count, { received: 0, sent: 0 })
    for (let i = 0; i < IN_FLIGHT; i++) send(one)
  }
  const began = performance.now()
  const before = lines.map(() => -1)
  // What UDP has lost starts nothing: a line that stands still is filled again.
  const filling = setInterval(() => {
    for (const [i, one] of lines.entries()) {
      if (one.count.received === before[i]) for (let n = 0; n < IN_FLIGHT; n++) send(one)
      before[i] = one.count.received
    }
  }, TICK_MS)
  await wait(ROUND_MS)
  clearInterval(filling)
  const bytes = lines.reduce((sum, { count }) => sum + count.received * MESSAGE.length, 0)
  const seconds = (performance.now() - began) / 1000
  for (const { count } of lines) count.sent = -1e9
  // What is on its way arrives, and starts nothing.
  await wait(100)
  return bytes / seconds
}

const of = async (port: number): Promise<Line[]> => await Promise.all(Array.from({ length: PAIRS }, () => line(port)))
const [direct, through] = [await of(PORTS.turn), await of(PORTS.edge)]
await round(direct)
await round(through)
const rounds: { direct: number, through: number }[] = []
const used = (): { edge: number, coturn: number } => ({ edge: cpuSeconds(edge.pid ?? 0), coturn: cpuSeconds(coturn) })
const shares: number[] = []
for (let i = 0; i < ROUNDS; i++) {
  // The next time the other way round: what comes and goes on the machine meets both.
  const first = i % 2 === 0 ? await round(direct) : 0
  const before = used()
  const edged = await round(through)
  const after = used()
  shares.push((after.edge - before.edge) / (after.coturn - before.coturn))
  rounds.push({ direct: i % 2 === 0 ? first : await round(direct), through: edged })
}
report('bytes relayed a second over TCP, through the edge ÷ straight to coturn', rounds.map(one => one.through / one.direct), '≥ 0.8')
process.stdout.write(`  through, straight: ${[median(rounds.map(one => one.through)), median(rounds.map(one => one.direct))].map(bytes => `${(bytes * 8 / 1e6).toFixed(0)} Mbit/s`).join(', ')}; for each CPU second of coturn the edge took ${median(shares).toFixed(2)}\n`)
await app.stop(2000)
process.exit(0)
