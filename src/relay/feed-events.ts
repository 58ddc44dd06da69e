/** What coturn publishes to its statistics database, read into events (coturn's ns_ioalib_engine_impl.c, 4.6.1 to 4.18.0). */

/** Bytes and packets as coturn counts them on one side: rcv is what it received, sent what it sent. */
export type Counts = { receivedPackets: number, receivedBytes: number, sentPackets: number, sentBytes: number }
export type ClientTransport = 'udp' | 'tcp' | 'tls' | 'dtls'
export type FeedEvent = { realm: string, username: string, /** Starts again with each coturn. */ session: string } & (
  | { kind: 'new' | 'refreshed', lifetimeSeconds: number, transport: ClientTransport, /** Such as TLSv1.3; null where there is no TLS. */ tlsVersion: string | null, clientAddress: string }
  | { kind: 'deleted' }
  /** Since the last report: every 4096 packets, and once at the end. */
  | { kind: 'traffic', counts: Counts }
  /** Of the whole session, right after `deleted`. */
  | { kind: 'total', counts: Counts }
)

const CHANNEL = /^turn\/realm\/([^/]*)\/user\/(.*)\/allocation\/(\d{1,20})\/(status|traffic|total_traffic)$/
const STATUS = /^(new|refreshed) lifetime=(\d+), type=([^,]+), local=\S+, remote=([^,\s]+)(?:, ssl=([^,]+))?/
const NO_TLS = 'NONE'
const COUNTS = /^rcvp=(\d+), rcvb=(\d+), sentp=(\d+), sentb=(\d+)$/
const TRANSPORTS: Readonly<Record<string, ClientTransport>> = { UDP: 'udp', TCP: 'tcp', 'TLS/TCP': 'tls', DTLS: 'dtls' }

/** The event in a PUBLISH, or null: peer-side traffic and heartbeats tell nothing that is counted here. */
export function parseFeedEvent (channel: string, payload: string): FeedEvent | null {
  const [, realm, username, session, what] = CHANNEL.exec(channel) ?? []
  if (realm === undefined || username === undefined || session === undefined) return null
  const who = { realm, username, session }
  if (what === 'status') return payload === 'deleted' ? { ...who, kind: 'deleted' } : parseStatus(who, payload)
  const numbers = COUNTS.exec(payload)?.slice(1).map(Number)
  if (numbers === undefined) return null
  const [receivedPackets = 0, receivedBytes = 0, sentPackets = 0, sentBytes = 0] = numbers
  return { ...who, kind: what === 'traffic' ? 'traffic' : 'total', counts: { receivedPackets, receivedBytes, sentPackets, sentBytes } }
}

function parseStatus (who: { realm: string, username: string, session: string }, payload: string): FeedEvent | null {
  const [, kind, lifetime, type = '', clientAddress = '', tls = NO_TLS] = STATUS.exec(payload) ?? []
  if (kind !== 'new' && kind !== 'refreshed') return null
  return { ...who, kind, lifetimeSeconds: Number(lifetime), transport: TRANSPORTS[type] ?? 'udp', tlsVersion: tls === NO_TLS ? null : tls, clientAddress }
}
