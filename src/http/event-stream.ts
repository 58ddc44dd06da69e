/** Server-sent events (WHATWG HTML §9.2): one answer that goes on for as long as somebody listens and reads. */
import type { FastifyReply } from 'fastify'

export const EVENT_STREAM = 'text/event-stream; charset=utf-8'
/** What may wait for a listener beside what it was sent first. */
const MOST_WAITING = 262_144
const RETRY_MS = 2000

export class EventStream {
  readonly #raw: FastifyReply['raw']
  readonly #onEnd: () => void
  #most = MOST_WAITING

  /** Takes the answer over; `onEnd` is called when it is over, whoever ends it. */
  constructor (reply: FastifyReply, onEnd: () => void) {
    reply.hijack()
    this.#raw = reply.raw
    this.#onEnd = onEnd
    const headers = { ...reply.getHeaders(), 'content-type': EVENT_STREAM, 'cache-control': 'no-store', 'x-accel-buffering': 'no', 'x-content-type-options': 'nosniff', 'x-request-id': reply.request.id }
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) this.#raw.setHeader(name, value)
    this.#raw.on('close', onEnd)
    this.#raw.on('error', () => {})
    this.#raw.writeHead(200)
    this.#raw.write(`retry: ${RETRY_MS}\n\n`)
  }

  /** Whoever does not read is cut off: it comes back and goes on from the last event that it had. */
  send ({ id, type, data }: { id: string, type: string, data: string }): void {
    if (type === 'list') this.#most = MOST_WAITING + data.length
    this.#write(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`)
  }

  /** Says nothing, and finds out whether anybody is there. */
  beat (): void {
    // Whoever was gone before this had begun is not told of by an event.
    if (this.#raw.destroyed) this.#onEnd()
    else this.#write(':\n\n')
  }

  end (): void {
    this.#raw.end()
  }

  #write (text: string): void {
    if (this.#raw.destroyed || this.#raw.writableEnded) return
    this.#raw.write(text)
    if (this.#raw.writableLength > this.#most) this.#raw.destroy()
  }
}
