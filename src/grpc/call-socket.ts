/** A call of Negotiate as signaling sees it: what is sent to it, how its connection is pinged, and how it ends. */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from '../signaling/signaling.ts'
import { bytesOf } from './message.ts'
import { endingFor, type Grpc } from './statuses.ts'

export type Call = ServerDuplexStream<Buffer, Buffer>

/** Whoever does not read does not read the end either. */
const CLOSE_MS = 5000
/** RFC 9113 §7: CANCEL. */
const NGHTTP2_CANCEL = 8

/** The HTTP/2 stream under a call: grpc-js itself lets a server neither reset a call nor ping its client. */
export function streamUnder (call: Call): ServerHttp2Stream {
  return (call as unknown as { call: { stream: ServerHttp2Stream } }).call.stream
}

/** Pings of connections (RFC 9113 §6.7): one at a time for all the calls of each. */
export class Pings {
  readonly #waiting = new WeakMap<Http2Session, (() => void)[]>()

  send (session: Http2Session, onPong: () => void): void {
    const waiting = this.#waiting.get(session)
    if (waiting !== undefined) {
      waiting.push(onPong)
      return
    }
    const begun = [onPong]
    this.#waiting.set(session, begun)
    const isSent = session.ping(error => {
      this.#waiting.delete(session)
      if (error === null) for (const tell of begun) tell()
    })
    if (!isSent) this.#waiting.delete(session)
  }
}

export class CallSocket implements Socket {
  /** The code that signaling closed it with. */
  closedWith: number | null = null
  onPong: () => void = () => {}
  readonly #call: Call
  readonly #stream: ServerHttp2Stream
  readonly #grpc: Grpc
  readonly #pings: Pings
  #waiting = 0

  constructor (call: Call, grpc: Grpc, pings: Pings) {
    this.#call = call
    this.#stream = streamUnder(call)
    this.#grpc = grpc
    this.#pings = pings
  }

  send (text: string): void {
    if (this.closedWith !== null || this.#stream.destroyed) return
    const bytes = bytesOf(text)
    this.#waiting += bytes.length
    this.#call.write(bytes, () => { this.#waiting -= bytes.length })
  }

  close (code: number, reason: string): void {
    if (this.closedWith !== null) return
    this.closedWith = code
    const ending = endingFor(code, reason, this.#grpc)
    if (ending === null) this.#call.end()
    else this.#call.emit('error', ending)
    const forced = setTimeout(() => this.terminate(), CLOSE_MS)
    this.#stream.once('close', () => clearTimeout(forced))
  }

  terminate (): void {
    if (!this.#stream.closed) this.#stream.close(NGHTTP2_CANCEL)
    // What it was sent and did not read would keep it.
    this.#stream.destroy()
  }

  ping (): void {
    const { session } = this.#stream
    if (session !== undefined && !session.destroyed) this.#pings.send(session, this.onPong)
  }

  bufferedBytes (): number {
    return this.#waiting
  }
}
