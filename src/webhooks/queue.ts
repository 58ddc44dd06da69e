/** Events of the hot path on their way into the store: so many at most, written together; what is beyond is counted and told of. */
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Store } from '../store/store.ts'
import { addDelivery, countWaiting, type NewDelivery } from './records.ts'

export type QueueNeeds = { store: Store, log: Log, metrics: Pick<Metrics, 'add'> }

const MOST_QUEUED = 10_000
/** In one transaction: some milliseconds, in which nothing else is done. */
const MOST_AT_ONCE = 2000
/** Of one project. A receiver that is down for days must not fill the disk. */
const MOST_WAITING = 100_000
const TELL_EVERY_MS = 60_000

export class Queue {
  readonly #needs: QueueNeeds
  #queued: NewDelivery[] = []
  #dropped = 0
  #toldAtMs = -Infinity
  #complained = false

  constructor (needs: QueueNeeds) {
    this.#needs = needs
  }

  get length (): number {
    return this.#queued.length
  }

  push (event: NewDelivery): void {
    if (this.#queued.length >= MOST_QUEUED) this.#drop('queue_full', 1)
    else this.#queued.push(event)
  }

  forget (project: string): void {
    this.#queued = this.#queued.filter(event => event.project !== project)
  }

  /** Writes some of them, in one transaction. Returns whose they are; none where nothing can be written, and they stay. */
  flush (): Set<string> {
    const { store, log } = this.#needs
    const some = this.#queued.slice(0, MOST_AT_ONCE)
    const projects = new Set(some.map(({ project }) => project))
    if (some.length === 0) return projects
    try {
      const tooMany = store.transaction(() => addAsFarAsPossible(store, some, projects))
      this.#queued.splice(0, some.length)
      this.#complained = false
      if (tooMany > 0) this.#drop('too_many_waiting', tooMany)
      return projects
    } catch (error) {
      if (!this.#complained) log.error({ reason: (error as Error).message }, 'events for webhooks cannot be written down; they are kept in memory, and tried again')
      this.#complained = true
      return new Set()
    }
  }

  /** Once a minute, and where it is the last word. */
  tellDropped (isLast = false): void {
    if (this.#dropped === 0 || (!isLast && performance.now() - this.#toldAtMs < TELL_EVERY_MS)) return
    this.#needs.log.error({ events: this.#dropped }, 'events for webhooks were dropped: there were too many at a time, or too many of a project wait for its receiver')
    this.#toldAtMs = performance.now()
    this.#dropped = 0
  }

  /** Whatever could not be written to the end. */
  dropAll (): void {
    this.#drop('not_written', this.#queued.splice(0).length)
  }

  #drop (reason: string, events: number): void {
    this.#dropped += events
    if (events > 0) this.#needs.metrics.add('turnpike_webhook_events_dropped_total', { reason }, events)
  }
}

/** Returns how many were not added. */
function addAsFarAsPossible (store: Store, events: readonly NewDelivery[], projects: ReadonlySet<string>): number {
  const room = new Map([...projects].map(project => [project, MOST_WAITING - countWaiting(store, project)]))
  let tooMany = 0
  for (const event of events) {
    const left = room.get(event.project) ?? 0
    if (left > 0) addDelivery(store, event)
    else tooMany++
    room.set(event.project, left - 1)
  }
  return tooMany
}
