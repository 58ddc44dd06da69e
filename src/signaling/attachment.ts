/** What happens on one socket, handed to the session that speaks over it: an object, because closures for each of thousands of idle peers would be most of what a peer costs. */
import type { Session } from './session.ts'
import type { Socket } from './socket.ts'

export type SocketEvents = { onMessage (data: Buffer, isBinary: boolean): void, onPong (): void, onClose (code: number): void }
/** What all attachments share. */
export type AttachmentNeeds = {
  receive (session: Session, data: Buffer, isBinary: boolean): void
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

  onMessage (data: Buffer, isBinary: boolean): void {
    if (this.#session.socket === this.#socket) this.#needs.receive(this.#session, data, isBinary)
  }

  onPong (): void {
    if (this.#session.socket === this.#socket) this.#needs.heard(this.#session)
  }

  onClose (code: number): void {
    this.#needs.gone(this.#socket)
    // A session that has another socket meanwhile does not care about this one.
    if (this.#session.socket === this.#socket) this.#needs.closed(this.#session, code)
  }
}
