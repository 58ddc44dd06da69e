/** A user with 100 live allocations is revoked: until the answer, and until coturn has ended the last of them. Needs turnserver. */
import { isRefusal, TurnClient } from '../src/stun/turn-client.ts'
import { startBenchApp } from './coturns.ts'
import { report } from './processes.ts'

const ALLOCATIONS = 100
const ROUNDS = 5
const PORT = 13_478
const app = await startBenchApp({ TURNPIKE_RELAY_PORT: String(PORT) })
try {
  if (!app.relayHealth().ready) throw new Error(`the relay is not ready: ${app.relayHealth().reason}`)
  /** Open to the end: the port of one that is closed would be given to another, whom coturn takes for the first. */
  const clients: TurnClient[] = []
  const seconds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const { username, credential } = await app.ask('POST', '/v1/turn/credentials', { user: `user-${round}` }) as { username: string, credential: string }
    clients.push(...await Promise.all(Array.from({ length: ALLOCATIONS }, async () => {
      const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: PORT, timeoutMs: 3000 })
      const outcome = await client.allocate({ username, password: credential })
      if (isRefusal(outcome)) throw new Error(`refused: ${outcome.code} ${outcome.reason}`)
      return client
    })))
    while (((await app.ask('GET', '/v1/turn/allocations?limit=1000'))['allocations'] as object[]).length < ALLOCATIONS) await new Promise(resolve => setTimeout(resolve, 10))
    const began = performance.now()
    const { allocationsClosed } = await app.ask('DELETE', `/v1/turn/credentials/user-${round}`)
    seconds.push((performance.now() - began) / 1000)
    if (allocationsClosed !== ALLOCATIONS) throw new Error(`${String(allocationsClosed)} were cut`)
  }
  report('seconds until 100 live allocations of a revoked user have ended', seconds, '< 1')
} finally {
  await app.stop(2000)
}
process.exit(0)
