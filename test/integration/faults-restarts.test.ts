/** What is killed at a bad moment: coturn while it is counted, the control plane in the middle of an upgrade. */
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { pidsConfiguredBy } from '../../src/relay/drivers/process-table.ts'
import type { Address } from '../../src/stun/attributes.ts'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { loopbackSettings, startApp, type TestApp } from '../kit/app.ts'
import { run, type Run } from '../kit/command.ts'
import { requireTurnserver } from '../kit/coturn.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { issue, relayPort, untilLive, type Issued } from '../kit/turn.ts'

requireTurnserver()

type Caller = { client: TurnClient, relayed: Address }
type Settings = Record<string, string>

/** The pids of the coturns of these settings, by their place. */
function coturnsOf (settings: Settings): { main: number[], alternate: number[] } {
  const directory = `${settings['TURNPIKE_DATA_DIR']}/relay`
  return { main: pidsConfiguredBy(`${directory}/turnserver.conf`), alternate: pidsConfiguredBy(`${directory}/alternate/turnserver.conf`) }
}

async function caller (port: number, { username, credential }: Pick<Issued, 'username' | 'credential'>): Promise<Caller> {
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 5000 })
  onTestFinished(() => client.abandon())
  const outcome = await client.allocate({ username, password: credential })
  if (isRefusal(outcome) || await client.createPermission('127.0.0.1') !== null) throw new Error(`refused: ${JSON.stringify(outcome)}`)
  return { client, relayed: outcome.relayed }
}

/** So many packets from one to the other, in step, so that no buffer overflows; resolves when all have come. */
async function send (one: Caller, other: Caller, packets: number): Promise<void> {
  let received = 0
  const stop = other.client.onData(() => received++)
  for (let sent = 1; sent <= packets; sent++) {
    one.client.send(other.relayed, Buffer.alloc(160))
    if (sent % 50 === 0 || sent === packets) await until('they arrive', () => received === sent)
  }
  stop()
}

type Used = { packetsFromClient: number, packetsToClient: number, allocations: number }
async function usedBy (app: TestApp, user: string): Promise<Used | undefined> {
  const { usage } = (await app.request('/v1/usage?by=user')).body as { usage: (Used & { user: string })[] }
  return usage.find(group => group.user === user)
}

function liveRows (app: TestApp): { session: string }[] {
  const database = new DatabaseSync(`${app.env['TURNPIKE_DATA_DIR']}/turnpike.db`, { readOnly: true })
  try {
    return database.prepare('SELECT session FROM live_allocations').all() as { session: string }[]
  } finally {
    database.close()
  }
}

test('after kill -9 of coturn the books have what it had reported, once; nothing of its allocations is left, and the next one\'s are counted beside', async () => {
  const app = await startApp()
  const [alice, bob] = [await issue(app, { user: 'alice' }), await issue(app, { user: 'bob' })]
  const [one, other] = [await caller(relayPort(app), alice), await caller(relayPort(app), bob)]
  // coturn reports 4096 packets at a time; the rest dies with it.
  await send(one, other, 5000)
  await until('the report is in the books', async () => (await usedBy(app, 'alice'))?.packetsFromClient === 4096 && liveRows(app).length === 2)
  process.kill(coturnsOf(app.env).main[0] ?? 0, 'SIGKILL')
  await until('it is back', () => app.relayHealth().restarts === 1 && app.relayHealth().state === 'healthy')
  await untilLive(app, 0)
  await until('nobody is thought to live', () => liveRows(app).length === 0)
  expect(await usedBy(app, 'alice')).toMatchObject({ packetsFromClient: 4096, allocations: 1 })
  const [again, peer] = [await caller(relayPort(app), alice), await caller(relayPort(app), bob)]
  await send(again, peer, 100)
  for (const { client } of [again, peer]) await client.close()
  await untilLive(app, 0)
  // Those that were sent, and what it takes to allocate, permit and release.
  await until('its total is in the books', async () => (await usedBy(app, 'alice'))?.packetsFromClient !== 4096)
  const used = await usedBy(app, 'alice')
  expect(used?.allocations).toBe(2)
  expect(used?.packetsFromClient).toBeGreaterThanOrEqual(4096 + 100)
  expect(used?.packetsFromClient).toBeLessThan(4096 + 110)
  await until('nobody is thought to live any more', () => liveRows(app).length === 0)
})

const KEYS = { TURNPIKE_API_KEY: 'api-key-of-24-characters-or-more', TURNPIKE_ADMIN_KEY: 'admin-key-of-24-characters-or-more' }
type Health = { slot: 'main' | 'alternate', state: string, leaving: { allocations: number } | null, operation: { phase: string } | null }

/** A control plane in a process of its own, which can be killed; and its next ones, on the same data. */
class ControlPlane {
  readonly settings: Settings
  readonly #base: string
  #server: Run | null = null

  constructor (settings: Settings) {
    this.settings = settings
    this.#base = `http://127.0.0.1:${settings['TURNPIKE_HTTP_PORT']}`
  }

  async start (): Promise<void> {
    this.#server = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], this.settings)
    await until('it is ready', () => this.ask('GET', '/readyz').then(() => true, () => false), 20_000)
  }

  async kill (): Promise<void> {
    this.#server?.child.kill('SIGKILL')
    await this.#server?.exit
  }

  async health (): Promise<Health> {
    return await this.ask('GET', '/v1/relays/turnpike') as Health
  }

  /** Throws where the answer is a refusal. */
  async ask (method: string, path: string): Promise<unknown> {
    const answer = await fetch(this.#base + path, { method, headers: { authorization: `Bearer ${path.startsWith('/v1/relays') ? KEYS.TURNPIKE_ADMIN_KEY : KEYS.TURNPIKE_API_KEY}`, ...(method === 'POST' ? { 'content-type': 'application/json' } : {}) }, ...(method === 'POST' ? { body: '{}' } : {}) })
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
    return await answer.json()
  }
}

/** A relay whose coturns start slowly while a file `slow` is there, so that a start can be interrupted. */
async function slowlyStarting (): Promise<{ plane: ControlPlane, slow: string }> {
  const directory = scratchDirectory()
  const slow = `${directory}/slow`
  writeFileSync(`${directory}/turnserver`, `#!/bin/sh\n[ "$1" = --version ] || [ ! -e ${slow} ] || sleep 1\nexec ${requireTurnserver()} "$@"\n`)
  chmodSync(`${directory}/turnserver`, 0o755)
  const [httpPort = 0, metricsPort = 0] = await freePorts(2)
  return { slow, plane: new ControlPlane({ ...await loopbackSettings(), ...KEYS, PATH: `${directory}:${process.env['PATH']}`, TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_METRICS_PORT: String(metricsPort), TURNPIKE_RELAY_HAND_OVER_SECONDS: '1', TURNPIKE_RELAY_DRAIN_SECONDS: '4', TURNPIKE_RELAY_PROBE_SECONDS: '1' }) }
}

/** Looks again and again which coturns run; tells the fewest at any time, and the most in one place. */
function watchCoturns (settings: Settings): () => { fewest: number, mostInOnePlace: number } {
  const seen = { fewest: 9, mostInOnePlace: 0 }
  let before: number[] = []
  const timer = setInterval(() => {
    const { main, alternate } = coturnsOf(settings)
    seen.fewest = Math.min(seen.fewest, main.length + alternate.length)
    // Seen twice: what a shell is about to start is for an instant another process of the same name.
    const stay = (pids: number[]): number => pids.filter(pid => before.includes(pid)).length
    seen.mostInOnePlace = Math.max(seen.mostInOnePlace, stay(main), stay(alternate))
    before = [...main, ...alternate]
  }, 20)
  onTestFinished(() => clearInterval(timer))
  return () => {
    clearInterval(timer)
    return seen
  }
}

const MOMENTS = [
  ['the second coturn starts', 'alternate', 'main', 'starting'],
  ['the first one hands over', 'alternate', 'alternate', 'handing-over'],
  ['the first one is drained', 'alternate', 'alternate', 'draining'],
  ['the third one starts, on the main ports', 'main', 'alternate', 'starting'],
] as const

test.each(MOMENTS)('a control plane that is killed in an upgrade while %s: no call ends before its deadline, and the next control plane ends with one coturn, on the main ports', async (_when, newest, serving, phase) => {
  const { plane, slow } = await slowlyStarting()
  await plane.start()
  const issued = await plane.ask('POST', '/v1/turn/credentials') as Issued
  const port = Number(plane.settings['TURNPIKE_RELAY_PORT'])
  // A call would keep the first coturn until its deadline; the third one starts after that.
  const calls = newest === 'main' ? [] : [[await caller(port, issued), await caller(port, issued)] as const]
  const talk = async (): Promise<void> => { for (const [one, other] of calls) await send(one, other, 50) }
  const [first = 0] = coturnsOf(plane.settings).main
  const seen = watchCoturns(plane.settings)
  writeFileSync(slow, '')
  await plane.ask('POST', '/v1/relays/turnpike/upgrade')
  await until('its moment has come', async () => {
    const { slot, operation } = await plane.health()
    return slot === serving && operation?.phase === phase && coturnsOf(plane.settings)[newest].some(pid => pid !== first)
  }, 20_000)
  await plane.kill()
  await talk()
  rmSync(slow)
  await plane.start()
  await talk()
  expect((await plane.health()).leaving !== null).toBe(phase !== 'starting' && calls.length > 0)
  await until('one serves, on the main ports', async () => {
    const { slot, state, leaving, operation } = await plane.health()
    return slot === 'main' && state === 'healthy' && leaving === null && (operation === null || operation.phase === 'done')
  }, 30_000)
  expect(seen()).toEqual({ fewest: 1, mostInOnePlace: 1 })
  const { main, alternate } = coturnsOf(plane.settings)
  expect([main.length, alternate.length]).toEqual([1, 0])
  // Where none had taken over yet, the first goes on as if nothing had been, with its call.
  expect(main[0] === first).toBe(serving === 'main')
  if (serving === 'main') await talk()
  await caller(port, issued)
})
