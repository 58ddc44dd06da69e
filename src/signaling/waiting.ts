/** What waits in memory for all peers together, and for sockets that are being closed: bounded, whatever clients do. */
import type { Session } from './session.ts'
import type { Socket } from './socket.ts'

/** Of the bound, what is free again when room was made. */
const FREE = 0.1
/** Of the bound, what may wait in mailboxes: ending sessions does not make room there, so it must never be what fills the bound. */
const MAIL = 0.25

export class Waiting {
  /** Characters and bytes. */
  total = 0
  readonly #most: number
  readonly #sessions: ReadonlyMap<string, Session>
  #mail = 0
  /** Closing handshakes under way, each with what still waits for its socket: they count as this server's. */
  readonly #closing = new Map<Socket, number>()

  constructor (most: number, sessions: ReadonlyMap<string, Session>) {
    this.#most = most
    this.#sessions = sessions
  }

  get closingCount (): number {
    return this.#closing.size
  }

  hasRoom (size: number): boolean {
    return this.total + size <= this.#most
  }

  /** So much more waits, or less. */
  add (change: number): void {
    this.total += change
    if (change > 0) this.look()
  }

  hasRoomForMail (size: number): boolean {
    return this.#mail + size <= this.#most * MAIL && this.hasRoom(size)
  }

  addMail (change: number): void {
    this.#mail += change
    this.add(change)
  }

  closing (socket: Socket): void {
    const waiting = socket.bufferedBytes()
    this.#closing.set(socket, waiting)
    this.total += waiting
  }

  gone (socket: Socket): void {
    this.total -= this.#closing.get(socket) ?? 0
    this.#closing.delete(socket)
  }

  terminateClosing (): void {
    for (const socket of this.#closing.keys()) socket.terminate()
  }

  /** Where too much waits: gives up closing handshakes with those who do not read, then keeps nothing more for those who never acknowledge, or ends those for whom most waits. */
  look (): void {
    if (this.total <= this.#most) return
    for (const socket of [...this.#closing.keys()]) this.#giveUp(socket)
    const byWaiting = [...this.#sessions.values()].filter(({ waiting }) => waiting > 0).sort((a, b) => b.waiting - a.waiting)
    for (const session of byWaiting) {
      if (this.total <= this.#most * (1 - FREE)) return
      const { socket, waiting } = session
      if (session.forget() && session.waiting <= waiting / 2) continue
      session.endWith('server-full', '')
      if (socket !== null) this.#giveUp(socket)
    }
  }

  /** Whoever still has to read much before the close is not waited for. */
  #giveUp (socket: Socket): void {
    if ((this.#closing.get(socket) ?? 0) === 0) return
    this.gone(socket)
    socket.terminate()
  }
}
