/** The connections of a room, by peer: what comes for them, and what becomes of them with their peers, the socket and the ICE servers. */
import type { PeerView } from '../protocol/frames.ts'
import { ManagedConnection, type ConnectionNeeds } from './connection.ts'
import type { Candidate, Description } from './negotiation.ts'

/** What connections say to each other. */
export type OfConnection = Partial<Description & Candidate & { bye: true }>
export type ConnectionsNeeds = Pick<ConnectionNeeds, 'isOnline' | 'iceServers' | 'create' | 'onTrouble'> & {
  send (peer: string, data: OfConnection): void
  /** Another peer connects to us: makes the connection where somebody wants it. */
  invite (peer: string): void
}

/** What comes from a peer before we connect to it is kept, so many signals of each. */
const MOST_EARLY = 100
/** Credentials are replaced so long before they expire, by the clock of this machine. */
const SPARE_MS = 10_000

export function isOfConnection (data: unknown): data is OfConnection {
  return typeof data === 'object' && data !== null && ('description' in data || 'candidate' in data || 'bye' in data)
}

export class Connections {
  readonly byPeer = new Map<string, ManagedConnection>()
  readonly #needs: ConnectionsNeeds
  readonly #early = new Map<string, OfConnection[]>()
  #expiresAtMs = Infinity

  constructor (needs: ConnectionsNeeds) {
    this.#needs = needs
  }

  open (peer: PeerView, options: { media: MediaStream | null, relayOnly: boolean }): ManagedConnection {
    const { id } = peer
    const { send, ...needs } = this.#needs
    const connection: ManagedConnection = new ManagedConnection({
      ...needs,
      ...options,
      peer,
      send: data => send(id, data),
      onClosed: () => { if (this.byPeer.get(id) === connection) this.byPeer.delete(id) },
    })
    this.byPeer.set(id, connection)
    // The caller adds tracks, channels and listeners first.
    queueMicrotask(() => {
      const early = this.#early.get(id) ?? []
      this.#early.delete(id)
      for (const data of early) connection.receive(data)
    })
    return connection
  }

  receive (from: string, data: OfConnection): void {
    const connection = this.byPeer.get(from)
    if (connection !== undefined && !this.#early.has(from)) return connection.receive(data)
    const early = this.#early.get(from) ?? []
    if (data.bye === true) early.length = 0
    else if (early.length < MOST_EARLY) early.push(data)
    this.#early.set(from, early)
    if (connection === undefined && data.description?.type === 'offer') this.#needs.invite(from)
  }

  /** It is described in other words; after one of us has joined anew, the other one yields, perhaps. */
  describe (peer: PeerView): void {
    const connection = this.byPeer.get(peer.id)
    if (connection !== undefined) connection.peer = peer
  }

  /** It has left. */
  forget (peer: string): void {
    this.#early.delete(peer)
    this.byPeer.get(peer)?.end()
  }

  /** The socket is gone. */
  suspend (): void {
    for (const connection of this.byPeer.values()) connection.suspend()
  }

  /** The socket is back. */
  resume (hasMoved: boolean, isAnother: boolean): void {
    for (const connection of this.byPeer.values()) connection.resume(hasMoved, isAnother)
  }

  /** Fresh ICE servers for all; who relays with the ones before looks for a new path before they expire. */
  renew (expiresAt: number | null): void {
    const untilMs = this.#expiresAtMs - SPARE_MS - Date.now()
    this.#expiresAtMs = expiresAt === null ? Infinity : expiresAt * 1000
    for (const connection of this.byPeer.values()) connection.renew(untilMs)
  }

  close (): void {
    for (const connection of [...this.byPeer.values()]) connection.end()
  }
}
