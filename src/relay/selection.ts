/** Which relays a client is told of: of its region first, then the healthy ones, then by load; never more than two. */

export type Candidate = { region: string, isHealthy: boolean, weight: number, /** Live allocations. */ load: number, /** Share of its bandwidth that is used; 0 where that is not known. */ bandwidthUsed: number }
export type Wanted = { /** Asked for by the client. */ region?: string | undefined, /** That may be used; empty: all. */ regions: readonly string[] }

/** libdatachannel takes two TURN servers, and browsers are slow with more. */
const MOST = 2
/** From here on a relay is asked for only where no other is left. */
const NEARLY_FULL = 0.9

/** Best first. `random` (0 to 1) spreads clients over relays that are alike. */
export function choose<T extends Candidate> (candidates: readonly T[], { region, regions }: Wanted, random: () => number): T[] {
  const ranked = candidates.filter(candidate => regions.length === 0 || regions.includes(candidate.region))
    .map(candidate => ({ candidate, ranks: [candidate.region === region || region === undefined ? 0 : 1, candidate.isHealthy ? 0 : 1, candidate.bandwidthUsed < NEARLY_FULL ? 0 : 1], draw: drawOf(candidate, random()) }))
    .sort((a, b) => compare(a.ranks, b.ranks) || b.draw - a.draw)
  const [best] = ranked
  // A second one is a help only where it works: one that is sick would cost each client its time-out.
  return ranked.filter(({ candidate }) => best === undefined || candidate.isHealthy || !best.candidate.isHealthy).slice(0, MOST).map(({ candidate }) => candidate)
}

/** Efraimidis and Spirakis: the greatest draw falls to each as often as its weight is of all weights; a relay with more calls weighs less. */
function drawOf ({ weight, load }: Candidate, random: number): number {
  return Math.max(random, Number.MIN_VALUE) ** ((1 + load) / weight)
}

function compare (a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((rank, i) => rank !== b[i])
  return at === -1 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}
