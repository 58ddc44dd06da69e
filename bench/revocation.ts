/** A user with 100 live allocations is revoked: until the answer, and until coturn has ended the last of them. Needs turnserver. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createApp } from '../src/app.ts'
import { createLogger } from '../src/cli/logger.ts'
import { loadConfig } from '../src/config/load.ts'
import { isRefusal, TurnClient } from '../src/stun/turn-client.ts'
import { report } from './processes.ts'

const ALLOCATIONS = 100
const ROUNDS = 5
const env = {
  TURNPIKE_DATA_DIR: mkdtempSync(`${tmpdir()}/turnpike-bench-`),
  TURNPIKE_HTTP_HOST: '127.0.0.1',
  TURNPIKE_HTTP_PORT: '0',
  TURNPIKE_METRICS_PORT: '0',
  TURNPIKE_RELAY_DRIVER: 'process',
  TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1',
  TURNPIKE_RELAY_PEERS: 'loopback',
  TURNPIKE_RELAY_PORT: '13478',
  TURNPIKE_RELAY_USER_QUOTA: '1000',
  TURNPIKE_API_KEY: 'bench-bench-bench-bench-bench',
  TURNPIKE_LOG_LEVEL: 'silent',
}
const { config } = loadConfig({ env, readFile: () => '' })
const app = createApp(config, { nowSeconds: () => Math.floor(Date.now() / 1000), log: createLogger('silent', false), version: 'bench', programPath: (process.env['PATH'] ?? '').split(':'), dockerHost: undefined, installRelay: false })
await app.start()
const headers = { authorization: `Bearer ${env.TURNPIKE_API_KEY}`, 'content-type': 'application/json' }
const ask = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => await (await fetch(app.url() + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).json() as Record<string, unknown>
try {
  if (!app.relayHealth().ready) throw new Error(`the relay is not ready: ${app.relayHealth().reason}`)
  /** Open to the end: the port of one that is closed would be given to another, whom coturn takes for the first. */
  const clients: TurnClient[] = []
  const seconds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const { username, credential } = await ask('POST', '/v1/turn/credentials', { user: `user-${round}` }) as { username: string, credential: string }
    clients.push(...await Promise.all(Array.from({ length: ALLOCATIONS }, async () => {
      const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: 13_478, timeoutMs: 3000 })
      const outcome = await client.allocate({ username, password: credential })
      if (isRefusal(outcome)) throw new Error(`refused: ${outcome.code} ${outcome.reason}`)
      return client
    })))
    while (((await ask('GET', '/v1/turn/allocations?limit=1000'))['allocations'] as object[]).length < ALLOCATIONS) await new Promise(resolve => setTimeout(resolve, 10))
    const began = performance.now()
    const { allocationsClosed } = await ask('DELETE', `/v1/turn/credentials/user-${round}`)
    seconds.push((performance.now() - began) / 1000)
    if (allocationsClosed !== ALLOCATIONS) throw new Error(`${String(allocationsClosed)} were cut`)
  }
  report('seconds until 100 live allocations of a revoked user have ended', seconds, '< 1')
} finally {
  await app.stop(2000)
}
process.exit(0)
