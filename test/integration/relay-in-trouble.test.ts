/** What must not happen to calls and to the machine when a relay is full, ends at a bad moment, or is stopped half-way: real coturn. */
import { execFileSync } from 'node:child_process'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { mintLogin, requireTurnserver } from '../kit/coturn.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'

requireTurnserver()

function pidsOf (relay: TestRelay): number[] {
  const output = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
  return output.split('\n').filter(line => line.includes(`${relay.settings['TURNPIKE_DATA_DIR']}/relay/turnserver.conf`)).map(line => Number.parseInt(line))
}

/** One more allocation of shop.alice over UDP, released with the test; null where it is refused. */
async function allocate (relay: TestRelay): Promise<TurnClient | null> {
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: relay.port, timeoutMs: 1000 })
  onTestFinished(() => client.abandon())
  const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600, 'shop.alice.0'))
  return isRefusal(outcome) ? null : client
}
const live = async (relay: TestRelay): Promise<number | undefined> => await sample(relay.metrics, 'turnpike_relay_allocations{relay="turnpike",transport="udp"}')

test('a relay whose ports are all taken keeps its calls, says what is short, and is well when there is room again', async () => {
  const relay = await makeRelay({ TURNPIKE_RELAY_MIN_PORT: '20500', TURNPIKE_RELAY_MAX_PORT: '20511' })
  await relay.start()
  const [pid] = pidsOf(relay)
  const calls: TurnClient[] = []
  await until('every port is taken', async () => {
    for (let client = await allocate(relay); client !== null; client = await allocate(relay)) calls.push(client)
    return relay.health().code === 'relay-full'
  }, 20_000)
  // More often than the failures in a row that end a relay that hangs.
  await until('it was found full six times', () => relay.log.filter(line => line.startsWith('relay degraded: ')).length >= 6, 20_000)
  expect(relay.health()).toMatchObject({ ready: true, state: 'degraded', code: 'relay-full', restarts: 0, reason: expect.stringContaining('508') })
  expect(pidsOf(relay)).toEqual([pid])
  expect(await live(relay)).toBe(calls.length)
  for (const call of calls) await call.close()
  await until('it is well', () => relay.health().state === 'healthy')
})

/** A relay that is frozen, so that its next probe waits for an answer; resolves while it waits. */
async function frozenInAProbe (): Promise<{ relay: TestRelay, pid: number }> {
  let looks = 0
  const nowSeconds = (): number => {
    looks++
    return Math.floor(Date.now() / 1000)
  }
  const relay = await makeRelay({}, { nowSeconds })
  await relay.start()
  const [pid = 0] = pidsOf(relay)
  process.kill(pid, 'SIGSTOP')
  const before = looks
  // A probe begins by asking for the time.
  await until('a probe waits for an answer', () => looks > before)
  return { relay, pid }
}

test('a crash in the middle of a probe is mended as fast as any: in under a second', async () => {
  const { relay, pid } = await frozenInAProbe()
  process.kill(pid, 'SIGKILL')
  const killedAt = performance.now()
  await until('it is back', () => relay.health().restarts === 1 && relay.health().state === 'healthy')
  expect(performance.now() - killedAt).toBeLessThan(1000)
})

test('one that hangs is stopped within a second, although a probe waits for it', async () => {
  const { relay } = await frozenInAProbe()
  const askedAt = performance.now()
  await relay.stop(2000)
  expect(performance.now() - askedAt).toBeLessThan(1000)
  expect(pidsOf(relay)).toEqual([])
})

test('whenever in its start a relay is stopped, it is gone within the deadline and nothing is left behind', async () => {
  // Moments of a start, which takes about 150 ms: looking for coturn, launching it, proving it.
  for (const pauseMs of [0, 1, 3, 6, 12, 25, 50, 100]) {
    const relay = await makeRelay()
    const started = relay.start()
    await new Promise(resolve => setTimeout(resolve, pauseMs))
    const askedAt = performance.now()
    await relay.stop(2000)
    expect(performance.now() - askedAt).toBeLessThan(1000)
    await started
    expect(pidsOf(relay)).toEqual([])
    expect(relay.health().state).toBe('stopped')
  }
})

test('live allocations are shown while they live, and none of them while coturn is gone', async () => {
  const directory = scratchDirectory()
  const program = join(directory, 'turnserver')
  symlinkSync(requireTurnserver(), program)
  const relay = await makeRelay({}, { programPath: [directory] })
  await relay.start()
  const [one, other] = [await allocate(relay), await allocate(relay)]
  expect([one === null, other === null]).toEqual([false, false])
  await until('both are shown', async () => await live(relay) === 2)
  await one?.close()
  await until('one is left', async () => await live(relay) === 1)
  rmSync(program)
  process.kill(pidsOf(relay)[0] ?? 0, 'SIGKILL')
  await until('it cannot be started again', () => relay.health().code === 'relay-program-missing')
  expect(await live(relay)).toBe(0)
  symlinkSync(requireTurnserver(), program)
  await until('it is back', () => relay.health().state === 'healthy')
  expect(await sample(relay.metrics, 'turnpike_relay_allocations_total{relay="turnpike",transport="udp"}')).toBe(2)
  // The new one numbers its sessions from 1 again, and reports to the same place.
  await allocate(relay)
  await until('the next one is shown', async () => await live(relay) === 1)
})

test('a clock that is set 10 minutes forward is said, with what it means, and the relay stays in use', async () => {
  let offset = 0
  const relay = await makeRelay({}, { nowSeconds: () => Math.floor(Date.now() / 1000) + offset })
  await relay.start()
  offset = 600
  await until('it is noticed', () => relay.health().code === 'relay-clock-off')
  expect(relay.health()).toMatchObject({ ready: true, state: 'degraded', reason: expect.stringContaining('behind ours') })
  expect(relay.log.join('\n')).toContain('jumped 600 s forward: credentials issued before end that much earlier than they say')
  offset = 0
  await until('it is well again', () => relay.health().state === 'healthy')
  expect(relay.health().restarts).toBe(0)
})

test.each(['', '{}', '{"port":1}', 'null'])('a note of the feed that was cut short (%j) costs a restart of coturn, and nothing else', async text => {
  const first = await makeRelay()
  await first.start()
  const pids = pidsOf(first)
  await first.release()
  writeFileSync(`${first.settings['TURNPIKE_DATA_DIR']}/relay/feed.json`, text)
  const second = await makeRelay(first.settings)
  await second.start()
  expect(second.health().reason).toBe('every check passed')
  expect(pidsOf(second)).toHaveLength(1)
  expect(pidsOf(second)).not.toEqual(pids)
})
