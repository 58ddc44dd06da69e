/** The table of live allocations of one coturn and the sums of what they relay, out of the feed's events and coturn's own list. */
import type { Metrics } from '../metrics/metrics.ts'
import type { Allocation, AllocationOf, BegunEvent, Crowd, Remembered, TrafficEvent } from './allocation.ts'
import type { LiveSession } from './control-sessions.ts'
import { atLeast, minus, NOTHING, plus, Rate, sumOf } from './counts.ts'
import type { ClientTransport, Counts, FeedEvent } from './feed-events.ts'
import { ownerOf } from './owner.ts'

export type AllocationsNeeds = {
  relay: string
  coturn: string
  metrics: Pick<Metrics, 'add'>
  nowSeconds: () => number
  onTraffic: (event: TrafficEvent) => void
  /** An allocation has begun. */
  onBegun: (event: BegunEvent) => void
  /** It is listed: it has begun, or is heard of for the first time. */
  onListed: (allocation: Allocation, crowd: Crowd) => void
  /** Nothing more will be told of it. */
  onEnded: (session: string) => void
  /** How many more (or fewer) of this transport live. */
  onCount: (transport: ClientTransport, change: number) => void
  isOwn: (username: string) => boolean
  /** Is there such a project? */
  knowsProject: (project: string) => boolean
}
type Entry = Allocation & { told: Counts, /** Of it, what is passed on. */ toldReported: Counts, rate: Rate }

/** More than a relay has ports for; beyond it only the traffic of an allocation is counted. */
const MOST_LISTED = 65_536
/** Totals follow the end at once; one that got lost is not waited for any longer. */
const TOTAL_WITHIN_SECONDS = 60
/** What is not known of an allocation whose beginning nobody heard. */
const UNHEARD = { transport: 'udp', tlsVersion: null, clientAddress: '', lifetimeSeconds: 600 } as const

/** Follows one coturn. Sums only grow; the table starts again with each coturn. */
export class Allocations {
  readonly #needs: AllocationsNeeds
  readonly #live = new Map<string, Entry>()
  /** Deleted, and their totals not yet here. */
  readonly #ended = new Map<string, { entry: Entry, at: number }>()
  #remembered = new Map<string, Remembered>()
  /** Told of sessions that are not listed. */
  readonly #held = new Map<string, Counts>()
  /** While coturn's list is on its way. */
  #endedMeanwhile: Set<string> | null = null
  readonly #ofUser = new Map<string, number>()
  readonly #ofProject = new Map<string, number>()
  /** Of all together: asked for with every credential, so that it is not added up then. */
  readonly #flow = new Rate()
  /** Who waits for which sessions to end. */
  readonly #endWaiters = new Map<string, Set<() => void>>()

  constructor (needs: AllocationsNeeds) {
    this.#needs = needs
  }

  /** What an earlier process of ours knew of a coturn that may go on: nothing of it is counted again. */
  remember (allocations: readonly Remembered[]): void {
    this.#remembered = new Map(allocations.map(allocation => [allocation.session, allocation]))
  }

  /** coturn has been started: its sessions are numbered from 1 again, and what was live is gone. */
  restart (): void {
    for (const { session, transport } of [...this.#live.values()]) {
      this.#tellEnd(session)
      this.#needs.onCount(transport, -1)
    }
    this.#live.clear()
    this.#ended.clear()
    this.#remembered.clear()
    this.#letGo([...this.#held.keys()])
    this.#ofUser.clear()
    this.#ofProject.clear()
  }

  list (): readonly Allocation[] {
    return [...this.#live.values()]
  }

  count (): number {
    return this.#live.size
  }

  /** Bytes per second, both ways, over the last report; 0 where none came for long. */
  rateOf (session: string): number {
    return this.#live.get(session)?.rate.bytesPerSecond() ?? 0
  }

  bytesPerSecond (): number {
    return this.#flow.bytesPerSecond()
  }

  /** To be called before coturn's list is asked for: what begins or ends meanwhile is not judged by it. Returns what takes the list, and how much it mended. */
  expectList (): (sessions: readonly LiveSession[]) => number {
    const before = new Set(this.#live.keys())
    const heldBefore = [...this.#held.keys()]
    const gone = new Set<string>(this.#ended.keys())
    this.#endedMeanwhile = gone
    return sessions => {
      const live = new Set(sessions.map(({ session }) => session))
      let mended = 0
      for (const session of before) {
        if (live.has(session) || !this.#live.has(session)) continue
        this.#end(session)
        mended++
      }
      for (const listed of sessions) if (!this.#needs.isOwn(listed.username) && !gone.has(listed.session)) mended += this.#adopt(listed)
      this.#endedMeanwhile = null
      this.#letGo(heldBefore)
      this.#forgetTheRest()
      this.#dropLate()
      return mended
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
      // Of one that began while nobody listened, the first that is heard.
      case 'refreshed': return this.#refresh(event)
      case 'traffic': return this.#addTraffic(event, event.counts)
      case 'deleted': return this.#end(event.session)
      case 'total': return this.#settle(event)
    }
  }

  #begin (found: Pick<LiveSession, 'session' | 'username' | 'transport' | 'tlsVersion' | 'clientAddress'> & { lifetimeSeconds: number }, isNew: boolean, since = this.#needs.nowSeconds()): void {
    const { session, username, tlsVersion, clientAddress } = found
    if (this.#live.has(session) || this.#live.size >= MOST_LISTED) return
    const known = this.#recall(session, username)
    const held = this.#held.get(session)
    const before = known?.told ?? NOTHING
    this.#held.delete(session)
    const { relay, coturn } = this.#needs
    const transport = found.clientAddress === '' && known !== undefined ? known.transport : found.transport
    const entry: Entry = { id: `${coturn}.${session}`, relay, session, username, ...ownerOf(username), transport, tlsVersion, clientAddress, relayAddress: null, since, lapsesAt: this.#needs.nowSeconds() + found.lifetimeSeconds, counted: known?.counted ?? NOTHING, told: held === undefined ? before : plus(before, held), toldReported: before, rate: new Rate() }
    this.#live.set(session, entry)
    this.#needs.onCount(transport, 1)
    if (isNew || known === undefined) {
      this.#needs.metrics.add('turnpike_relay_allocations_total', { relay, transport })
      this.#needs.onBegun(this.#ofEntry(entry))
    }
    this.#count(entry, entry.told)
    const { project, user } = entry
    this.#needs.onListed(entry, { ofUser: tally(this.#ofUser, `${project}.${user}`, 1), ofProject: tally(this.#ofProject, project, 1) })
  }

  #recall (session: string, username: string): Remembered | undefined {
    const known = this.#remembered.get(session)
    this.#remembered.delete(session)
    return known?.username === username ? known : undefined
  }

  /** What an earlier process knew and coturn does not list ended while nobody listened. */
  #forgetTheRest (): void {
    for (const session of this.#remembered.keys()) this.#needs.onEnded(session)
    this.#remembered.clear()
  }

  #refresh (event: FeedEvent & { kind: 'new' | 'refreshed' }): void {
    const entry = this.#live.get(event.session)
    if (entry !== undefined) entry.lapsesAt = this.#needs.nowSeconds() + event.lifetimeSeconds
    else if (event.lifetimeSeconds > 0) this.#begin(event, false)
  }

  /** Returns 1 where the list told something that nobody had. */
  #adopt (listed: LiveSession): 0 | 1 {
    const isNews = !this.#live.has(listed.session)
    this.#begin({ ...listed, lifetimeSeconds: listed.expiresInSeconds }, false, this.#needs.nowSeconds() - listed.ageSeconds)
    const entry = this.#live.get(listed.session)
    if (entry === undefined) return 0
    if (entry.transport !== listed.transport) {
      this.#needs.onCount(entry.transport, -1)
      this.#needs.onCount(listed.transport, 1)
    }
    Object.assign(entry, { transport: listed.transport, tlsVersion: listed.tlsVersion, clientAddress: listed.clientAddress, relayAddress: listed.relayAddress, since: Math.min(entry.since, this.#needs.nowSeconds() - listed.ageSeconds), lapsesAt: this.#needs.nowSeconds() + listed.expiresInSeconds })
    this.#count(entry, listed.atLeast)
    return isNews ? 1 : 0
  }

  #end (session: string): void {
    const entry = this.#live.get(session)
    if (entry === undefined) return
    this.#live.delete(session)
    this.#endedMeanwhile?.add(session)
    this.#needs.onCount(entry.transport, -1)
    tally(this.#ofUser, `${entry.project}.${entry.user}`, -1)
    tally(this.#ofProject, entry.project, -1)
    this.#tellEnd(session)
    this.#ended.set(session, { entry, at: this.#needs.nowSeconds() })
    if (this.#ended.size > MOST_LISTED) this.#dropLate(0)
  }

  #tellEnd (session: string): void {
    for (const resolve of this.#endWaiters.get(session) ?? []) resolve()
    this.#endWaiters.delete(session)
  }

  /** The total is the truth: what no report has told yet (one can get lost while the feed restarts) is added. */
  #settle (event: FeedEvent & { kind: 'total' }): void {
    // Its beginning or its end may be what got lost.
    if (this.#entryOf(event) === undefined) this.#begin({ ...event, ...UNHEARD }, false)
    this.#end(event.session)
    const entry = this.#ended.get(event.session)?.entry
    this.#ended.delete(event.session)
    if (entry === undefined) return
    this.#count(entry, event.counts)
    this.#needs.onEnded(event.session)
  }

  #addTraffic (event: FeedEvent, counts: Counts): void {
    const entry = this.#entryOf(event)
    if (entry === undefined) return this.#hold(event, counts)
    entry.told = plus(entry.told, counts)
    this.#count(entry, entry.told)
  }

  /** The allocation that an event is about, although its beginning was not heard. */
  #entryOf ({ session, username }: Pick<FeedEvent, 'session' | 'username'>): Entry | undefined {
    const known = this.#live.get(session) ?? this.#ended.get(session)?.entry
    if (known === undefined && this.#remembered.get(session)?.username === username) this.#begin({ session, username, ...UNHEARD }, false)
    return known ?? this.#live.get(session)
  }

  /** Of a session that nobody has told of: one that was refused an allocation, or one that began while nobody listened. coturn's list decides. */
  #hold ({ session }: FeedEvent, counts: Counts): void {
    this.#held.set(session, plus(this.#held.get(session) ?? NOTHING, counts))
    if (this.#held.size > MOST_LISTED) this.#letGo([...this.#held.keys()])
  }

  /** They have no allocation: what they sent was refused, and the name that they said is anybody's to say. */
  #letGo (sessions: Iterable<string>): void {
    for (const session of sessions) this.#held.delete(session)
  }

  /** It has relayed at least so much. Reports and lists overlap in ways that nobody tells, so neither is added to the other: the greater one counts. */
  #count (entry: Entry, seen: Counts): void {
    const counted = atLeast(entry.counted, seen)
    const counts = minus(counted, entry.counted)
    if (sumOf(counts) === 0 && entry.toldReported === entry.told) return
    entry.counted = counted
    entry.toldReported = entry.told
    entry.rate.add(counts.receivedBytes + counts.sentBytes)
    this.#flow.add(counts.receivedBytes + counts.sentBytes)
    this.#report({ ...this.#ofEntry(entry), counts, counted, told: entry.told })
  }

  #report (event: TrafficEvent): void {
    const { metrics, onTraffic } = this.#needs
    const { relay, project, transport, counts } = event
    metrics.add('turnpike_relay_bytes_total', { project, relay, transport, direction: 'from_client' }, counts.receivedBytes)
    metrics.add('turnpike_relay_bytes_total', { project, relay, transport, direction: 'to_client' }, counts.sentBytes)
    metrics.add('turnpike_relay_packets_total', { project, relay, transport, direction: 'from_client' }, counts.receivedPackets)
    metrics.add('turnpike_relay_packets_total', { project, relay, transport, direction: 'to_client' }, counts.sentPackets)
    onTraffic(event)
  }

  #ofEntry ({ session, username, project, user, room, transport }: Pick<Entry, 'session' | 'username' | 'project' | 'user' | 'room' | 'transport'>): AllocationOf {
    const { relay, coturn, knowsProject } = this.#needs
    const of = { relay, coturn, session, username, transport }
    // A program with a secret of its own can make up any name; only what there is gets a label and rows of its own.
    return project !== 'other' && !knowsProject(project) ? { ...of, project: 'other', user: '', room: '' } : { ...of, project, user, room }
  }

  #dropLate (withinSeconds = TOTAL_WITHIN_SECONDS): void {
    const before = this.#needs.nowSeconds() - withinSeconds
    for (const [session, { at }] of this.#ended) {
      if (at > before) return
      this.#ended.delete(session)
      this.#needs.onEnded(session)
    }
  }
}

/** Changes a count and returns it; counts of nobody are not kept. */
function tally (counts: Map<string, number>, name: string, change: 1 | -1): number {
  const count = (counts.get(name) ?? 0) + change
  if (count > 0) counts.set(name, count)
  else counts.delete(name)
  return count
}
