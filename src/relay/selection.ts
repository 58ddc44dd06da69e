/** Which relays a client is told of: of its region first, and of those by load; never more than two, and none that is sick while another one is well. */

export type Candidate = { region: string, isHealthy: boolean, weight: number, /** Live allocations. */ load: number, /** Share of its bandwidth that is used; 0 where that is not known. */ bandwidthUsed: number }
export type Wanted = { /** Asked for by the client. */ region?: string | undefined, /** That may be used; empty: all. */ regions: readonly string[] }

/** libdatachannel takes two TURN servers, and browsers are slow with more. */
const MOST = 2
/** From here on a relay is told of only where no other of its region is left. */
const NEARLY_FULL = 0.9

/** Best first. `random` (0 to 1) spreads clients over relays that are alike. */
export function choose<T extends Candidate> (candidates: readonly T[], { region, regions }: Wanted, random: () => number): T[] {
  const allowed = candidates.filter(candidate => regions.length === 0 || regions.includes(candidate.region))
  // One that is sick would cost each client its time-out, however near it is.
  const well = allowed.filter(({ isHealthy }) => isHealthy)
  return (well.length > 0 ? well : allowed)
    .map(candidate => ({ candidate, ranks: [candidate.region === region || region === undefined ? 0 : 1, candidate.bandwidthUsed < NEARLY_FULL ? 0 : 1], draw: drawOf(candidate, random()) }))
    .sort((a, b) => compare(a.ranks, b.ranks) || b.draw - a.draw)
    .slice(0, MOST)
    .map(({ candidate }) => candidate)
}

/** Efraimidis and Spirakis: the greatest draw falls to each as often as its weight is of all weights; a relay with more calls weighs less. */
function drawOf ({ weight, load }: Candidate, random: number): number {
  // As a logarithm, which keeps apart what a power of thousands would make 0.
  return Math.log(Math.max(random, Number.MIN_VALUE)) * (1 + load) / weight
}

function compare (a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((rank, i) => rank !== b[i])
  return at === -1 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}
