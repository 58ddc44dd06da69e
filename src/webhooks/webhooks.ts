/** The door of webhooks: events for somebody else's server, kept until it has taken them, signed so that it can tell that they are ours. */
import { randomBytes } from 'node:crypto'
import type { Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { EventFields, EventType } from '../protocol/events.ts'
import { Lane, type LaneNeeds } from './lane.ts'
import { signatureOf } from './post.ts'
import { Queue } from './queue.ts'
import { addDelivery, countAll, forgetDead, forgetDeliveries, listDeliveries, migrations, projectsWaiting, replay, replayDead, type DeliveryRow, type NewDelivery } from './records.ts'

export { migrations, signatureOf }
export type WebhooksNeeds = LaneNeeds & { metrics: Pick<Metrics, 'add' | 'set' | 'beforeRender'> }
export type DeliveryState = 'waiting' | 'dead'
export type Delivery = {
  id: string
  type: string
  /** Unix seconds of the event. */
  at: number
  state: DeliveryState
  attempts: number
  /** Why it was not taken the last time; null where it was not tried. */
  reason: string | null
  /** Not before this; null for a dead one. */
  nextAttemptAt: number | null
  /** Null while it waits. */
  givenUpAt: number | null
  /** What is sent. */
  event: Record<string, unknown>
}
export type Webhooks = Part & {
  /** Writes an event down, as a part of the transaction around it where there is one. Throws store-unwritable. */
  announce<T extends EventType> (project: string, type: T, fields: EventFields<T>): void
  /** For the hot path: never throws, never waits; written down within a moment, with others. */
  announceSoon<T extends EventType> (project: string, type: T, fields: EventFields<T>): void
  /** In the order in which they were written down, from after `cursor` on. */
  list (project: string, query: { state: DeliveryState | null, cursor: number | null, limit: number }): { deliveries: Delivery[], next: number | null }
  /** Sends one at once, dead or not, and for another three days. Throws not-found. */
  replay (project: string, id: string): Delivery
  /** The same for all dead ones. Returns how many. */
  replayDead (project: string): number
  /** The project goes: so does what waits for it. */
  forget (project: string): void
}

const TICK_MS = 200
const HOUSEKEEPING_MS = 3_600_000
const DEAD_KEPT_SECONDS = 30 * 86_400
/** Receivers that are sent to at a time; of each project one event. */
const MOST_AT_ONCE = 256

export function createWebhooks (needs: WebhooksNeeds): Webhooks {
  return new Office(needs)
}

class Office implements Webhooks {
  readonly name = 'webhooks'
  readonly #needs: WebhooksNeeds
  readonly #queue: Queue
  readonly #stopping = new AbortController()
  /** Of each project of which something waits. */
  readonly #lanes = new Map<string, Lane>()
  readonly #running = new Set<Promise<void>>()
  #timers: NodeJS.Timeout[] = []
  #stopCounting = (): void => {}

  constructor (needs: WebhooksNeeds) {
    this.#needs = needs
    this.#queue = new Queue(needs)
  }

  async start (): Promise<void> {
    for (const project of projectsWaiting(this.#needs.store)) this.#laneOf(project)
    this.#keepHouse()
    this.#stopCounting = this.#needs.metrics.beforeRender(() => this.#count())
    this.#timers = [setInterval(() => this.#tick(), TICK_MS).unref(), setInterval(() => this.#keepHouse(), HOUSEKEEPING_MS).unref()]
  }

  async stop (): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
    this.#stopCounting()
    while (this.#queue.flush().size > 0) continue
    this.#queue.dropAll()
    this.#queue.tellDropped(true)
    this.#stopping.abort()
    await Promise.all(this.#running)
  }

  announce<T extends EventType> (project: string, type: T, fields: EventFields<T>): void {
    const event = this.#eventOf(project, type, fields)
    if (event === null) return
    addDelivery(this.#needs.store, event)
    // Sent with the next tick: the transaction around this may be taken back.
    this.#laneOf(project)
  }

  announceSoon<T extends EventType> (project: string, type: T, fields: EventFields<T>): void {
    const event = this.#eventOf(project, type, fields)
    if (event !== null) this.#queue.push(event)
  }

  list (project: string, { state, cursor, limit }: { state: DeliveryState | null, cursor: number | null, limit: number }): { deliveries: Delivery[], next: number | null } {
    const rows = listDeliveries(this.#needs.store, project, { state, cursor: cursor ?? 0, limit: limit + 1 })
    return { deliveries: rows.slice(0, limit).map(row => this.#toDelivery(row)), next: rows.length > limit ? rows[limit - 1]?.position ?? null : null }
  }

  replay (project: string, id: string): Delivery {
    const row = this.#needs.store.transaction(() => replay(this.#needs.store, project, id, this.#needs.nowSeconds()))
    if (row === undefined) throw new TurnpikeError('not-found', `there is no delivery ${id.slice(0, 64)}; it may have been taken`)
    this.#laneOf(project).wake()
    return this.#toDelivery(row)
  }

  replayDead (project: string): number {
    const count = this.#needs.store.transaction(() => replayDead(this.#needs.store, project, this.#needs.nowSeconds()))
    if (count > 0) this.#laneOf(project).wake()
    return count
  }

  forget (project: string): void {
    this.#queue.forget(project)
    forgetDeliveries(this.#needs.store, project)
  }

  #eventOf (project: string, type: EventType, fields: object): NewDelivery | null {
    const settings = this.#needs.settingsOf(project)
    if (settings === null || settings.webhook === null || !settings.webhookEvents.includes(type)) return null
    const [id, at] = [`evt_${randomBytes(12).toString('base64url')}`, this.#needs.nowSeconds()]
    return { id, project, at, body: JSON.stringify({ id, type, at, project, ...fields }) }
  }

  #laneOf (project: string): Lane {
    const lane = this.#lanes.get(project) ?? new Lane(project, this.#needs, this.#stopping.signal)
    this.#lanes.set(project, lane)
    return lane
  }

  #tick (): void {
    for (const project of this.#queue.flush()) this.#laneOf(project)
    this.#queue.tellDropped()
    // Those that take what they are sent first: others may hold a place for seconds.
    const idle = [...this.#lanes].filter(([, lane]) => !lane.isRunning).sort(([, a], [, b]) => Number(a.isFailing) - Number(b.isFailing))
    for (const [project, lane] of idle.slice(0, Math.max(0, MOST_AT_ONCE - this.#running.size))) this.#run(project, lane)
  }

  #run (project: string, lane: Lane): void {
    // To the end, so that each has its turn where there are more than may run.
    this.#lanes.delete(project)
    this.#lanes.set(project, lane)
    const running = lane.run(() => { this.#lanes.delete(project) })
      .catch((error: unknown) => this.#needs.log.debug({ project, reason: (error as Error).message }, 'webhooks could not be worked on; tried again'))
      .finally(() => { this.#running.delete(running) })
    this.#running.add(running)
  }

  #keepHouse (): void {
    try {
      forgetDead(this.#needs.store, this.#needs.nowSeconds() - DEAD_KEPT_SECONDS)
    } catch (error) {
      this.#needs.log.warn({ reason: (error as Error).message }, 'old dead webhooks could not be deleted; tried again in an hour')
    }
  }

  #count (): void {
    for (const [state, count] of Object.entries(countAll(this.#needs.store))) this.#needs.metrics.set('turnpike_webhook_deliveries', { state }, count)
  }

  #toDelivery ({ id, body, project, at, attempts, next_at: nextAt, reason, given_up_at: givenUpAt }: DeliveryRow): Delivery {
    const event = JSON.parse(body) as Record<string, unknown>
    const isDead = givenUpAt !== null
    return { id, type: String(event['type']), at, state: isDead ? 'dead' : 'waiting', attempts, reason, nextAttemptAt: isDead ? null : Math.max(nextAt, this.#lanes.get(project)?.restsUntil ?? 0), givenUpAt, event }
  }
}
