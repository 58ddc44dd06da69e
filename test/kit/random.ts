export type Random = (below: number) => number

/** mulberry32: small, quick, and the same on every machine, so that a seed repeats what it found. */
export function randomFrom (seed: number): Random {
  let state = seed
  return below => {
    state = (state + 0x6D2B79F5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

export function oneOf<T> (random: Random, values: readonly T[]): T {
  return values[random(values.length)] as T
}
