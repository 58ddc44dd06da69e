/** What changes in one list of a topic, told to those who watch it, and kept for a while for those who come back. */
import { randomBytes } from 'node:crypto'

/** `data` is JSON; `id` is what a watcher goes on from (Last-Event-ID). */
export type FeedEvent = { id: string, type: 'list' | 'added' | 'updated' | 'removed', data: string }
export type Watcher = (event: FeedEvent) => void

/** So many events are kept for those who come back. */
const MOST_KEPT = 256
/** For so long after the last watcher has gone. */
const LINGERING_MS = 60_000

export class TopicFeed {
  readonly #watchers = new Set<Watcher>()
  /** Numbers count for this feed alone: another process begins anew. */
  readonly #epoch = randomBytes(6).toString('base64url')
  #events: FeedEvent[] = []
  #last = 0
  #leftAtMs = 0

  isOver (nowMs: number): boolean {
    return this.#watchers.size === 0 && nowMs - this.#leftAtMs > LINGERING_MS
  }

  tell (type: FeedEvent['type'], data: object): void {
    this.#last++
    const event = { id: this.#id(), type, data: JSON.stringify(data) }
    this.#events.push(event)
    if (this.#events.length > MOST_KEPT) this.#events.shift()
    for (const watcher of [...this.#watchers]) watcher(event)
  }

  /** Begins with what has happened since `lastId`, or, where that is not known any more, with the whole list. Returns how to end it. */
  watch (watcher: Watcher, lastId: string | undefined, list: () => object): () => void {
    const missed = this.#since(lastId)
    if (missed === null) watcher({ id: this.#id(), type: 'list', data: JSON.stringify(list()) })
    else missed.forEach(watcher)
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
      this.#leftAtMs = performance.now()
    }
  }

  #id (): string {
    return `${this.#epoch}.${this.#last}`
  }

  #since (id: string | undefined): FeedEvent[] | null {
    const [, epoch, number = ''] = /^([\w-]{8})\.(\d{1,15})$/.exec(id ?? '') ?? []
    const missed = this.#last - Number(number)
    return epoch !== this.#epoch || missed < 0 || missed > this.#events.length ? null : this.#events.slice(this.#events.length - missed)
  }
}
