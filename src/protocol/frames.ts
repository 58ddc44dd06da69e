/**
 * Every frame of the signaling protocol, version 1, both ways, as it stands on the wire (JSON text frames).
 * docs/signaling.md tells the story; this file is what server and clients are compiled against.
 */
import type { ErrorCode } from './errors.ts'

/** The subprotocol a client offers and the server answers with (RFC 6455 §1.9). */
export const SUBPROTOCOL = 'turnpike.v1'
/** A room token travels as a second offered subprotocol with this prefix: browsers cannot set headers on a WebSocket. */
export const TOKEN_PREFIX = 'turnpike.token.'

/** An RTCIceServer as browsers take it (W3C WebRTC §4.2.4). */
export type IceServer = { urls: string[], username?: string, credential?: string }

export type Metadata = Record<string, unknown>
export type PeerInfo = { id: string, role: string | null, metadata: Metadata }
/** A peer as another peer sees it; `polite` says whether the *reader* of this frame yields in a glare (perfect negotiation, W3C WebRTC §10.7). */
export type PeerView = PeerInfo & { polite: boolean }
export const ROOM_KINDS = ['mesh'] as const
export type RoomKind = typeof ROOM_KINDS[number]

export type Welcome = {
  type: 'welcome'
  /** Names this connection in logs; not a secret. */
  session: string
  self: PeerInfo
  room: { id: string, capacity: number, kind: RoomKind }
  peers: PeerView[]
  iceServers: IceServer[]
  /** Unix seconds; `null` where no relay is ready: an `ice-servers` frame follows when one is. */
  iceExpiresAt: number | null
  /** Seconds between the server's pings. */
  heartbeat: number
  /** Seconds a lost socket keeps its place in the room. */
  grace: number
  resumed: boolean
}

/** Frames that carry `seq` are numbered from 1 in each session, without gaps. */
export type ServerFrame =
  | Welcome
  | { type: 'signal', seq: number, from: string, data: unknown }
  | { type: 'peer-joined', seq: number, peer: PeerView }
  | { type: 'peer-left', seq: number, id: string, reason: LeaveReason }
  | { type: 'peer-updated', seq: number, peer: PeerView }
  | { type: 'ice-servers', seq: number, iceServers: IceServer[], iceExpiresAt: number }
  | { type: 'accepted', ref: number }
  | { type: 'error', ref: number | null, code: ErrorCode, message: string }
  | { type: 'draining', reconnect: 'now' | 'backoff', deadline: number }

export type LeaveReason = 'left' | 'lost' | 'replaced' | 'kicked'

export type ClientFrame =
  | { type: 'signal', cid?: number, to: string, data: unknown, ack?: number }
  | { type: 'ack', seq: number }
  | { type: 'update', cid?: number, metadata: Metadata, ack?: number }
  | { type: 'leave', ack?: number }

/** `to` of a signal that goes to every peer the sender may talk to. */
export const EVERYONE = '*'

/** Room and peer ids: 1–128 characters, opaque to the server; no control characters, no `/`, and not `*`, which addresses everyone. */
export function isValidId (id: string): boolean {
  const length = [...id].length
  return length >= 1 && length <= 128 && id !== EVERYONE && !/[\p{Cc}\p{Cs}/]/u.test(id)
}

/** Of metadata. What is nested without bound cannot be written by anybody who writes it recursively, JSON.stringify among them. */
export const DEEPEST_METADATA = 32

export function isNestedDeeper (value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(child => isNestedDeeper(child, levels - 1))
}
