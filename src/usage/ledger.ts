/**
 * What was relayed, by project, day, user and relay. Kept in memory for a quarter of a second and then written in one transaction:
 * a process that is killed loses at most that. What cannot be written (a full disk) waits, and is counted meanwhile.
 */
import type { Log } from '../lifecycle.ts'
import type { Store } from '../store/store.ts'
import { dayOf, type Period } from './periods.ts'
import { addProjectDay, addUsage, bytesOf, type ProjectDayRow, type UsageRow } from './records.ts'

export type Traffic = { relay: string, project: string, user: string, bytesFromClient: number, bytesToClient: number, packetsFromClient: number, packetsToClient: number }
export type LedgerNeeds = { store: Store, log: Log, nowSeconds: () => number }

/** Beyond this, users that are new share one row until the next write: memory stays bounded while nothing can be written. */
const MOST_PENDING = 100_000
const TOO_MANY = ''

export class Ledger {
  readonly #needs: LedgerNeeds
  #ofUsers = new Map<string, UsageRow>()
  #ofProjects = new Map<string, ProjectDayRow>()
  /** Bytes of a period that are written down already; read once, then kept up. */
  readonly #written = new Map<string, number>()

  constructor (needs: LedgerNeeds) {
    this.#needs = needs
  }

  addTraffic ({ relay, project, user, bytesFromClient, bytesToClient, packetsFromClient, packetsToClient }: Traffic): void {
    const row = this.#userRow(project, user, relay)
    row.bytes_from_client += bytesFromClient
    row.bytes_to_client += bytesToClient
    row.packets_from_client += packetsFromClient
    row.packets_to_client += packetsToClient
    this.#projectRow(project).bytes += bytesFromClient + bytesToClient
  }

  addAllocation ({ relay, project, user }: Pick<Traffic, 'relay' | 'project' | 'user'>): void {
    this.#userRow(project, user, relay).allocations++
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

  /** Throws store-unwritable; then nothing of it is written, and all of it is kept. */
  flush (): void {
    const { store } = this.#needs
    if (this.#ofUsers.size === 0 && this.#ofProjects.size === 0) return
    store.transaction(() => {
      for (const row of this.#ofUsers.values()) addUsage(store, row)
      for (const row of this.#ofProjects.values()) addProjectDay(store, row)
    })
    this.#ofUsers.clear()
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

  #userRow (project: string, named: string, relay: string): UsageRow {
    const day = dayOf(this.#needs.nowSeconds())
    const isKnown = this.#ofUsers.size < MOST_PENDING || this.#ofUsers.has(`${project} ${day} ${named} ${relay}`)
    const user = isKnown ? named : TOO_MANY
    const key = `${project} ${day} ${user} ${relay}`
    const row = this.#ofUsers.get(key) ?? { project, day, user, relay, bytes_from_client: 0, bytes_to_client: 0, packets_from_client: 0, packets_to_client: 0, allocations: 0 }
    this.#ofUsers.set(key, row)
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
