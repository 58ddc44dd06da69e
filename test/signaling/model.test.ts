/**
 * Random joins, signals, updates, losses, resumes, takeovers, slow readers, leaves, kicks and ends of rooms over real sockets and bad cables, compared
 * with a model (world.ts). TURNPIKE_MODEL_SEED, _SEEDS and _STEPS say which and how many; CONTRIBUTING.md has the long way.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { Cable } from '../kit/cable.ts'
import { until } from '../kit/files.ts'
import type { Desk } from './evictions.ts'
import type { Seat, Token, Visit } from './visits.ts'
import { World } from './world.ts'

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const SEEDS = number('TURNPIKE_MODEL_SEEDS', 20)
const STEPS = number('TURNPIKE_MODEL_STEPS', 400)
const FIRST_SEED = number('TURNPIKE_MODEL_SEED', Math.floor(Math.random() * 1_000_000_000))
/** Steps between two looks at everything, with nothing under way. */
const ROUND = Math.min(STEPS, number('TURNPIKE_MODEL_ROUND', 200))
const GRACE_SECONDS = 1

const ROOMS = [
  { room: 'mesh', kind: 'mesh', seats: [['a', null], ['b', null], ['c', null], ['d', null], ['e', null]] },
  { room: 'two', kind: 'mesh', seats: [['a', null], ['b', null]] },
  { room: 'pair', kind: 'pair', seats: [['x', null], ['y', null], ['z', null]] },
  { room: 'topic', kind: 'topic', seats: [['p1', 'publisher'], ['p2', 'publisher'], ['p3', 'publisher'], ['s1', 'subscriber'], ['s2', 'subscriber'], ['s3', 'subscriber']] },
] as const

const SETTINGS = {
  TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000000',
  TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '100000000',
  TURNPIKE_SIGNALING_GRACE_SECONDS: String(GRACE_SECONDS),
  TURNPIKE_SIGNALING_MAILBOX_SECONDS: '1',
  TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '2',
  TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000',
  TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000',
}
/** With these a peer that is away or slow for a while loses its session. */
const NARROW = { TURNPIKE_SIGNALING_UNACKED_FRAMES: '40', TURNPIKE_SIGNALING_UNACKED_BYTES: '40000', TURNPIKE_SIGNALING_MAILBOX_MESSAGES: '3', TURNPIKE_SIGNALING_OUTBOX_BYTES: '20000' }

const seatIndex = fc.nat({ max: 1000 })
const direction = fc.constantFrom('both', 'up', 'down')
const comeBackAfterMs = fc.nat({ max: 1500 })
const step = fc.oneof(
  { weight: 60, arbitrary: fc.record({ do: fc.constant('signal'), who: seatIndex, to: seatIndex, bytes: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 300 }) }, { weight: 1, arbitrary: fc.nat({ max: 8000 }) }) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('broadcast'), who: seatIndex }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('update'), who: seatIndex, value: fc.nat({ max: 99 }) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('join'), who: seatIndex, takeover: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave'), who: seatIndex, how: fc.constantFrom('frame', 'close', 'vanish') }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('cut'), who: seatIndex, how: fc.constantFrom('rst', 'fin'), comeBackAfterMs }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('stall'), who: seatIndex, direction }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('reconnect'), who: seatIndex, isOldOneThere: fc.constant(true) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delay'), who: seatIndex, ms: fc.nat({ max: 200 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('throttle'), who: seatIndex, direction, bytesPerSecond: fc.constantFrom(0, 1000, 30_000, Infinity) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kick'), who: seatIndex, everybody: fc.nat({ max: 14 }).map(n => n === 0), comesBack: fc.nat({ max: 3 }).map(n => n > 0) }) },
  { weight: 7, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.nat({ max: 40 }) }) }
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** An administrator of one project: of each there is a bound to what may be revoked. */
async function deskOf (app: TestApp, project: string): Promise<Desk> {
  const call = async (method: string, path: string, body?: object, key = app.adminKey): ReturnType<TestApp['request']> => await app.request(path, { method, key, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  expect((await call('POST', '/v1/projects', { id: project })).status).toBe(201)
  const key = String((await call('POST', `/v1/projects/${project}/keys`, {})).body['key'])
  const pathOf = (room: string): string => `/v1/rooms/${encodeURIComponent(room)}`
  return {
    url: app.url().replace('http', 'ws') + '/v1/signal',
    kick: async ({ room, name }) => await call('DELETE', `${pathOf(room)}/peers/${name}`, undefined, key),
    close: async room => await call('DELETE', pathOf(room), undefined, key),
    tokenFor: async ({ room, kind, name, role }, takesOver) => {
      const { status, body } = await call('POST', `${pathOf(room)}/tokens`, { peer: name, kind, ttl: 86_400, takeover: takesOver, ...(role === null ? {} : { role }) }, key)
      if (status !== 201) throw new Error(JSON.stringify(body))
      return { text: String(body['token']), takesOver, doubts: 0 } satisfies Token
    },
  }
}

async function seatsOf (app: TestApp, desk: Desk, label: string): Promise<Seat[]> {
  const port = Number(new URL(app.url()).port)
  return await Promise.all(ROOMS.flatMap(({ room, kind, seats }) => seats.map(async ([name, role]) => {
    const place = { room: `${label} ${room}`, kind, name, role }
    return { ...place, cable: await Cable.to(port), tokens: { plain: await desk.tokenFor(place, false), takeover: await desk.tokenFor(place, true) }, visit: null }
  })))
}

class Run {
  readonly #world: World
  readonly #seats: readonly Seat[]
  #comeBackAfterMs = 0

  constructor (seats: readonly Seat[], desk: Desk, mayEndSessions: boolean) {
    this.#seats = seats
    this.#world = new World(seats, { desk, url: cable => `ws://127.0.0.1:${cable.port}/v1/signal`, comeBackAfterMs: () => this.#comeBackAfterMs, graceMs: GRACE_SECONDS * 1000, mayEndSessions })
  }

  get seats (): readonly Seat[] {
    return this.#seats
  }

  get world (): World {
    return this.#world
  }

  async do (step: Step): Promise<void> {
    if ('ms' in step && step.do === 'wait') return await new Promise(resolve => setTimeout(resolve, step.ms))
    // What follows goes on while this is still on its way.
    this.#act(step)
    await new Promise(resolve => setImmediate(resolve))
  }

  #act (step: Step): void {
    if (!('who' in step)) return
    const world = this.#world
    const seat = this.#seats[step.who % this.#seats.length] as Seat
    if ('takeover' in step) return world.join(seat, step.takeover)
    if ('everybody' in step) return this.#evict(seat, step.everybody, step.comesBack)
    const { visit } = seat
    if (visit === null || visit.peer.over !== null) return
    if ('to' in step) return world.say(visit, this.#nameNear(seat, step.to), '.'.repeat(step.bytes))
    if ('value' in step) return world.update(visit, { value: step.value })
    if (step.do === 'broadcast') return world.say(visit, '*', '')
    if (step.do === 'leave' && 'how' in step) return world.leave(visit, step.how as 'frame')
    this.#harm(visit, step)
  }

  /** Goes on while the walk does; the world knows what is not done. */
  #evict (seat: Seat, everybody: boolean, comesBack: boolean): void {
    const { evictions, faults } = this.#world
    const done = everybody ? evictions.close(this.#seats.filter(({ room }) => room === seat.room), comesBack) : evictions.kick(seat, comesBack)
    done.catch((error: Error) => faults.push(`an administrator failed: ${error.message} ${String(error.cause ?? '')}`))
  }

  /** Somebody of the same room, there or not; now and then the sender itself. */
  #nameNear (seat: Seat, index: number): string {
    const near = this.#seats.filter(({ room }) => room === seat.room)
    return near[index % near.length]?.name ?? ''
  }

  #harm (visit: Visit, step: Step): void {
    const { cable } = visit.seat
    this.#world.trouble(visit)
    if ('comeBackAfterMs' in step) {
      this.#comeBackAfterMs = step.comeBackAfterMs
      cable.cut(step.how as 'rst')
    } else if ('isOldOneThere' in step) {
      visit.peer.reconnect()
    } else if ('bytesPerSecond' in step) {
      cable.throttle(step.direction, step.bytesPerSecond)
    } else if ('direction' in step) {
      cable.stall(step.direction)
    } else if ('ms' in step) {
      cable.delayMs = step.ms
    }
  }

  /** Mends everything and waits until nothing is under way; what then still is wrong remains in the faults. */
  async settle (): Promise<void> {
    for (const { cable, visit } of this.#seats) {
      cable.mend()
      if (visit?.isTroubled === true) visit.peer.reconnect()
    }
    this.#comeBackAfterMs = 0
    let wrong: string[] = []
    await until('all is settled', () => this.#world.faults.length > 0 || (wrong = this.#world.unsettled()).length === 0, 60_000).catch(() => this.#world.faults.push(...wrong.map(text => `at last: ${text}`)))
    this.#world.forget()
  }
}

/** Everybody is in, and nothing else has happened. */
async function begin (app: TestApp, label: string, mayEndSessions: boolean): Promise<Run> {
  const desk = await deskOf(app, label.replace(' ', '-'))
  const run = new Run(await seatsOf(app, desk, label), desk, mayEndSessions)
  for (const seat of run.seats) run.world.join(seat, false)
  await run.settle()
  return run
}

async function walk (run: Run, seed: number): Promise<World> {
  for (let done = 0; done < STEPS && run.world.faults.length === 0; done += ROUND) {
    for (const step of fc.sample(STEP, { seed: seed + done, numRuns: Math.min(ROUND, STEPS - done) })) await run.do(step)
    await run.settle()
  }
  run.world.end()
  return run.world
}
const STEP: fc.Arbitrary<Step> = step

test(`${SEEDS} walks of ${STEPS} steps from seed ${FIRST_SEED}: order, exactly once, nothing lost in silence, and everybody sees who is there`, async () => {
  const [wide, narrow] = [await startApp(SETTINGS, { programPath: [] }), await startApp({ ...SETTINGS, ...NARROW }, { programPath: [] })]
  const seeds = Array.from({ length: SEEDS }, (_, i) => FIRST_SEED + i * 1_000_000)
  const runs: Run[] = []
  // One after another: on a busy machine some of hundreds of clients that come at once are kept waiting until they give up, again and again.
  for (const [i, seed] of seeds.entries()) runs.push(await begin(i % 4 === 3 ? narrow : wide, `seed ${seed}`, i % 4 === 3))
  const worlds = await Promise.all(runs.map((run, i) => walk(run, seeds[i] ?? 0)))
  expect(worlds.flatMap(({ faults }) => faults)).toEqual([])
  const counts = worlds.map(world => ({ ...world.counts, ...world.evictions.counts }))
  const sums = Object.fromEntries(Object.keys(counts[0] ?? {}).map(name => [name, counts.reduce((sum, of) => sum + of[name as 'said'], 0)]))
  process.stdout.write(`model: ${JSON.stringify({ seeds: SEEDS, steps: STEPS, ...sums })}\n`)
  // A walk in which nothing happens proves nothing.
  expect(Math.min(...['said', 'heard', 'errors', 'resumes', 'joins', 'refused'].map(name => sums[name] ?? 0))).toBeGreaterThan(SEEDS * STEPS / 200)
  expect(Math.min(...['kicked', 'closed', 'evicted', 'keptOut', 'nobodyThere'].map(name => sums[name] ?? 0))).toBeGreaterThan(SEEDS * STEPS / 5000 - 1)
}, 90_000 + SEEDS * STEPS * 10)
