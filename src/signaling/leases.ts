/** Who is to be found in a topic for a time, whether its socket stays open or not; written down, so that a restart ends no lease. */
import { TurnpikeError } from '../protocol/errors.ts'
import type { Metadata, TopicRole } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import { deleteLease, deletePastLeases, leases, putLease } from './records.ts'
import { Tally } from './tally.ts'

export type Lease = { metadata: Metadata, /** Unix seconds. */ until: number }
/** One of the two lists of a topic. */
export type Listing = { project: string, topic: string, role: TopicRole }

export class Leases {
  readonly #store: Store
  readonly #lists = new Map<string, { listing: Listing, leases: Map<string, Lease> }>()
  readonly #countOf = new Tally()

  constructor (store: Store) {
    this.#store = store
    for (const { project, topic, role, peer, metadata, until } of leases(store)) this.#remember({ project, topic, role }, peer, { metadata: JSON.parse(metadata) as Metadata, until })
  }

  of (listing: Listing): ReadonlyMap<string, Lease> {
    return this.#lists.get(nameOf(listing))?.leases ?? new Map()
  }

  /** Begins one, or goes on with it. Throws too-many-peers, or store-unwritable. */
  put (listing: Listing, peer: string, lease: Lease, most: number): void {
    if (!this.of(listing).has(peer) && this.#countOf.of(listing.project) >= most) throw new TurnpikeError('too-many-peers', `${most} leases may run in the topics of a project`)
    putLease(this.#store, { ...listing, peer, metadata: JSON.stringify(lease.metadata), until: lease.until })
    this.#remember(listing, peer, lease)
  }

  /** Whether there was one. Throws store-unwritable. */
  end (listing: Listing, peer: string): boolean {
    if (!this.of(listing).has(peer)) return false
    deleteLease(this.#store, { ...listing, peer })
    this.#forget(listing, peer)
    return true
  }

  /** Those that have run out, each told once. */
  takeExpired (nowSeconds: number): { listing: Listing, peer: string }[] {
    const expired = [...this.#lists.values()].flatMap(({ listing, leases: all }) => [...all].filter(([, { until }]) => until <= nowSeconds).map(([peer]) => ({ listing, peer })))
    if (expired.length > 0) deletePastLeases(this.#store, nowSeconds)
    for (const { listing, peer } of expired) this.#forget(listing, peer)
    return expired
  }

  /** Forgets those of a project, which are gone from the database already. */
  forgetProject (project: string): void {
    for (const { listing, leases: all } of [...this.#lists.values()]) {
      if (listing.project === project) for (const peer of [...all.keys()]) this.#forget(listing, peer)
    }
  }

  #remember (listing: Listing, peer: string, lease: Lease): void {
    const name = nameOf(listing)
    const list = this.#lists.get(name) ?? { listing, leases: new Map<string, Lease>() }
    this.#lists.set(name, list)
    if (!list.leases.has(peer)) this.#countOf.add(listing.project, 1)
    list.leases.set(peer, lease)
  }

  #forget (listing: Listing, peer: string): void {
    const all = this.#lists.get(nameOf(listing))?.leases
    if (all?.delete(peer) === true) this.#countOf.add(listing.project, -1)
    if (all?.size === 0) this.#lists.delete(nameOf(listing))
  }
}

/** Ids hold no control characters. */
export function nameOf ({ project, topic, role }: Listing): string {
  return `${project}\n${topic}\n${role}`
}
