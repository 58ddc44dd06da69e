/** The table of live allocations and the sums of what they relay, out of the feed's events. */
import type { Metrics } from '../metrics/metrics.ts'
import type { LiveSession } from './control-sessions.ts'
import type { ClientTransport, Counts, FeedEvent } from './feed-events.ts'
import { ownerOf, type Owner } from './owner.ts'

export type Allocation = Owner & { session: string, username: string, transport: ClientTransport, clientAddress: string, /** Unix seconds. */ since: number, counted: Counts, isComplete: boolean }
/** How many allocations live, this one included. */
export type Crowd = { ofUser: number, ofProject: number }
export type TrafficEvent = { relay: string, project: string, user: string, bytesFromClient: number, bytesToClient: number, packetsFromClient: number, packetsToClient: number }
export type AllocationsNeeds = {
  relay: string
  metrics: Pick<Metrics, 'add' | 'set'>
  nowSeconds: () => number
  onTraffic: (event: TrafficEvent) => void
  /** An allocation has begun, or is heard of for the first time. */
  onBegun: (allocation: Allocation, crowd: Crowd) => void
  isOwn: (username: string) => boolean
}

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
  readonly #ofUser = new Map<string, number>()
  readonly #ofProject = new Map<string, number>()
  /** Who waits for which sessions to end. */
  readonly #endWaiters = new Map<string, Set<() => void>>()
  readonly #count: Record<ClientTransport, number> = { udp: 0, tcp: 0, tls: 0, dtls: 0 }

  constructor (needs: AllocationsNeeds) {
    this.#needs = needs
    this.#showCounts()
  }

  /** coturn has been started: its sessions are numbered from 1 again, and what was live is gone. */
  restart (): void {
    for (const session of [...this.#live.keys()]) this.#tellEnd(session)
    this.#live.clear()
    this.#ended.clear()
    this.#ofUser.clear()
    this.#ofProject.clear()
    for (const transport of TRANSPORTS) this.#count[transport] = 0
    this.#showCounts()
  }

  list (): readonly Allocation[] {
    return [...this.#live.values()]
  }

  /** What a coturn that was taken over has; whatever else is listed has ended unheard. */
  reconcile (sessions: readonly LiveSession[]): void {
    const live = new Set(sessions.map(({ session }) => session))
    for (const session of [...this.#live.keys()]) if (!live.has(session)) this.#end(session)
    for (const { ageSeconds, ...session } of sessions) {
      if (!this.#needs.isOwn(session.username)) this.#begin(session, false, this.#needs.nowSeconds() - ageSeconds)
    }
  }

  /** Resolves when all of these have ended, or after so long, to how many have. */
  async ended (sessions: readonly string[], timeoutMs: number): Promise<number> {
    let timer: NodeJS.Timeout | undefined
    const gone = Promise.all(sessions.map(session => new Promise<void>(resolve => {
      if (!this.#live.has(session)) return resolve()
      const waiters = this.#endWaiters.get(session) ?? new Set()
      this.#endWaiters.set(session, waiters.add(resolve))
    })))
    await Promise.race([gone, new Promise<void>(resolve => { timer = setTimeout(resolve, timeoutMs) })])
    clearTimeout(timer)
    return sessions.filter(session => !this.#live.has(session)).length
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

  #begin ({ session, username, transport, clientAddress }: Pick<LiveSession, 'session' | 'username' | 'transport' | 'clientAddress'>, isComplete: boolean, since = this.#needs.nowSeconds()): void {
    if (this.#live.has(session) || this.#live.size >= MOST_LISTED) return
    const allocation = { session, username, ...ownerOf(username), transport, clientAddress, since, counted: NOTHING, isComplete }
    this.#live.set(session, allocation)
    this.#count[transport]++
    this.#showCounts()
    if (isComplete) this.#needs.metrics.add('turnpike_relay_allocations_total', { relay: this.#needs.relay, transport })
    const { project, user } = allocation
    this.#needs.onBegun(allocation, { ofUser: tally(this.#ofUser, `${project}.${user}`, 1), ofProject: tally(this.#ofProject, project, 1) })
  }

  #end (session: string): void {
    const allocation = this.#live.get(session)
    if (allocation === undefined) return
    this.#live.delete(session)
    this.#count[allocation.transport]--
    tally(this.#ofUser, `${allocation.project}.${allocation.user}`, -1)
    tally(this.#ofProject, allocation.project, -1)
    this.#showCounts()
    this.#tellEnd(session)
    // Totals follow at once; where they got lost, this is bounded.
    if (this.#ended.size < 1024) this.#ended.set(session, allocation)
  }

  #tellEnd (session: string): void {
    for (const resolve of this.#endWaiters.get(session) ?? []) resolve()
    this.#endWaiters.delete(session)
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

/** Changes a count and returns it; counts of nobody are not kept. */
function tally (counts: Map<string, number>, name: string, change: 1 | -1): number {
  const count = (counts.get(name) ?? 0) + change
  if (count > 0) counts.set(name, count)
  else counts.delete(name)
  return count
}

function add (a: Counts, b: Counts): Counts {
  return { receivedPackets: a.receivedPackets + b.receivedPackets, receivedBytes: a.receivedBytes + b.receivedBytes, sentPackets: a.sentPackets + b.sentPackets, sentBytes: a.sentBytes + b.sentBytes }
}

function subtract (a: Counts, b: Counts): Counts {
  return { receivedPackets: a.receivedPackets - b.receivedPackets, receivedBytes: a.receivedBytes - b.receivedBytes, sentPackets: a.sentPackets - b.sentPackets, sentBytes: a.sentBytes - b.sentBytes }
}
