/**
 * What all fuzzers share. A run is many slices of a seed each, so that any of them can be sent again by itself: first the seeds
 * that are kept, then new ones, which are other ones in each run. FUZZ_FRAMES says how many frames, FUZZ_SEED where the seeds begin.
 */
import { expect } from 'vitest'
import type WebSocket from 'ws'
import { KEPT_SEEDS, type Fuzzed } from './fuzz-seeds.ts'
import { memoryInUse } from './memory.ts'
import { randomFrom, type Random } from './random.ts'

/** Frames of one seed: few, so that a seed that is kept costs little. */
export const SLICE = 1000
const SAMPLES = 16
const PATIENCE_MS = 30_000
/** In bytes: what the process takes for its own purposes. 200 bytes for each frame are more, also in the shortest run. */
const MOST_GROWTH = 1_800_000

export type Fuzzing = {
  protocol: Fuzzed
  /** Of a run that FUZZ_FRAMES says nothing of; those of kept seeds among them. */
  frames: number
  /** Sends so many frames and throws, or returns, what was wrong with the answers. `name` is the slice's own. */
  slice (random: Random, frames: number, name: string): Promise<readonly unknown[]>
  /** Throws where all slices together have not met what they are for; not asked of a run that is shorter than usual. */
  meets (frames: number): void
}

/** How many frames a run of this fuzzer sends. */
export function framesOf (frames: number): number {
  return Number(process.env['FUZZ_FRAMES'] ?? frames)
}

/** Runs all slices; fails with the seed of the first in which something was wrong, or where memory has grown with the frames. */
export async function fuzz ({ protocol, frames, slice, meets }: Fuzzing): Promise<void> {
  const seeds = seedsOf(protocol, Math.ceil(framesOf(frames) / SLICE))
  const memory: number[] = []
  const startedAt = performance.now()
  for (const [i, seed] of seeds.entries()) {
    const problems = await slice(randomFrom(seed), SLICE, `${i} of seed ${seed}`).catch((cause: unknown) => { throw new Error(blame(protocol, seed), { cause }) })
    expect(problems, blame(protocol, seed)).toEqual([])
    if (i % Math.ceil(seeds.length / SAMPLES) === 0) memory.push(memoryInUse())
  }
  memory.push(memoryInUse())
  const grown = growth(memory)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  process.stdout.write(`${protocol}: ${seeds.length * SLICE} frames of the seeds ${told(seeds)} in ${seconds} s, memory grew by ${(grown / 1e6).toFixed(2)} MB\n`)
  expect(grown, `bytes that the second half of the seeds ${told(seeds)} has left`).toBeLessThan(MOST_GROWTH)
  if (framesOf(frames) >= frames) meets(seeds.length * SLICE)
}

/** Those that are kept, and as many new ones as there are slices left for, but never less than half of them. */
function seedsOf (protocol: Fuzzed, slices: number): readonly number[] {
  const given = process.env['FUZZ_SEED']
  const kept = given === undefined ? KEPT_SEEDS[protocol].map(({ seed }) => seed) : []
  const first = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given)
  return [...kept, ...Array.from({ length: Math.max(Math.ceil(slices / 2), slices - kept.length) }, (_, i) => first + i)]
}

/** Consecutive ones as a range. */
function told (seeds: readonly number[]): string {
  const starts = seeds.filter((seed, i) => seeds[i - 1] !== seed - 1)
  return starts.map(start => {
    let end = start
    while (seeds.includes(end + 1)) end++
    return end === start ? `${start}` : `${start} to ${end}`
  }).join(', ')
}

function blame (protocol: Fuzzed, seed: number): string {
  return `seed ${seed}: FUZZ_SEED=${seed} FUZZ_FRAMES=${SLICE} sends the same again. Add it to ${protocol} in test/kit/fuzz-seeds.ts, with a line of what it was`
}

/** Between the second quarter and the last: at first everything is being warmed up. */
function growth (samples: readonly number[]): number {
  const quarter = samples.length / 4
  return Math.min(...samples.slice(Math.floor(3 * quarter))) - Math.min(...samples.slice(Math.floor(quarter), Math.ceil(2 * quarter)))
}

/** Fails where this takes longer than any machine needs, so that the seed is named; and holds on to nothing. */
export async function soon (what: string, happens: (done: () => void) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const tooLate = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE_MS} ms`)), PATIENCE_MS)
    happens(() => {
      clearTimeout(tooLate)
      resolve()
    })
  })
}

/** Everything that was sent is processed: a pong comes behind it. */
export async function settled (socket: WebSocket): Promise<void> {
  if (socket.readyState === socket.CLOSED) return
  await soon('a pong, or the end', done => {
    const either = (): void => {
      socket.off('pong', either).off('close', either)
      done()
    }
    socket.on('pong', either).on('close', either)
    if (socket.readyState === socket.OPEN) socket.ping(undefined, undefined, () => {})
  })
}
