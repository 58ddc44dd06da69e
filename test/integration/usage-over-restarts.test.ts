/** The books are right whoever is killed: the control plane in the middle of a call, again and again, and coturn itself. */
import { expect, test } from 'vitest'
import { TurnClient } from '../../src/stun/turn-client.ts'
import { loopbackSettings } from '../kit/app.ts'
import { run, signalGroup, type Run } from '../kit/command.ts'
import { verboseTurnserver } from '../kit/coturn.ts'
import { freePorts, until } from '../kit/files.ts'

const ADMIN = 'an-admin-key-of-the-test-alone'
const RUNS = 4

type Sums = { packetsFromClient: number, packetsToClient: number, bytesFromClient: number, bytesToClient: number }

/** What coturn itself logged of a user's sessions, added up. */
function coturnTotals (log: string, user: string): Sums {
  const sums = { packetsFromClient: 0, bytesFromClient: 0, packetsToClient: 0, bytesToClient: 0 }
  for (const [, rp, rb, sp, sb] of log.matchAll(new RegExp(`session \\d+: usage: .*username=<\\d+:default\\.${user}\\.[^>]*>, rp=(\\d+), rb=(\\d+), sp=(\\d+), sb=(\\d+)`, 'g'))) {
    sums.packetsFromClient += Number(rp)
    sums.bytesFromClient += Number(rb)
    sums.packetsToClient += Number(sp)
    sums.bytesToClient += Number(sb)
  }
  return sums
}

async function get<T> (path: string, url: string): Promise<T> {
  const answer = await fetch(url + path, { headers: { authorization: `Bearer ${ADMIN}` } })
  return await answer.json() as T
}

async function usageOf (user: string, url: string): Promise<(Sums & { allocations: number }) | undefined> {
  const { usage } = await get<{ usage: (Sums & { user: string, allocations: number })[] }>('/v1/usage?by=user', url)
  const found = usage.find(row => row.user === user)
  return found === undefined ? undefined : { packetsFromClient: found.packetsFromClient, bytesFromClient: found.bytesFromClient, packetsToClient: found.packetsToClient, bytesToClient: found.bytesToClient, allocations: found.allocations }
}

async function startProgram (env: Record<string, string>): Promise<{ program: Run, url: string }> {
  const program = run('node_modules/.bin/node', ['bin/turnpike.mjs', 'serve'], env)
  await program.until('the relay is proved')
  const [, url = ''] = /API +(http:\/\/\S+)\/v1\/docs/.exec(program.out()) ?? []
  return { program, url }
}

async function allocateVia (url: string, port: number, user: string): Promise<{ client: TurnClient, relayed: { address: string, port: number } }> {
  const answer = await fetch(`${url}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' }, body: JSON.stringify({ user, project: 'default' }) })
  const { username, credential } = await answer.json() as { username: string, credential: string }
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 2000 })
  const outcome = await client.allocate({ username, password: credential })
  if (!('relayed' in outcome)) throw new Error(JSON.stringify(outcome))
  await client.createPermission('127.0.0.1')
  return { client, relayed: outcome.relayed }
}

test('the control plane is killed three times during a call: the call goes on, is listed again, and what it relayed is in the books once, to the byte', async () => {
  const [metricsPort = 0] = await freePorts(1)
  const env: Record<string, string> = { ...await loopbackSettings(), TURNPIKE_METRICS_PORT: String(metricsPort), TURNPIKE_ADMIN_KEY: ADMIN, TURNPIKE_LOG_LEVEL: 'debug', PATH: `${verboseTurnserver()}:${process.env['PATH']}` }
  const port = Number(env['TURNPIKE_RELAY_PORT'])
  let { program, url } = await startProgram(env)
  const [alice, bob] = [await allocateVia(url, port, 'alice'), await allocateVia(url, port, 'bob')]
  let received = 0
  bob.client.onData(() => received++)
  // More than coturn reports at once, so that reports come, and get lost, all the time.
  const sending = setInterval(() => { for (let i = 0; i < 40; i++) alice.client.send(bob.relayed, Buffer.alloc(100)) }, 20)
  let log = ''
  for (let i = 1; i < RUNS; i++) {
    const before = received
    await until('reports have come', () => received > before + 5000 + i * 700)
    signalGroup(program.child, 'SIGKILL')
    await program.exit
    log += program.err()
    const dead = received
    await until('the call goes on without us', () => received > dead + 2500);
    ({ program, url } = await startProgram(env))
    await until('both are listed again', async () => (await get<{ total: number }>('/v1/turn/allocations', url)).total === 2)
  }
  clearInterval(sending)
  await until('coturn reports to us again', async () => (await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()).includes('turnpike_relay_feed_connected{relay="turnpike"} 1'), 20_000)
  await alice.client.close()
  await bob.client.close()
  await until('both have ended', async () => (await get<{ total: number }>('/v1/turn/allocations', url)).total === 0)
  await until('coturn has logged it', () => coturnTotals(log + program.err(), 'alice').packetsFromClient >= received)
  for (const user of ['alice', 'bob']) {
    await until(`the books of ${user}`, async () => await usageOf(user, url) !== undefined)
    expect(await usageOf(user, url)).toEqual({ ...coturnTotals(log + program.err(), user), allocations: 1 })
  }
}, 120_000)
