/** What happens on one socket, handed to the session that speaks over it: an object, because closures for each of thousands of idle peers would be most of what a peer costs. */
import { costOf, type RateVerdict } from './rate.ts'
import type { Session } from './session.ts'
import type { Socket } from './socket.ts'

/** What comes from a peer, and whether it was within its rate: where it was not, its socket should not be read for a moment. */
export type SocketEvents = { onMessage (data: Buffer, isBinary: boolean): boolean, onPing (): boolean, onPong (): boolean, onClose (code: number): void }
/** What all attachments share. */
export type AttachmentNeeds = {
  /** `isLimited`: it came too fast. */
  receive (session: Session, data: Buffer, isBinary: boolean, isLimited: boolean): void
  heard (session: Session): void
  closed (session: Session, code: number): void
  /** A socket is gone, whoever it was of. */
  gone (socket: Socket): void
}

export class Attachment implements SocketEvents {
  readonly #session: Session
  readonly #socket: Socket
  readonly #needs: AttachmentNeeds

  constructor (session: Session, socket: Socket, needs: AttachmentNeeds) {
    this.#session = session
    this.#socket = socket
    this.#needs = needs
  }

  onMessage (data: Buffer, isBinary: boolean): boolean {
    if (this.#session.socket !== this.#socket) return true
    const verdict = this.#take(costOf(data.length))
    if (verdict !== 'flooding') this.#needs.receive(this.#session, data, isBinary, verdict === 'limited')
    return verdict === 'fine'
  }

  /** Pings count like frames: they have to be read, and answered. */
  onPing (): boolean {
    return this.#session.socket !== this.#socket || this.#take() === 'fine'
  }

  /** One that we asked for is free. */
  onPong (): boolean {
    if (this.#session.socket !== this.#socket) return true
    if (this.#session.pingedAtMs === null) return this.#take() === 'fine'
    this.#needs.heard(this.#session)
    return true
  }

  onClose (code: number): void {
    this.#needs.gone(this.#socket)
    // A session that has another socket meanwhile does not care about this one.
    if (this.#session.socket === this.#socket) this.#needs.closed(this.#session, code)
  }

  #take (cost = 1): RateVerdict {
    const nowMs = performance.now()
    this.#session.lastHeardMs = nowMs
    const verdict = this.#session.bucket.take(nowMs, cost)
    if (verdict === 'flooding') this.#session.endWith('flooding', 'frames kept coming after rate-limited')
    return verdict
  }
}
