/**
 * Proves a relay as a client would: Binding, an Allocate refused to strangers, one given with credentials, a forbidden peer refused,
 * and random bytes relayed between two allocations. RFC 8489, RFC 8656.
 */
import { randomBytes } from 'node:crypto'
import { isTurnpikeError } from '../protocol/errors.ts'
import type { Address } from '../stun/attributes.ts'
import type { TransportName } from '../stun/transport.ts'
import { TurnClient, isRefusal, refused, type Login } from '../stun/turn-client.ts'
import type { RelayCheck } from './driver.ts'

export type ProbeTarget = {
  /** Where the relay listens. */
  host: string
  port: number
  /** Null where TLS is not served. */
  tlsPort: number | null
  /** Mints credentials of the relay that expire so many seconds from now (by our clock). */
  loginFor: (lifetimeSeconds: number) => Login
  /** An address that the relay must refuse as a peer. */
  forbiddenPeer: string
  echo: { possible: true } | { possible: false, reason: string }
  timeoutMs: number
  /** Ends a probe whose result nobody waits for any more: its connections are closed at once. */
  isAbandoned?: AbortSignal
}
type Check = RelayCheck['check']
type Seen = { detail: string, roundTripMs?: number, leftOut?: boolean }

/** How far clocks may differ before a credential's lifetime is no longer what it says. */
const CLOCK_TOLERANCE_SECONDS = 300
/** Beyond what any clock is off, so that only the secret decides; whether clocks agree is a check of its own. */
const FAR_AHEAD_SECONDS = 400 * 86_400
const ECHO_BYTES = 512

/** What strangers are given by an open relay; the supervisor stops a relay whose check begins so. */
export const SERVES_STRANGERS = 'serves strangers'
/** What an Allocate is told by a relay that works and is full: 486 (quota), 508 (no port is free). RFC 8656 §7.2. */
export const HAS_NO_ROOM = 'no room'
const NO_ROOM_CODES = [486, 508]

/** Runs every check over every transport side by side; never throws. No allocation is left behind. */
export async function probeRelay (target: ProbeTarget): Promise<RelayCheck[]> {
  const transports: TransportName[] = target.tlsPort === null ? ['udp', 'tcp'] : ['udp', 'tcp', 'tls']
  const results = await Promise.all([...transports.map(transport => probeTransport(target, transport)), check('clock', 'udp', () => compareClocks(target))])
  return results.flat()
}

async function probeTransport (target: ProbeTarget, transport: TransportName): Promise<RelayCheck[]> {
  const [strangers, allocations] = await Promise.all([
    withClient(target, transport, async client => {
      const binding = await check('binding', transport, async () => {
        const mapped = await timed(() => client.binding())
        return { detail: `seen at ${mapped.value.address}`, roundTripMs: mapped.ms }
      })
      // One that does not answer is not waited for a second time: every second of it is one in which clients are sent there.
      return [binding, binding.result === 'failed' ? failed('refuses-strangers', transport, new Error(binding.detail)) : await check('refuses-strangers', transport, () => expectRefusal(client))]
    }).catch((error: unknown) => failedAll(['binding', 'refuses-strangers'], transport, error)),
    withClient(target, transport, one => withClient(target, transport, other => probeAllocations(target, transport, one, other)))
      .catch((error: unknown) => failedAll(['allocate', 'forbidden-peer', 'echo'], transport, error)),
  ])
  return [...strangers, ...allocations]
}

async function expectRefusal (client: TurnClient): Promise<Seen> {
  const refusal = await client.allocateAsStranger()
  if (refusal === null) throw new Error(`${SERVES_STRANGERS}: an Allocate without credentials was given an allocation`)
  if (refusal.code !== 401) throw refused('an Allocate without credentials should get 401 and', refusal)
  return { detail: 'an Allocate without credentials gets 401' }
}

async function probeAllocations (target: ProbeTarget, transport: TransportName, one: TurnClient, other: TurnClient): Promise<RelayCheck[]> {
  const relayed: Address[] = []
  const allocate = await check('allocate', transport, async () => {
    const started = performance.now()
    const [first, second] = await Promise.all([one, other].map(client => client.allocate(target.loginFor(FAR_AHEAD_SECONDS))))
    for (const allocation of [first, second]) {
      if (allocation === undefined) throw new Error('no answer')
      if (isRefusal(allocation) && NO_ROOM_CODES.includes(allocation.code)) throw new Error(`${HAS_NO_ROOM}: ${refused('Allocate', allocation).message}`)
      if (isRefusal(allocation)) throw refused('Allocate', allocation)
      relayed.push(allocation.relayed)
    }
    return { detail: `relays from ${relayed[0]?.address}`, roundTripMs: performance.now() - started }
  })
  const [first, second] = relayed
  if (first === undefined || second === undefined) return [allocate, ...untried(['forbidden-peer', 'echo'], allocate)]
  return [
    allocate,
    await check('forbidden-peer', transport, async () => {
      const refusal = await one.createPermission(target.forbiddenPeer)
      if (refusal === null) throw new Error(`a permission toward ${target.forbiddenPeer} was given; the list of forbidden peers does not hold`)
      if (refusal.code !== 403) throw refused(`a permission toward ${target.forbiddenPeer} should get 403 and`, refusal)
      return { detail: `a permission toward ${target.forbiddenPeer} gets 403` }
    }),
    await check('echo', transport, () => relayBytes(target, one, first, other, second)),
  ]
}

/** Random bytes from one allocation to the other and back, compared at both ends. */
async function relayBytes (target: ProbeTarget, one: TurnClient, first: Address, other: TurnClient, second: Address): Promise<Seen> {
  if (!target.echo.possible) return { detail: target.echo.reason, leftOut: true }
  const permissions = await Promise.all([one.createPermission(second.address), other.createPermission(first.address)])
  const refusal = permissions.find(permission => permission !== null)
  if (refusal !== undefined && refusal !== null) throw refused(`a permission toward the relay's own address ${first.address}`, refusal)
  const started = performance.now()
  await relayOnce(one, other, second, randomBytes(ECHO_BYTES), target.timeoutMs)
  await relayOnce(other, one, first, randomBytes(ECHO_BYTES), target.timeoutMs)
  return { detail: `${ECHO_BYTES} bytes there and back`, roundTripMs: performance.now() - started }
}

async function relayOnce (from: TurnClient, to: TurnClient, address: Address, data: Buffer, timeoutMs: number): Promise<void> {
  let stop = (): void => {}
  let deadline: NodeJS.Timeout | undefined
  let repeat: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      deadline = setTimeout(() => reject(new Error(`no relayed bytes arrived within ${timeoutMs} ms`)), timeoutMs)
      stop = to.onData((_, received) => {
        if (received.equals(data)) resolve()
      }, reject)
      from.send(address, data)
      // What is relayed is UDP: one lost packet is no broken relay.
      repeat = setInterval(() => from.send(address, data), timeoutMs / 5)
    })
  } finally {
    clearTimeout(deadline)
    clearInterval(repeat)
    stop()
  }
}

/**
 * A credential is judged by the relay's clock. One that holds for 5 min and is refused while one that holds for long is taken
 * shows a clock ahead of ours; one that ended 5 min ago and is taken shows a clock behind.
 */
async function compareClocks (target: ProbeTarget): Promise<Seen> {
  // A refusal for want of room tells nothing of clocks.
  let hasRoom = true
  const isTaken = async (lifetimeSeconds: number): Promise<boolean> => await withClient(target, 'udp', async client => {
    const outcome = await client.allocate(target.loginFor(lifetimeSeconds))
    if (isRefusal(outcome) && NO_ROOM_CODES.includes(outcome.code)) hasRoom = false
    return !isRefusal(outcome)
  })
  const minutes = CLOCK_TOLERANCE_SECONDS / 60
  const [soon, past] = await Promise.all([isTaken(CLOCK_TOLERANCE_SECONDS), isTaken(-CLOCK_TOLERANCE_SECONDS)])
  if (past) throw new Error(`the clock of the relay is at least ${minutes} min behind ours: it takes credentials that have expired`)
  if (soon) return { detail: `agrees with ours within ${minutes} min` }
  if (hasRoom && await isTaken(FAR_AHEAD_SECONDS)) throw new Error(`the clock of the relay is at least ${minutes} min ahead of ours: it refuses credentials that hold`)
  return { detail: 'cannot be told, because no credential is taken', leftOut: true }
}

async function withClient<T> (target: ProbeTarget, transport: TransportName, work: (client: TurnClient) => Promise<T>): Promise<T> {
  const port = transport === 'tls' ? target.tlsPort ?? target.port : target.port
  const client = await TurnClient.open({ transport, host: target.host, port, timeoutMs: target.timeoutMs })
  const abandon = (): void => client.abandon()
  target.isAbandoned?.addEventListener('abort', abandon, { once: true })
  if (target.isAbandoned?.aborted === true) abandon()
  try {
    return await work(client)
  } finally {
    target.isAbandoned?.removeEventListener('abort', abandon)
    await client.close()
  }
}

async function check (name: Check, transport: TransportName, work: () => Promise<Seen>): Promise<RelayCheck> {
  try {
    const { detail, roundTripMs = null, leftOut = false } = await work()
    return { check: name, transport, result: leftOut ? 'left-out' : 'passed', detail, roundTripMs }
  } catch (error) {
    return failed(name, transport, error)
  }
}

/** What needs an allocation, where there is none: for want of room that tells nothing of the relay, else it fails too. */
function untried (names: readonly Check[], { transport, detail }: RelayCheck): RelayCheck[] {
  const checks = failedAll(names, transport, new Error('there is no allocation to try it with'))
  return detail.startsWith(HAS_NO_ROOM) ? checks.map(check => ({ ...check, result: 'left-out' as const })) : checks
}

function failedAll (names: readonly Check[], transport: TransportName, error: unknown): RelayCheck[] {
  return names.map(name => failed(name, transport, error))
}

function failed (check: Check, transport: TransportName, error: unknown): RelayCheck {
  const known = isTurnpikeError(error) || error instanceof Error
  return { check, transport, result: 'failed', detail: known ? error.message : String(error), roundTripMs: null }
}

async function timed<T> (work: () => Promise<T>): Promise<{ value: T, ms: number }> {
  const started = performance.now()
  const value = await work()
  return { value, ms: performance.now() - started }
}
