/**
 * POST /v1/turn/credentials as shipped (key, rate limits, quotas, ledger, log), with the quotas switched on: against a bare Fastify route
 * with the same answer, with a million rows in the ledger against an empty one, and its slowest answers at full against half load.
 */
import { Agent, request } from 'node:http'
import { median, percentile, report, startServer, type Program } from './processes.ts'

const ROUNDS = 7
const ROUND_MS = 1500
const CONNECTIONS = 50
const USERS = 100_000
let asked = 0

/** Closed loop: each connection asks again when it has its answer, after a pause where there is one. Answers a second, and how long each took (ms). */
async function load (url: string, { connections = CONNECTIONS, pauseMs = 0 } = {}): Promise<{ perSecond: number, times: number[] }> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const endsAt = performance.now() + ROUND_MS
  const times: number[] = []
  const ask = async (): Promise<void> => await new Promise((resolve, reject) => {
    const body = `{"user":"user-${asked++ % USERS}","ttl":3600}`
    const began = performance.now()
    request(`${url}/v1/turn/credentials`, { agent, method: 'POST', headers: { authorization: 'Bearer bench-bench-bench-bench-bench', 'content-type': 'application/json', 'content-length': body.length } }, answer => {
      if (answer.statusCode !== 201) reject(new Error(`status ${answer.statusCode}`))
      answer.resume().on('end', () => {
        times.push(performance.now() - began)
        resolve()
      })
    }).on('error', reject).end(body)
  })
  const loop = async (): Promise<void> => {
    while (performance.now() < endsAt) {
      await ask()
      if (pauseMs > 0) await new Promise(resolve => setTimeout(resolve, pauseMs))
    }
  }
  await Promise.all(Array.from({ length: connections }, loop))
  agent.destroy()
  return { perSecond: times.length / (ROUND_MS / 1000), times }
}

/** Requests for each CPU second of the server: what it answers on a core of its own. Its rate as it is would be that of the load's core. */
async function answersPerCpuSecond ({ program, url }: { program: Program, url: string }): Promise<number> {
  const before = program.cpuSeconds()
  const { times } = await load(url)
  return times.length / (program.cpuSeconds() - before)
}

const start = async (kind: string) => {
  const program = await startServer('bench/credentials-server.ts', [kind])
  return { program, url: program.line.replace('localhost', '127.0.0.1') }
}
const [ours, bare, full] = [await start('ours'), await start('bare'), await start('full')]
for (let i = 0; i < 3; i++) for (const { url } of [ours, bare, full]) await load(url)
const rounds: { ours: number, bare: number, full: number }[] = []
for (let i = 0; i < ROUNDS; i++) rounds.push({ ours: await answersPerCpuSecond(ours), bare: await answersPerCpuSecond(bare), full: await answersPerCpuSecond(full) })
report('POST /v1/turn/credentials ÷ bare Fastify, same JSON', rounds.map(round => round.ours / round.bare), '≥ 0.6')
report('the same with 100,000 users, 1,000,000 ledger rows ÷ without', rounds.map(round => round.full / round.ours), '≥ 0.9')
process.stdout.write(`  ${Math.round(median(rounds.map(round => round.ours)))} and ${Math.round(median(rounds.map(round => round.bare)))} requests for each CPU second of the server\n`)

// Half load: so many connections, each with such a pause, that about half as many answers a second come.
const slow: number[] = []
for (let i = 0; i < ROUNDS; i++) {
  const whole = await load(ours.url, { connections: 20 })
  const half = await load(ours.url, { connections: 20, pauseMs: (20 / whole.perSecond) * 1000 })
  slow.push(percentile(whole.times, 0.99) / percentile(half.times, 0.99))
}
report('its p99 at full load ÷ at half load', slow, '≤ 3')
process.exit(0)
