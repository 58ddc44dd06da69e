/** What a signaling protocol has to know to be spoken here: one table of functions for each, the native one among them. */
import type { DialectName } from '../protocol/project-settings.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import type { IceServer, Metadata, PeerInfo, PeerLeft, PeerView, RoomKind } from '../protocol/frames.ts'

export type SpokenName = 'native' | DialectName

/** What one peer says to another, on its way. */
export type Signal = {
  /** The sender's protocol. A receiver that speaks the same is given `body` as it is. */
  readonly spoken: SpokenName
  /** The text of what is said, in the sender's protocol; of the native one, the JSON text of `data`. */
  readonly body: string
}

/** What a peer is told beside signals. Numbers (`seq`, `ref`, `cid`) matter to the native protocol alone. */
export type Happening =
  | { type: 'welcome', session: string, resume: string, self: PeerInfo, room: { id: string, capacity: number, kind: RoomKind, metadata: Metadata }, peers: PeerView[], iceServers: IceServer[], iceExpiresAt: number | null, heartbeat: number, grace: number, resumed: boolean, accepted: number | null, delivered: number | null }
  | { type: 'peer-joined' | 'peer-updated', peer: PeerView }
  | { type: 'peer-left' } & PeerLeft
  | { type: 'presence', left: PeerLeft[], joined: PeerView[], updated: PeerView[] }
  | { type: 'ice-servers', iceServers: IceServer[], iceExpiresAt: number }
  | { type: 'message', data: string }
  | { type: 'accepted', ref: number }
  | { type: 'delivered', cid: number }
  /** `to`: whom the signal was for that this is about. */
  | { type: 'error', ref: number | null, code: ErrorCode, message: string, to: string | null }
  | { type: 'draining', reconnect: 'now' | 'backoff', deadline: number }

/** The peer that speaks, as its protocol sees it. */
export type Speaker = {
  readonly info: PeerInfo
  readonly project: string
  /** Which of the forms of its protocol this peer speaks, once that has shown; its dialect sets and reads it. */
  form: string | null
}

/** What a frame can ask for. All of them throw a TurnpikeError where they are refused. */
export type Requests<S extends Speaker = Speaker> = {
  /** To one peer, also one that is not there yet, or to every other ('*'). `ref` comes back in an error that is found later. */
  signal (from: S, to: string, signal: Signal, ref: number | null): void
  update (from: S, metadata: Metadata): void
  /** Leaves for good; the socket is closed with 1000. */
  leave (from: S): void
}

/**
 * A protocol of clients that exist. Pure: text in, text out; what the clients are is told in docs/dialects.md.
 * A client of a dialect cannot come back to its session: a lost socket is a peer that left.
 */
export type Dialect = {
  readonly name: DialectName
  /** May frames be binary? They are read as text all the same. */
  readonly takesBinary: boolean
  /** Characters that a frame has here for each byte that it had on the wire, where its door writes it anew. */
  readonly inflation?: number
  /** The frame of a signal that a peer of the same dialect sent. */
  relay (from: string, body: string, self: Speaker): string
  /** The frame of a native signal ({description}, {candidate} or anything else), parsed; null where this protocol has no words for it, '' where it needs none. */
  fromNative (from: string, data: unknown, self: Speaker): string | null
  /** The native `data` of what was said in this dialect; undefined where others have no words for it, null where they need none. */
  toNative (body: string): unknown
  /** What is sent when something has happened: any number of frames. */
  tell (happening: Happening, self: Speaker): string[]
  /** Carries a frame of the client out. What it throws (TurnpikeError) is told by `tell` as an error, and ends the socket where that error does. */
  receive (self: Speaker, text: string, requests: Requests): void
}
