/** POST /v1/turn/credentials as shipped, against a bare Fastify route with the same answer: requests a second, as a ratio in one run. */
import { Agent, request } from 'node:http'
import { median, report, startServer } from './processes.ts'

const ROUNDS = 7
const ROUND_MS = 1500
const CONNECTIONS = 50
const BODY = '{"user":"alice","ttl":3600}'

/** Closed loop: each connection asks again when it has its answer. */
async function requestsPerSecond (url: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const endsAt = performance.now() + ROUND_MS
  let answered = 0
  const ask = async (): Promise<void> => await new Promise((resolve, reject) => {
    const options = { agent, method: 'POST', headers: { authorization: 'Bearer bench-bench-bench-bench-bench', 'content-type': 'application/json', 'content-length': BODY.length } }
    request(`${url}/v1/turn/credentials`, options, answer => {
      if (answer.statusCode !== 201) reject(new Error(`status ${answer.statusCode}`))
      answer.resume().on('end', () => {
        answered++
        resolve()
      })
    }).on('error', reject).end(BODY)
  })
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => { while (performance.now() < endsAt) await ask() }))
  agent.destroy()
  return answered / (ROUND_MS / 1000)
}

const ours = await startServer('bench/credentials-server.ts', ['ours'])
const bare = await startServer('bench/credentials-server.ts', ['bare'])
const url = (line: string): string => line.replace('localhost', '127.0.0.1')
await requestsPerSecond(url(ours.line))
await requestsPerSecond(url(bare.line))
const rounds: { ours: number, bare: number }[] = []
for (let i = 0; i < ROUNDS; i++) rounds.push({ ours: await requestsPerSecond(url(ours.line)), bare: await requestsPerSecond(url(bare.line)) })
report('POST /v1/turn/credentials ÷ bare Fastify, same JSON', rounds.map(round => round.ours / round.bare), '≥ 0.65')
process.stdout.write(`  ${Math.round(median(rounds.map(round => round.ours)))} and ${Math.round(median(rounds.map(round => round.bare)))} requests a second\n`)
process.exit(0)
