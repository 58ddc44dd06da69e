/** What some do to a server is not felt by the others: slow readers, flooders and senders of garbage; 2,000 of them do not eat its memory. */
import { expect, test } from 'vitest'
import { whenDone } from '../kit/cleanup.ts'
import { run, signalGroup, type Run } from '../kit/command.ts'
import { until } from '../kit/files.ts'
import type { Plan } from '../kit/hostile.ts'
import { putBack, putFirst } from '../kit/priority.ts'
import { ResumingPeer } from '../kit/resuming-peer.ts'
import { Server } from '../kit/server.ts'

const PAIRS = 10
/** Below the rate that a peer has lastingly. */
const EVERY_MS = 25
/** So often at least and at most. */
const [LEAST_ROUNDS, MOST_ROUNDS] = [5, 15]
const PHASE_MS = 1200
/** What was on its way when something began is not measured. */
const SETTLE_MS = 150
/** Less cannot be told apart on a machine that has other things to do; without fair reading it is two hundred. */
const FLOOR_MS = 1
const NOBODY: Omit<Plan, 'port' | 'tokens'> = { unread: 0, silent: 0, garbage: 0, garbagePerSecond: 10, flooders: 0, floodPerSecond: 1000, torrents: 0, halfOpen: 0, feedBytes: 0, feedsPerSecond: 0 }
/** In the rooms of those who are measured. */
const AMONG_THEM = { unread: PAIRS, silent: PAIRS, garbage: PAIRS, flooders: 2 }
/** In rooms beside them: what reaches everybody there would be work for who measures, not for the server. */
const BESIDE_THEM = { unread: PAIRS, silent: PAIRS, feedBytes: 30_000, feedsPerSecond: 10, torrents: 2 }

async function hostile (server: Server, rooms: readonly string[], plan: Partial<Plan>): Promise<Run> {
  const tokens = await Promise.all(rooms.map(room => server.token(room, { peer: '*' })))
  // Nice, because what is measured is how the server treats others, and not how the kernel divides the processor among attackers and attacked.
  const program = run('nice', ['-n', '19', 'node_modules/.bin/node', '--disable-warning=ExperimentalWarning', 'test/kit/hostile.ts', JSON.stringify({ ...NOBODY, port: server.port, tokens, ...plan })], {})
  await program.until('ready\n', 60_000)
  return program
}

type Pairs = { latenciesMs: number[], sent: number, heard: number, peers: ResumingPeer[] }

/** Pairs that signal all the time, and how long each signal took. */
async function goodPairs (server: Server, rooms: readonly string[]): Promise<Pairs> {
  const pairs: Pairs = { latenciesMs: [], sent: 0, heard: 0, peers: [] }
  await Promise.all(rooms.map(async room => {
    const join = async (peer: string): Promise<ResumingPeer> => new ResumingPeer({
      url: () => server.signalUrl,
      token: await server.token(room, { peer }),
      onFrame: frame => {
        if (frame.type !== 'signal' || typeof frame.data !== 'object') return
        pairs.heard++
        pairs.latenciesMs.push(performance.now() - (frame.data as { at: number }).at)
      },
    })
    const [from, to] = [await join('good-a'), await join('good-b')]
    pairs.peers.push(from, to)
    await until('both are in', () => from.isIn && to.isIn)
    const timer = setInterval(() => {
      pairs.sent++
      from.signal('good-b', { at: performance.now() })
    }, EVERY_MS)
    whenDone(() => clearInterval(timer))
  }))
  whenDone(() => { for (const peer of pairs.peers) peer.vanish() })
  return pairs
}

/** The p99 of a phase, in ms. */
async function p99 (pairs: Pairs): Promise<number> {
  const wait = async (ms: number): Promise<void> => await new Promise(resolve => setTimeout(resolve, ms))
  await wait(SETTLE_MS)
  pairs.latenciesMs.length = 0
  await wait(PHASE_MS)
  expect(pairs.latenciesMs.length).toBeGreaterThan(50)
  return pairs.latenciesMs.toSorted((a, b) => a - b)[Math.floor(pairs.latenciesMs.length * 0.99)] ?? Infinity
}

function median (values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** How many errors of each code the server has given. */
async function errorsOf (server: Server): Promise<Map<string, number>> {
  const lines = (await server.metrics()).matchAll(/^turnpike_signaling_errors_total\{.*code="([\w-]+)".*\} (\d+)/gm)
  return new Map([...lines].map(([, code = '', count]) => [code, Number(count)]))
}

test('slow readers, flooders and senders of garbage delay nobody: the p99 of the others stays within twice that of a quiet time', async () => {
  const server = await Server.start({})
  const rooms = Array.from({ length: PAIRS }, (_, i) => `room-${i}`)
  const pairs = await goodPairs(server, rooms)
  for (const pid of [server.pid, process.pid]) putFirst(pid)
  whenDone(() => putBack(process.pid))
  const [quiet, attacked]: [number[], number[]] = [[], []]
  for (let i = 0; i < LEAST_ROUNDS; i++) quiet.push(await p99(pairs))
  const attackers = [await hostile(server, rooms, AMONG_THEM), await hostile(server, rooms.map(room => `beside ${room}`), BESIDE_THEM)]
  const isWithin = (): boolean => median(attacked) <= 2 * median(quiet) + FLOOR_MS
  while (attacked.length < LEAST_ROUNDS || (attacked.length < MOST_ROUNDS && !isWithin())) attacked.push(await p99(pairs))
  const inWords = (values: readonly number[]): string => `${median(values).toFixed(1)} (${values.map(value => value.toFixed(1)).join(', ')})`
  process.stdout.write(`p99 in ms, median of phases: quiet ${inWords(quiet)}, attacked ${inWords(attacked)}\n`)
  expect(median(attacked)).toBeLessThanOrEqual(2 * median(quiet) + FLOOR_MS)
  expect(pairs.peers.flatMap(({ faults }) => faults)).toEqual([])
  expect(pairs.peers.every(({ isIn }) => isIn)).toBe(true)
  // All of it did happen, and a flood has its end.
  const codes = ['rate-limited', 'flooding', 'frame-unknown', 'frame-invalid', 'frame-not-json']
  await until(`errors ${codes.join(', ')}`, async () => {
    const errors = await errorsOf(server)
    return codes.every(code => (errors.get(code) ?? 0) > 0)
  }, 20_000)
  for (const { child, exit } of attackers) {
    signalGroup(child, 'SIGKILL')
    await exit
  }
})

const WAITING_BYTES = 32 * 1024 * 1024
/** As docs/signaling.md says it; what a garbage collector has not come to yet is ours to bear. */
const PER_SOCKET_BYTES = 96 * 1024
const UNCOLLECTED_BYTES = 160 * 1024 * 1024
/** Of torrents there are seven kinds. */
const HOSTILE = { unread: 700, silent: 600, garbage: 430, garbagePerSecond: 1, torrents: 10, halfOpen: 200 }

test('2,000 hostile sockets: memory stays within what may wait and what a socket costs, and good peers go on', async () => {
  const server = await Server.start({ TURNPIKE_SIGNALING_WAITING_BYTES: String(WAITING_BYTES) })
  const good = await goodPairs(server, Array.from({ length: PAIRS }, (_, i) => `good-${i}`))
  await until('they are under way', () => good.heard > 100)
  const quiet = server.residentBytes()
  const rooms = Array.from({ length: 40 }, (_, i) => `hostile-${i}`)
  const program = await hostile(server, rooms, { ...HOSTILE, feedBytes: 8000, feedsPerSecond: 2 })
  let [most, mostWaiting] = [0, 0]
  const endsAt = performance.now() + 10_000
  await until('the attack is over', async () => {
    most = Math.max(most, server.residentBytes())
    mostWaiting = Math.max(mostWaiting, Number(/^turnpike_signaling_waiting_bytes (\d+)/m.exec(await server.metrics())?.[1] ?? 0))
    return performance.now() > endsAt
  }, 20_000)
  const before = good.heard
  await until('good peers go on', () => good.heard > before + 100)
  signalGroup(program.child, 'SIGKILL')
  await until('all of theirs has arrived', () => good.peers.every(({ unaccepted }) => unaccepted < 3) && good.heard > good.sent - 2 * PAIRS)
  const megabytes = (bytes: number): number => Math.round(bytes / 1024 / 1024)
  process.stdout.write(`2,000 hostile sockets: ${megabytes(most - quiet)} MiB more than ${megabytes(quiet)} MiB, at most ${megabytes(mostWaiting)} MiB waiting\n`)
  expect(mostWaiting).toBeGreaterThan(WAITING_BYTES / 4)
  expect(mostWaiting).toBeLessThan(WAITING_BYTES * 1.1)
  expect(most - quiet).toBeLessThan(2 * WAITING_BYTES + 2000 * PER_SOCKET_BYTES + UNCOLLECTED_BYTES)
  expect(good.peers.every(({ isIn, faults }) => isIn && faults.length === 0)).toBe(true)
})
