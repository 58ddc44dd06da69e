/** The table of live allocations and the sums of what they relay, out of the feed's events. */
import type { Metrics } from '../metrics/metrics.ts'
import type { ClientTransport, Counts, FeedEvent } from './feed-events.ts'

export type Allocation = { session: string, project: string, user: string, transport: ClientTransport, clientAddress: string, counted: Counts, isComplete: boolean }
export type TrafficEvent = { relay: string, project: string, user: string, bytesFromClient: number, bytesToClient: number, packetsFromClient: number, packetsToClient: number }
export type AllocationsNeeds = { relay: string, metrics: Pick<Metrics, 'add' | 'set'>, onTraffic: (event: TrafficEvent) => void, isOwn: (username: string) => boolean }

/** More than a relay has ports for; beyond it only the traffic of an allocation is counted. */
const MOST_LISTED = 65_536
const NOTHING: Counts = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0 }
const TRANSPORTS: readonly ClientTransport[] = ['udp', 'tcp', 'tls', 'dtls']

/** Follows one relay. Sums only grow; the table starts again with each coturn. */
export class Allocations {
  readonly #needs: AllocationsNeeds
  readonly #live = new Map<string, Allocation>()
  /** Deleted, and their totals not yet here. */
  readonly #ended = new Map<string, Allocation>()
  readonly #count: Record<ClientTransport, number> = { udp: 0, tcp: 0, tls: 0, dtls: 0 }

  constructor (needs: AllocationsNeeds) {
    this.#needs = needs
    this.#showCounts()
  }

  /** coturn has been started: its sessions are numbered from 1 again, and what was live is gone. */
  restart (): void {
    this.#live.clear()
    this.#ended.clear()
    for (const transport of TRANSPORTS) this.#count[transport] = 0
    this.#showCounts()
  }

  list (): readonly Allocation[] {
    return [...this.#live.values()]
  }

  take (event: FeedEvent): void {
    // The probe's own allocations are no user's.
    if (this.#needs.isOwn(event.username)) return
    switch (event.kind) {
      case 'new': return this.#begin(event, true)
      // After a restart of ours, an allocation is first heard of when it is refreshed; what it relayed before is not known.
      case 'refreshed': return this.#live.has(event.session) || event.lifetimeSeconds === 0 ? undefined : this.#begin(event, false)
      case 'traffic': return this.#addTraffic(event, event.counts)
      case 'deleted': return this.#end(event.session)
      case 'total': return this.#settle(event)
    }
  }

  #begin (event: FeedEvent & { kind: 'new' | 'refreshed' }, isComplete: boolean): void {
    if (this.#live.has(event.session) || this.#live.size >= MOST_LISTED) return
    const { session, transport, clientAddress } = event
    this.#live.set(session, { session, ...ownerOf(event.username), transport, clientAddress, counted: NOTHING, isComplete })
    this.#count[transport]++
    this.#showCounts()
    if (isComplete) this.#needs.metrics.add('turnpike_relay_allocations_total', { relay: this.#needs.relay, transport })
  }

  #end (session: string): void {
    const allocation = this.#live.get(session)
    if (allocation === undefined) return
    this.#live.delete(session)
    this.#count[allocation.transport]--
    this.#showCounts()
    // Totals follow at once; where they got lost, this is bounded.
    if (this.#ended.size < 1024) this.#ended.set(session, allocation)
  }

  /** The total is the truth: what no report has told yet (one can get lost while the feed restarts) is added. */
  #settle (event: FeedEvent & { kind: 'total' }): void {
    // Its end may be what got lost.
    this.#end(event.session)
    const allocation = this.#ended.get(event.session)
    this.#ended.delete(event.session)
    if (allocation === undefined || !allocation.isComplete) return
    this.#report(allocation.project, allocation.user, subtract(event.counts, allocation.counted))
  }

  #addTraffic (event: FeedEvent, counts: Counts): void {
    const known = this.#live.get(event.session)
    if (known !== undefined) known.counted = add(known.counted, counts)
    const { project, user } = ownerOf(event.username)
    this.#report(project, user, counts)
  }

  #report (project: string, user: string, counts: Counts): void {
    const { relay, metrics, onTraffic } = this.#needs
    const { receivedBytes, receivedPackets, sentBytes, sentPackets } = counts
    metrics.add('turnpike_relay_bytes_total', { project, relay, direction: 'from_client' }, Math.max(0, receivedBytes))
    metrics.add('turnpike_relay_bytes_total', { project, relay, direction: 'to_client' }, Math.max(0, sentBytes))
    metrics.add('turnpike_relay_packets_total', { project, relay, direction: 'from_client' }, Math.max(0, receivedPackets))
    metrics.add('turnpike_relay_packets_total', { project, relay, direction: 'to_client' }, Math.max(0, sentPackets))
    onTraffic({ relay, project, user, bytesFromClient: receivedBytes, bytesToClient: sentBytes, packetsFromClient: receivedPackets, packetsToClient: sentPackets })
  }

  #showCounts (): void {
    for (const transport of TRANSPORTS) this.#needs.metrics.set('turnpike_relay_allocations', { relay: this.#needs.relay, transport }, this.#count[transport])
  }
}

/** `<expiry>:<project>.<user>`; a name of another form (another integration of the same secret) counts for the project `other`. */
function ownerOf (username: string): { project: string, user: string } {
  const [, project, user] = /^\d+:([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,64})$/.exec(username) ?? []
  return { project: project ?? 'other', user: user ?? '' }
}

function add (a: Counts, b: Counts): Counts {
  return { receivedPackets: a.receivedPackets + b.receivedPackets, receivedBytes: a.receivedBytes + b.receivedBytes, sentPackets: a.sentPackets + b.sentPackets, sentBytes: a.sentBytes + b.sentBytes }
}

function subtract (a: Counts, b: Counts): Counts {
  return { receivedPackets: a.receivedPackets - b.receivedPackets, receivedBytes: a.receivedBytes - b.receivedBytes, sentPackets: a.sentPackets - b.sentPackets, sentBytes: a.sentBytes - b.sentBytes }
}
