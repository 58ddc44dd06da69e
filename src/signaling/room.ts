/** A room: who is in it, who may see whom, and what waits for those who are not there yet. */
import type { LeaveReason, Metadata, PeerView, RoomKind } from '../protocol/frames.ts'
import { Mailbox, type MailboxLimits } from './mailbox.ts'
import { Presence, type PresenceNeeds } from './presence.ts'
import type { Session } from './session.ts'

export type RoomNeeds = { project: string, id: string, kind: RoomKind, capacity: number, metadata: Metadata, startedAtSeconds: number, limits: MailboxLimits, watch: PresenceNeeds['watch'] }

export class Room {
  readonly mailbox: Mailbox
  readonly presence: Presence
  /** Those who are welcomed are told of it. */
  metadata: Metadata
  readonly #needs: RoomNeeds
  readonly #members = new Map<string, Session>()

  constructor (needs: RoomNeeds) {
    this.#needs = needs
    this.metadata = needs.metadata
    this.mailbox = new Mailbox(needs.limits)
    this.presence = new Presence({ members: () => this.#members.values(), sees: (viewer, other) => this.sees(viewer, other), watch: needs.watch })
  }

  get id (): string { return this.#needs.id }
  get project (): string { return this.#needs.project }
  get kind (): RoomKind { return this.#needs.kind }
  get capacity (): number { return this.#needs.capacity }
  get startedAtSeconds (): number { return this.#needs.startedAtSeconds }
  get size (): number { return this.#members.size }
  get isFull (): boolean { return this.#members.size >= this.#needs.capacity }
  get members (): Iterable<Session> { return this.#members.values() }

  find (peer: string): Session | undefined {
    return this.#members.get(peer)
  }

  /** In a topic, publishers and subscribers see each other alone. */
  sees (viewer: Session, other: Session): boolean {
    return viewer !== other && (this.#needs.kind !== 'topic' || viewer.info.role !== other.info.role)
  }

  /** Whom a peer sees and may signal. */
  * others (self: Session): Generator<Session> {
    for (const member of this.#members.values()) {
      if (this.sees(self, member)) yield member
    }
  }

  viewOf (self: Session): PeerView[] {
    return [...this.others(self)].map(other => other.seenBy(self))
  }

  /** Puts a peer in and tells the others. */
  enter (session: Session): void {
    this.#members.set(session.info.id, session)
    session.room = this
    session.enteredAt = this.presence.next
    session.presenceCursor = session.enteredAt + 1
    this.presence.record({ type: 'joined', info: session.info, session })
  }

  /** Puts one back that has been in it before there was this process; nobody hears of it. */
  takeBack (session: Session): void {
    this.#members.set(session.info.id, session)
    session.room = this
    session.presenceCursor = this.presence.next
    session.enteredAt = -1
  }

  update (session: Session): void {
    this.presence.record({ type: 'updated', info: session.info, session })
  }

  /** Takes a peer out and tells the others. */
  leave (session: Session, reason: LeaveReason): void {
    if (this.#members.get(session.info.id) !== session) return
    this.#members.delete(session.info.id)
    session.room = null
    this.presence.record({ type: 'left', info: session.info, session, reason })
  }
}
