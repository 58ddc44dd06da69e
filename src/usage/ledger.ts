/**
 * What was relayed, by project, day, user, room, relay and transport. Kept in memory for a quarter of a second and then written in one transaction:
 * a process that is killed loses at most that. What cannot be written (a full disk) waits, and is counted meanwhile.
 */
import type { Log } from '../lifecycle.ts'
import type { Store } from '../store/store.ts'
import { LiveAllocations, type LiveAllocation } from './live-allocations.ts'
import { dayOf, type Period } from './periods.ts'
import { addProjectDay, addUsage, bytesOf, type ProjectDayRow, type UsageRow } from './records.ts'

type Counts = LiveAllocation['counted']
export type Begun = Omit<LiveAllocation, 'counted' | 'told'> & { relay: string, project: string, user: string, room: string }
/** `counts` is what is new; `counted` and `told` are the sums of the allocation. */
export type Traffic = Begun & LiveAllocation & { counts: Counts }
export type LedgerNeeds = { store: Store, log: Log, nowSeconds: () => number }

/** Beyond this, users that are new share one row until the next write: memory stays bounded while nothing can be written. */
const MOST_PENDING = 100_000
const TOO_MANY = ''

export class Ledger {
  readonly #needs: LedgerNeeds
  readonly live: LiveAllocations
  #rows = new Map<string, UsageRow>()
  #ofProjects = new Map<string, ProjectDayRow>()
  /** Bytes of a period that are written down already; read once, then kept up. */
  readonly #written = new Map<string, number>()

  constructor (needs: LedgerNeeds) {
    this.#needs = needs
    this.live = new LiveAllocations(needs.store)
  }

  addTraffic (traffic: Traffic): void {
    const { receivedPackets, receivedBytes, sentPackets, sentBytes } = traffic.counts
    const row = this.#row(traffic)
    row.bytes_from_client += receivedBytes
    row.bytes_to_client += sentBytes
    row.packets_from_client += receivedPackets
    row.packets_to_client += sentPackets
    this.#projectRow(traffic.project).bytes += receivedBytes + sentBytes
    this.live.count(traffic)
  }

  addAllocation (begun: Begun): void {
    this.#row(begun).allocations++
    this.live.begin(begun)
  }

  /** Credentials are counted by project: users are anybody's to make up, and each would be a row. */
  addCredential (project: string): void {
    this.#projectRow(project).credentials++
  }

  /** Bytes of a project in a period, both ways, with what is not written yet. */
  bytesIn (project: string, { firstDay, lastDay }: Period): number {
    let bytes = this.#writtenIn(project, firstDay, lastDay)
    for (const row of this.#ofProjects.values()) if (row.project === project && row.day >= firstDay && row.day <= lastDay) bytes += row.bytes
    return bytes
  }

  /** Projects with something that is not written yet. */
  pendingProjects (): string[] {
    return [...new Set([...this.#ofProjects.values()].map(({ project }) => project))]
  }

  hasNews (): boolean {
    return this.#rows.size > 0 || this.#ofProjects.size > 0 || this.live.hasNews()
  }

  /** Days are rolled up or gone: nothing that was read of them holds. */
  forgetRead (): void {
    this.#written.clear()
  }

  /** Throws store-unwritable; then nothing of it is written, and all of it is kept. */
  flush (): void {
    const { store } = this.#needs
    if (!this.hasNews()) return
    const committed = store.transaction(() => {
      for (const row of this.#rows.values()) addUsage(store, row)
      for (const row of this.#ofProjects.values()) addProjectDay(store, row)
      return this.live.write()
    })
    committed()
    this.#rows.clear()
    this.#ofProjects.clear()
    this.#written.clear()
  }

  #writtenIn (project: string, firstDay: number, lastDay: number): number {
    const key = `${project} ${firstDay} ${lastDay}`
    const known = this.#written.get(key)
    if (known !== undefined) return known
    const bytes = bytesOf(this.#needs.store, project, firstDay, lastDay)
    this.#written.set(key, bytes)
    return bytes
  }

  #row ({ project, user: namedUser, room: namedRoom, relay, transport }: Begun): UsageRow {
    const day = dayOf(this.#needs.nowSeconds())
    const keyOf = (user: string, room: string): string => `${project} ${day} ${user} ${relay} ${transport} ${room}`
    const isKnown = this.#rows.size < MOST_PENDING || this.#rows.has(keyOf(namedUser, namedRoom))
    const [user, room] = isKnown ? [namedUser, namedRoom] : [TOO_MANY, TOO_MANY]
    const key = keyOf(user, room)
    const row = this.#rows.get(key) ?? { project, day, user, room, relay, transport, bytes_from_client: 0, bytes_to_client: 0, packets_from_client: 0, packets_to_client: 0, allocations: 0 }
    this.#rows.set(key, row)
    return row
  }

  #projectRow (project: string): ProjectDayRow {
    const day = dayOf(this.#needs.nowSeconds())
    const key = `${project} ${day}`
    const found = this.#ofProjects.get(key)
    if (found !== undefined) return found
    const row = { project, day, bytes: 0, credentials: 0 }
    this.#ofProjects.set(key, row)
    return row
  }
}
