/** The words of the model (world.ts): seats in rooms, the visits of peers to them, and what they say. */
import type { RoomKind } from '../../src/protocol/frames.ts'
import type { Cable } from '../kit/cable.ts'
import type { ResumingPeer } from '../kit/resuming-peer.ts'

export type Token = { readonly text: string, readonly takesOver: boolean, /** Kicks that have revoked it, or may have. */ doubts: number }

/** A name that a peer can have in a room. */
export type Place = { readonly room: string, readonly kind: RoomKind, readonly name: string, readonly role: string | null }

export type Seat = Place & {
  readonly cable: Cable
  /** What whoever comes next joins with. */
  tokens: { readonly plain: Token, readonly takeover: Token }
  visit: Visit | null
}

/** One peer from its joining to its end: one session of the server. */
export type Visit = {
  /** Grows with each visit. */
  readonly number: number
  readonly seat: Seat
  readonly peer: ResumingPeer
  readonly token: Token
  /** Sockets that it has tried, and when the last one was begun. */
  readonly attempt: { attempts: number, attemptedAt: number }
  /** Nobody is there and nobody else is on the way: it must not hear that its seat is taken. */
  mustComeIn: boolean
  /** Has something been done to its network, so that the server may think it lost? */
  isTroubled: boolean
  /** It has left, vanished, was sent away, or another may have come in its place. */
  isDoomed: boolean
  /** An administrator has ended its session: the first saying, and the time, after which that had been done. */
  ended: { readonly id: number, readonly atMs: number } | null
  /** The last error that was about nothing that it had said. */
  bye: string
  metadata: unknown
  /** How it first saw each of the others: must remain. */
  readonly politeness: Map<Visit, boolean>
  /** Who was there when it came. */
  first: ReadonlySet<string> | null
  /** When the server was last known to keep this session. */
  aliveAt: number
  readonly said: Saying[]
  /** The last that it heard of each other. */
  readonly lastHeard: Map<string, number>
  /** How often it was told of each other that it was kicked. */
  readonly kicksSeen: Map<string, number>
}

export type Saying = {
  /** Grows with each saying. */
  readonly id: number
  readonly from: Visit
  readonly to: string
  readonly cid: number
  isAccepted: boolean
  readonly errors: string[]
  /** The first visit that began after its sender was told that it had not been delivered. */
  undeliveredBefore: number
  readonly heardBy: Visit[]
  /** Who was there, and may hear it, when it was said: who stays hears it. */
  readonly witnesses: Visit[]
}

export function maySee (a: Seat, b: Seat): boolean {
  return a !== b && a.room === b.room && (a.kind !== 'topic' || a.role !== b.role)
}
