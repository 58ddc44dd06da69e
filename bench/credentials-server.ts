/** The two servers that bench/credentials.ts compares: ours as shipped, and a bare Fastify route that answers with the same JSON. */
import Fastify from 'fastify'
import type { Store } from '../src/store/store.ts'
import { startHouse } from './house.ts'

const LEDGER_ROWS = 1_000_000
const USERS = 100_000

/** `full`: 100,000 users with ten days each in the ledger, and quotas to be looked up. */
async function ours (isFull: boolean): Promise<string> {
  const { url, access } = await startHouse({ TURNPIKE_API_KEY: 'bench-bench-bench-bench-bench' }, store => { if (isFull) fillLedger(store) })
  access.projects.update('default', { quotas: { bytesPerDay: 1e14, bytesPerMonth: 1e15, credentialsPerMinute: 10_000_000, requestsPerMinute: 100_000_000 } })
  return url
}

function fillLedger (store: Store): void {
  const today = Math.floor(Date.now() / 86_400_000)
  store.transaction(() => {
    for (let i = 0; i < LEDGER_ROWS; i++) store.run('INSERT INTO usage_by_day VALUES (?, ?, ?, ?, ?, ?, 1000, 1000, 10, 10, 1)', 'default', today - i % 10, `user-${Math.floor(i / 10) % USERS}`, '', 'turnpike', 'udp')
    for (let day = 0; day < 10; day++) store.run('INSERT INTO usage_of_projects VALUES (?, ?, 2000, 10)', 'default', today - day)
  })
}

async function bare (): Promise<string> {
  const app = Fastify()
  const text = { type: 'string' }
  const server = { type: 'object', properties: { urls: { type: 'array', items: text }, username: text, credential: text } }
  const schema = { response: { 201: { type: 'object', properties: { iceServers: { type: 'array', items: server }, username: text, credential: text, expiresAt: { type: 'integer' }, ttl: { type: 'integer' } } } } }
  const login = { username: '1795291167:default.alice', credential: 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=' }
  const answer = { iceServers: [{ urls: ['stun:turn.example:3478'] }, { urls: ['turn:turn.example:3478?transport=udp', 'turn:turn.example:3478?transport=tcp', 'turns:turn.example:5349?transport=tcp'], ...login }], ...login, expiresAt: 1795291167, ttl: 3600 }
  app.post('/v1/turn/credentials', { schema }, (_request, reply) => { reply.code(201).send(answer) })
  return await app.listen({ host: '127.0.0.1', port: 0 })
}

process.on('SIGINT', () => process.exit(0))
process.stdout.write(`${await (process.argv[2] === 'bare' ? bare() : ours(process.argv[2] === 'full'))}\n`)
