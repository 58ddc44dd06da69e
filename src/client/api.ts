/** Everything an application sees of the SDK, as types. docs/sdk.md explains it; the published types are made from this file. */
import type { IceServer, LeaveReason, Metadata, PeerInfo, PeerView, RoomKind } from '../protocol/frames.ts'
import type { TurnpikeClientError } from './client-error.ts'
import type { EventOf } from './events.ts'
import type { Undelivered } from './outbox.ts'
import type { Path } from './stats-in-words.ts'

export type JoinOptions = {
  /** As the server that made the token said it: wss://…/v1/signal. Where the token leaves it to us which peer we are, with ?peer=. */
  url: string
  /** A room token; or `getToken`, or both: the token first. */
  token?: string | undefined
  /** Asked for a token when there is none, or the one there is has expired or was refused. */
  getToken?: (() => Promise<string>) | undefined
  /** Its tracks are sent to everybody we connect to. */
  media?: MediaStream | null | undefined
  /** Relayed paths only, in all connections. */
  relayOnly?: boolean | undefined
  /** Picks among the ICE servers that the server names. */
  chooseIceServers?: ((iceServers: IceServer[]) => IceServer[]) | undefined
  /** How a lost socket comes back: first wait, longest wait, and when it is given up (never, where nothing is said). */
  reconnect?: { minMs?: number | undefined, maxMs?: number | undefined, giveUpAfterMs?: number | undefined } | undefined
  /** How long the first connection may take; 15 s. */
  joinWithinMs?: number | undefined
  /** Frames that may wait for the server, while it cannot be reached for instance; 1000. */
  queueFrames?: number | undefined
  /** No faster than the server takes them; 45. */
  framesPerSecond?: number | undefined
  /** In Node.js, what does WebRTC, and negotiates as browsers do. Without it there is signaling alone. */
  RTCPeerConnection?: typeof RTCPeerConnection | undefined
}

export type RoomProperties = { id: string, capacity: number, kind: RoomKind, metadata: Metadata }
export type RoomState = 'joined' | 'reconnecting' | 'closed'
export type RoomEvents = {
  state: RoomState
  'peer-joined': PeerView
  'peer-left': { id: string, reason: LeaveReason }
  'peer-updated': PeerView
  /** Another peer's `send`. What connections say to each other is not shown. */
  signal: { from: string, data: unknown }
  /** What the application's server said. */
  message: unknown
  /** Another peer connects to us, and we had not connected to it. Who does not listen calls `connect` when it likes. */
  connection: Connection
  'ice-servers': IceServer[]
  /** The server had accepted this and could not deliver it. */
  undelivered: Undelivered & { error: TurnpikeClientError }
  /** The session could not be resumed and we joined anew: these were accepted, and may not have arrived. What was not accepted is sent again. */
  'session-lost': { undelivered: Undelivered[] }
  /** The server restarts; we come back to it by ourselves. */
  draining: { deadline: number }
  /** Something was refused that no promise stands for. */
  error: TurnpikeClientError
  /** The end, once, and why; code `left` where we left. */
  closed: TurnpikeClientError
}

export interface Room {
  readonly state: RoomState
  /** Names the session in the server's log. */
  readonly session: string
  readonly self: PeerInfo
  readonly room: RoomProperties
  readonly peers: ReadonlyMap<string, PeerView>
  readonly iceServers: IceServer[]
  readonly connections: ReadonlyMap<string, Connection>
  /** Calls back for each event; returns how to stop. */
  on<E extends keyof RoomEvents> (type: E, listener: (detail: RoomEvents[E]) => void): () => void
  /** The same as an iterator, from now on: {type, detail}. It ends with the room. */
  events (): AsyncIterableIterator<EventOf<RoomEvents>>
  /** Sends JSON to one peer, or to every other with '*'. Resolves when the server has accepted it; rejects with a TurnpikeClientError. */
  send (to: string, data: unknown): Promise<void>
  /** Replaces our own metadata. */
  update (metadata: Metadata): Promise<void>
  /** The connection to a peer: the one there is, or a new one. Throws peer-unavailable, no-webrtc or left. */
  connect (peer: string, options?: ConnectOptions): Connection
  /** Leaves at once and ends all connections. */
  leave (): void
}

export type ConnectOptions = { media?: MediaStream | null | undefined, relayOnly?: boolean | undefined }
export type ConnectionState = 'connecting' | 'connected' | 'reconnecting' | 'failed' | 'closed'
export type ConnectionEvents = {
  state: ConnectionState
  track: { track: MediaStreamTrack, streams: readonly MediaStream[] }
  /** The other side opened a channel that we had not asked for. */
  channel: Channel
  /** A negotiation step failed; the next one may repair it. */
  error: TurnpikeClientError
}

/** A managed RTCPeerConnection: negotiated perfectly, restarted where its path is lost, with ICE servers that do not expire. */
export interface Connection {
  readonly peer: PeerView
  readonly state: ConnectionState
  /** The one in use. It is another one after the other side has begun anew. */
  readonly pc: RTCPeerConnection
  relayOnly: boolean
  on<E extends keyof ConnectionEvents> (type: E, listener: (detail: ConnectionEvents[E]) => void): () => void
  events (): AsyncIterableIterator<EventOf<ConnectionEvents>>
  addTrack (track: MediaStreamTrack, ...streams: MediaStream[]): void
  /** Sends another track in the place of one, without negotiating. */
  replaceTrack (track: MediaStreamTrack, by: MediaStreamTrack): Promise<void>
  removeTrack (track: MediaStreamTrack): void
  /** The data channel of that label, whichever side opens it first. */
  channel (label: string, options?: RTCDataChannelInit): Channel
  /** Looks for a path anew (ICE restart). */
  restart (): void
  /** The path in use and one sentence about it; null while there is none. */
  stats (): Promise<{ path: Path, words: string } | null>
  close (): void
}

export type ChannelEvents = { open: undefined, message: string | ArrayBuffer | Blob, close: undefined }
/** A data channel by its label. It outlives the RTCDataChannel beneath it. */
export interface Channel {
  readonly label: string
  readonly isOpen: boolean
  readonly bufferedAmount: number
  on<E extends keyof ChannelEvents> (type: E, listener: (detail: ChannelEvents[E]) => void): () => void
  /** False where the channel is not open: nothing was sent. */
  send (data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): boolean
  close (): void
}
