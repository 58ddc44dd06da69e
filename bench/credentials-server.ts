/** The two servers that bench/credentials.ts compares: ours as shipped, and a bare Fastify route that answers with the same JSON. */
import Fastify from 'fastify'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createAccess, migrations as accessMigrations } from '../src/access/access.ts'
import { createLogger } from '../src/cli/logger.ts'
import { loadConfig } from '../src/config/load.ts'
import { createCredentials, migrations as credentialsMigrations } from '../src/credentials/credentials.ts'
import { createHttp } from '../src/http/server.ts'
import { createMetrics } from '../src/metrics/metrics.ts'
import { openStore } from '../src/store/store.ts'

const nowSeconds = (): number => Math.floor(Date.now() / 1000)

async function ours (): Promise<string> {
  const { config } = loadConfig({ env: { TURNPIKE_HTTP_HOST: '127.0.0.1', TURNPIKE_HTTP_PORT: '0', TURNPIKE_METRICS_PORT: '0', TURNPIKE_API_KEY: 'bench-bench-bench-bench-bench' }, readFile: () => '' })
  const store = openStore(`${mkdtempSync(`${tmpdir()}/turnpike-bench-`)}/turnpike.db`, [...accessMigrations, ...credentialsMigrations])
  const metrics = createMetrics()
  const access = createAccess({ store, metrics, config, nowSeconds })
  const credentials = createCredentials({ store, metrics, ttl: config.credentials, fixedSecret: undefined, nowSeconds, relays: () => [{ host: 'turn.example', port: 3478, tlsPort: 5349 }], relayDown: () => '' })
  const health = (): never => { throw new Error('not asked for here') }
  const http = createHttp({ config, access, credentials, relay: { health }, signaling: { admit: health, attach: health }, isStoreWritable: () => true, metrics, logger: createLogger(config.log.level, false), version: 'bench' })
  await http.start()
  return http.url()
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

process.stdout.write(`${await (process.argv[2] === 'ours' ? ours() : bare())}\n`)
