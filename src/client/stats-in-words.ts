/** What getStats says of the path a call takes (W3C WebRTC Statistics), in plain words. */

export type Path = {
  kind: 'direct' | 'relay'
  /** How packets leave us: toward the relay where we use one. */
  transport: 'udp' | 'tcp' | 'tls'
  /** Which ends use a relay. */
  relayedBy: 'nobody' | 'us' | 'them' | 'both'
  roundTripMs: number | null
  bytesReceived: number
  bytesSent: number
}
type Stats = Record<string, unknown>

/** The path in use, or null while there is none. */
export function readPath (report: RTCStatsReport): Path | null {
  const all = [...(report as unknown as Map<string, Stats>).values()]
  const transport = all.find(stats => stats['type'] === 'transport' && stats['selectedCandidatePairId'] !== undefined)
  const pair = all.find(stats => stats['id'] === transport?.['selectedCandidatePairId']) ??
    all.find(stats => stats['type'] === 'candidate-pair' && stats['nominated'] === true && stats['state'] === 'succeeded')
  if (pair === undefined) return null
  const local = all.find(stats => stats['id'] === pair['localCandidateId'])
  const remote = all.find(stats => stats['id'] === pair['remoteCandidateId'])
  if (local === undefined || remote === undefined) return null
  const ours = local['candidateType'] === 'relay'
  const theirs = remote['candidateType'] === 'relay'
  const seconds = pair['currentRoundTripTime']
  return {
    kind: ours || theirs ? 'relay' : 'direct',
    // Some implementations do not say; those carry UDP alone.
    transport: ((ours ? local['relayProtocol'] : local['protocol']) ?? 'udp') as Path['transport'],
    relayedBy: ours ? (theirs ? 'both' : 'us') : theirs ? 'them' : 'nobody',
    roundTripMs: typeof seconds === 'number' ? Math.round(seconds * 1000) : null,
    bytesReceived: Number(pair['bytesReceived'] ?? 0),
    bytesSent: Number(pair['bytesSent'] ?? 0),
  }
}

/** One sentence: which way, over what, how long there and back, how much. `before` is the path a moment ago. */
export function pathInWords (path: Path, before: Path | null, elapsedMs: number): string {
  const way = path.kind === 'direct' ? 'Direct, peer to peer' : { both: 'Relayed at both ends', us: 'Relayed at our end', them: 'Relayed at their end', nobody: 'Direct' }[path.relayedBy]
  const parts = [`${way} over ${path.transport.toUpperCase()}`]
  if (path.roundTripMs !== null) parts.push(path.roundTripMs < 1 ? 'under 1 ms' : `${path.roundTripMs} ms round trip`)
  if (before !== null && elapsedMs > 0) parts.push(`↓ ${rate(path.bytesReceived - before.bytesReceived, elapsedMs)} ↑ ${rate(path.bytesSent - before.bytesSent, elapsedMs)}`)
  return parts.join(' · ')
}

function rate (bytes: number, elapsedMs: number): string {
  const kilobits = Math.max(0, bytes) * 8 / elapsedMs
  return kilobits >= 1000 ? `${(kilobits / 1000).toFixed(1)} Mbit/s` : `${Math.round(kilobits)} kbit/s`
}
