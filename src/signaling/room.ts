/** A room of kind mesh: everybody in it sees and may signal everybody. */
import type { LeaveReason, PeerView } from '../protocol/frames.ts'
import type { Session } from './session.ts'

export class Room {
  readonly id: string
  readonly project: string
  readonly kind = 'mesh'
  readonly capacity: number
  readonly #members = new Map<string, Session>()

  constructor (project: string, id: string, capacity: number) {
    this.project = project
    this.id = id
    this.capacity = capacity
  }

  get size (): number {
    return this.#members.size
  }

  get isFull (): boolean {
    return this.#members.size >= this.capacity
  }

  find (peer: string): Session | undefined {
    return this.#members.get(peer)
  }

  /** Everybody but one. */
  * others (self: Session): Generator<Session> {
    for (const member of this.#members.values()) {
      if (member !== self) yield member
    }
  }

  /** Puts a peer in and tells the others; returns whom it sees. */
  enter (session: Session): PeerView[] {
    this.#members.set(session.info.id, session)
    session.room = this
    const seen: PeerView[] = []
    for (const other of this.others(session)) {
      other.sendPeer('peer-joined', session.seenBy(other))
      seen.push(other.seenBy(session))
    }
    return seen
  }

  /** Takes a peer out and tells the others. */
  leave (session: Session, reason: LeaveReason): void {
    if (this.#members.get(session.info.id) !== session) return
    this.#members.delete(session.info.id)
    for (const other of [...this.#members.values()]) other.sendLeft(session.info.id, reason)
  }
}
