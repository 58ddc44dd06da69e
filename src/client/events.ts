/** Events with types: listeners, and the same as an async iterator. */
import { TurnpikeClientError } from './client-error.ts'

/** An event of an iterator: its name and what it says. */
export type EventOf<M> = { [E in keyof M]: { type: E, detail: M[E] } }[keyof M]
type Listener = (detail: never) => void
type Reader<M> = { queue: EventOf<M>[], wake: (() => void) | null, isOver: boolean }

/** A reader that is further behind is told so, and gets no more. */
const MOST_UNREAD = 10_000

export class Events<M> {
  readonly #listeners = new Map<keyof M, Set<Listener>>()
  readonly #readers = new Set<Reader<M>>()
  #isClosed = false

  /** Calls back for each event; returns how to stop. */
  on<E extends keyof M> (type: E, listener: (detail: M[E]) => void): () => void {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(listener))
    return () => { listeners.delete(listener) }
  }

  has (type: keyof M): boolean {
    return this.#readers.size > 0 || (this.#listeners.get(type)?.size ?? 0) > 0
  }

  emit<E extends keyof M> (type: E, detail: M[E]): void {
    for (const listener of [...this.#listeners.get(type) ?? []]) {
      try {
        (listener as (detail: M[E]) => void)(detail)
      } catch (error) {
        // Said where uncaught errors are said; what is read from the socket goes on.
        queueMicrotask(() => { throw error })
      }
    }
    for (const reader of this.#readers) {
      if (reader.queue.length <= MOST_UNREAD) reader.queue.push({ type, detail })
      reader.wake?.()
    }
  }

  /** Ends all iterators after what they have not read yet. */
  close (): void {
    this.#isClosed = true
    for (const reader of this.#readers) {
      reader.isOver = true
      reader.wake?.()
    }
  }

  /** What happens from now on. */
  iterate (): AsyncGenerator<EventOf<M>, void> {
    const reader: Reader<M> = { queue: [], wake: null, isOver: this.#isClosed }
    if (!this.#isClosed) this.#readers.add(reader)
    return this.#read(reader)
  }

  async * #read (reader: Reader<M>): AsyncGenerator<EventOf<M>, void> {
    try {
      for (;;) {
        if (reader.queue.length > MOST_UNREAD) throw new TurnpikeClientError('too-many-events', `more than ${MOST_UNREAD} events were not read`)
        const event = reader.queue.shift()
        if (event !== undefined) yield event
        else if (reader.isOver) return
        else await new Promise<void>(resolve => { reader.wake = resolve })
      }
    } finally {
      this.#readers.delete(reader)
    }
  }
}
