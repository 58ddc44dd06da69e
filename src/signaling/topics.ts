/** The directory of topics: who publishes and who subscribes, in the room of the topic or by a lease, as a list and as a feed of changes. */
import { TurnpikeError } from '../protocol/errors.ts'
import { isValidId, type Metadata, type TopicRole } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import { Leases, nameOf, type Listing } from './leases.ts'
import type { Limits } from './limits.ts'
import type { Change } from './presence.ts'
import { requireMetadata } from './metadata.ts'
import type { Room } from './room.ts'
import type { RoomProperties } from './rooms.ts'
import { Tally } from './tally.ts'
import { TopicFeed, type Watcher } from './topic-feed.ts'

export type TopicEntry = {
  peer: string
  /** Of a peer in the room its own, else that of the lease. */
  metadata: Metadata
  /** Is it in the room now? */
  joined: boolean
  /** Unix seconds; null where it is there for as long as it is in the room. */
  leasedUntil: number | null
}
export type TopicsNeeds = {
  rooms: { find (project: string, room: string): Room | undefined, propertiesOf (project: string, room: string): Pick<RoomProperties, 'kind'> | undefined }
  limits: Limits
  store: Store
  nowSeconds: () => number
}

/** Feeds that nobody watches any more are kept for those who come back, and so many of them. */
const MOST_FEEDS = 10_000

export class Topics {
  readonly #needs: TopicsNeeds
  readonly #leases: Leases
  readonly #feeds = new Map<string, TopicFeed>()
  readonly #watchersOf = new Tally()

  constructor (needs: TopicsNeeds) {
    this.#needs = needs
    this.#leases = new Leases(needs.store)
  }

  /** By peer. Throws invalid-request, or room-mode-conflict where the room of this name is no topic. */
  list (listing: Listing): TopicEntry[] {
    this.#requireTopic(listing)
    const { project, topic, role } = listing
    const members = [...this.#needs.rooms.find(project, topic)?.members ?? []].filter(({ info }) => info.role === role).map(({ info }) => info.id)
    const peers = new Set([...members, ...this.#leases.of(listing).keys()])
    return [...peers].sort().map(peer => this.#entryOf(listing, peer)).filter(entry => entry !== null)
  }

  /** Begins a lease, or renews it. Metadata that is not given stays as it was. */
  lease (listing: Listing, peer: string, { metadata, seconds }: { metadata?: Metadata | undefined, seconds: number }): { entry: TopicEntry, isNew: boolean } {
    this.#requireTopic(listing)
    if (!isValidId(peer)) throw invalid('peer', 'must be 1 to 128 characters without control characters and /, and not *')
    const limits = this.#needs.limits.of(listing.project)
    if (metadata !== undefined) requireMetadata(metadata, limits.metadataBytes)
    const { nowSeconds } = this.#needs
    const before = this.#entryOf(listing, peer)
    const held = this.#leases.of(listing).get(peer)
    this.#leases.put(listing, peer, { metadata: metadata ?? held?.metadata ?? {}, until: nowSeconds() + seconds }, limits.peersPerProject)
    const entry = this.#entryOf(listing, peer) as TopicEntry
    // That it goes on is no news.
    const isNews = held === undefined || JSON.stringify(before?.metadata) !== JSON.stringify(entry.metadata)
    if (isNews) this.#tell(listing, before === null ? 'added' : 'updated', entry)
    return { entry, isNew: held === undefined }
  }

  /** Throws not-found. */
  release (listing: Listing, peer: string): void {
    this.#requireTopic(listing)
    if (!this.#leases.end(listing, peer)) throw new TurnpikeError('not-found', `the topic has no lease of such a ${listing.role}`)
    this.#told(listing, peer, 'released')
  }

  /** Is called with each change of who is in a room. */
  changed (change: Change): void {
    const { type, info, session: { project, grant: { kind, room: topic } } } = change
    if (kind !== 'topic') return
    const listing: Listing = { project, topic, role: info.role as TopicRole }
    const isLeased = this.#leases.of(listing).has(info.id)
    if (change.type === 'left') return this.#told(listing, info.id, change.reason)
    const entry = this.#entryOf(listing, info.id)
    if (entry !== null) this.#tell(listing, type === 'joined' && !isLeased ? 'added' : 'updated', entry)
  }

  /** Ends the leases of one peer, or of everybody: they were sent away. */
  dismiss (project: string, topic: string, peer: string | null, reason: 'kicked' | 'closed'): void {
    for (const role of ['publisher', 'subscriber'] as const) {
      const listing = { project, topic, role }
      for (const leased of [...this.#leases.of(listing).keys()]) {
        if (peer !== null && leased !== peer) continue
        this.#leases.end(listing, leased)
        this.#told(listing, leased, reason)
      }
    }
  }

  forgetProject (project: string): void {
    this.#leases.forgetProject(project)
  }

  /** Tells what is there, or what has changed since `lastId`, and then every change, until what it returns is called, once or more often. Throws too-many-watchers. */
  watch (listing: Listing, lastId: string | undefined, watcher: Watcher): () => void {
    this.#requireTopic(listing)
    const most = this.#needs.limits.of(listing.project).watchersPerProject
    if (this.#watchersOf.of(listing.project) >= most) throw new TurnpikeError('too-many-watchers', `${most} may watch topics of this project`, { retryAfterSeconds: 10 })
    const name = nameOf(listing)
    const feed = this.#feeds.get(name) ?? new TopicFeed()
    this.#feeds.set(name, feed)
    this.#watchersOf.add(listing.project, 1)
    const end = feed.watch(watcher, lastId, () => ({ entries: this.list(listing) }))
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      end()
      this.#watchersOf.add(listing.project, -1)
    }
  }

  /** Once a second: leases that have run out, feeds that nobody comes back to. */
  look (): void {
    for (const { listing, peer } of this.#leases.takeExpired(this.#needs.nowSeconds())) this.#told(listing, peer, 'expired')
    const nowMs = performance.now()
    for (const [name, feed] of this.#feeds) if (feed.isOver(this.#feeds.size > MOST_FEEDS ? Infinity : nowMs)) this.#feeds.delete(name)
  }

  #entryOf (listing: Listing, peer: string): TopicEntry | null {
    const member = this.#needs.rooms.find(listing.project, listing.topic)?.find(peer)
    const info = member?.info.role === listing.role ? member.info : undefined
    const lease = this.#leases.of(listing).get(peer)
    if (info === undefined && lease === undefined) return null
    return { peer, metadata: info?.metadata ?? lease?.metadata ?? {}, joined: info !== undefined, leasedUntil: lease?.until ?? null }
  }

  /** Something has ended that held a peer in the list; another thing may hold it still. */
  #told (listing: Listing, peer: string, reason: string): void {
    const entry = this.#entryOf(listing, peer)
    if (entry === null) this.#tell(listing, 'removed', { peer, reason })
    else this.#tell(listing, 'updated', entry)
  }

  #tell (listing: Listing, type: 'added' | 'updated' | 'removed', data: object): void {
    this.#feeds.get(nameOf(listing))?.tell(type, data)
  }

  #requireTopic ({ project, topic }: Listing): void {
    if (!isValidId(topic)) throw invalid('topic', 'must be 1 to 128 characters without control characters and /, and not *')
    const kind = this.#needs.rooms.propertiesOf(project, topic)?.kind ?? 'topic'
    if (kind !== 'topic') throw new TurnpikeError('room-mode-conflict', `the room of this name is ${kind}, and no topic`)
  }
}

function invalid (field: string, message: string): TurnpikeError {
  return new TurnpikeError('invalid-request', `${field} ${message}`, { fields: [{ field, message }] })
}
