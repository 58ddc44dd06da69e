/**
 * Every frame of the signaling protocol, version 1, both ways, as it stands on the wire (JSON text frames).
 * docs/signaling.md tells the story; this file is what server and clients are compiled against.
 */
import type { ErrorCode } from './errors.ts'

/** The subprotocol a client offers and the server answers with (RFC 6455 §1.9). */
export const SUBPROTOCOL = 'turnpike.v1'
/** A room token travels as a second offered subprotocol with this prefix: browsers cannot set headers on a WebSocket. */
export const TOKEN_PREFIX = 'turnpike.token.'
/** And the secret of a session that is to go on as another. Where both are offered, the token serves when the session is gone. */
export const RESUME_PREFIX = 'turnpike.resume.'

/** An RTCIceServer as browsers take it (W3C WebRTC §4.2.4). */
export type IceServer = { urls: string[], username?: string, credential?: string }

export type Metadata = Record<string, unknown>
export type PeerInfo = { id: string, role: string | null, metadata: Metadata }
/** A peer as another peer sees it; `polite` says whether the *reader* of this frame yields in a glare (perfect negotiation, W3C WebRTC §10.7). */
export type PeerView = PeerInfo & { polite: boolean }
/**
 * mesh: everybody sees and may signal everybody. pair: a mesh of two at most. topic: publishers and subscribers, each of whom
 * sees and may signal the others' kind alone.
 */
export const ROOM_KINDS = ['mesh', 'pair', 'topic'] as const
export type RoomKind = typeof ROOM_KINDS[number]
/** The roles of a topic room. */
export const TOPIC_ROLES = ['publisher', 'subscriber'] as const
export type TopicRole = typeof TOPIC_ROLES[number]

export type Welcome = {
  type: 'welcome'
  /** Names this session in logs; not a secret. */
  session: string
  /** Brings this session back over another socket (RESUME_PREFIX, ?resume=), until the client has heard of the next one. */
  resume: string
  self: PeerInfo
  room: { id: string, capacity: number, kind: RoomKind, metadata: Metadata }
  peers: PeerView[]
  iceServers: IceServer[]
  /** Unix seconds; `null` where no relay is ready: an `ice-servers` frame follows when one is. */
  iceExpiresAt: number | null
  /** Seconds between the server's pings. */
  heartbeat: number
  /** Seconds a lost socket keeps its place in the room. */
  grace: number
  /** Is this the session that `resume` named? Then what it had not acknowledged follows. */
  resumed: boolean
  /** The last `cid` that was taken, or null: what has a greater one is to be sent again. */
  accepted: number | null
  /** As in the frame `delivered`. */
  delivered: number | null
}

export type PeerLeft = { id: string, reason: LeaveReason }

/** Frames that carry `seq` are numbered from 1 in each session, without gaps, and are kept until they are acknowledged. */
export type ServerFrame =
  | Welcome
  | { type: 'signal', seq: number, from: string, data: unknown }
  /** What the application's server said (POST /v1/rooms/{room}/messages). */
  | { type: 'message', seq: number, data: unknown }
  | { type: 'peer-joined', seq: number, peer: PeerView }
  | { type: 'peer-left', seq: number } & PeerLeft
  | { type: 'peer-updated', seq: number, peer: PeerView }
  /** Many changes at once, in place of a frame for each: first who left, then who joined, then who has other metadata. */
  | { type: 'presence', seq: number, left: PeerLeft[], joined: PeerView[], updated: PeerView[] }
  | { type: 'ice-servers', seq: number, iceServers: IceServer[], iceExpiresAt: number }
  | { type: 'accepted', ref: number }
  /** Everything up to this `cid` has been acknowledged by whom it was for, or was answered by an error. For clients that acknowledge too. */
  | { type: 'delivered', cid: number }
  /** `seq` where it answers a frame with a `cid`: such an error is not lost with a socket. */
  | { type: 'error', seq?: number, ref: number | null, code: ErrorCode, message: string }
  | { type: 'draining', reconnect: 'now' | 'backoff', deadline: number }

/** closed: the room was closed. */
export const LEAVE_REASONS = ['left', 'lost', 'replaced', 'kicked', 'closed'] as const
export type LeaveReason = typeof LEAVE_REASONS[number]

export type ClientFrame =
  | { type: 'signal', cid?: number, to: string, data: unknown, ack?: number }
  | { type: 'ack', seq: number }
  | { type: 'update', cid?: number, metadata: Metadata, ack?: number }
  | { type: 'leave', ack?: number }

/** `to` of a signal that goes to every peer the sender may talk to; and the peer of a token that leaves it to the client which peer it is. */
export const EVERYONE = '*'

/** Room and peer ids: 1–128 characters, opaque to the server; no control characters, no `/`, and not `*`, which addresses everyone. */
export function isValidId (id: unknown): boolean {
  // A query that names it twice is read as an array; a character has two units at most.
  if (typeof id !== 'string' || id === '' || id.length > 256) return false
  return (id.length <= 128 || [...id].length <= 128) && id !== EVERYONE && !/[\p{Cc}\p{Cs}/]/u.test(id)
}

/** Of metadata. What is nested without bound cannot be written by anybody who writes it recursively, JSON.stringify among them. */
export const DEEPEST_METADATA = 32

export function isNestedDeeper (value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(child => isNestedDeeper(child, levels - 1))
}
