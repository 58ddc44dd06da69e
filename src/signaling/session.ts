/** One peer's presence in a room over one socket: what it was sent is numbered, and what waits for it is bounded. */
import { errorEntry, type ErrorCode } from '../protocol/errors.ts'
import type { IceServer, Metadata, PeerInfo, PeerView, ServerFrame } from '../protocol/frames.ts'
import type { RateBucket } from './rate.ts'

/** A socket as signaling sees it; http/websocket.ts makes one out of a WebSocket. */
export type Socket = {
  /** Sends one text frame. */
  send (text: string): void
  /** Begins the closing handshake (RFC 6455 §7.1.2). */
  close (code: number, reason: string): void
  /** Ends the connection at once. */
  terminate (): void
  ping (): void
  /** Bytes that were sent and are not with the kernel yet. */
  bufferedBytes (): number
}

/** The room as a session sees it. */
export type Members = { readonly id: string, find (peer: string): Session | undefined, others (self: Session): Iterable<Session> }

export type Permissions = { signal: boolean, update: boolean }
export type SessionNeeds = { id: string, socket: Socket, project: string, info: PeerInfo, permissions: Permissions, keyId: string | null, roomId: string, bucket: RateBucket, outboxBytes: number, joinedAs: number, remoteAddress: string, onEnd: (session: Session, code: number) => void, onError: (code: ErrorCode) => void }

export class Session {
  info: PeerInfo
  room: Members | null = null
  /** Unix seconds; null while no ICE servers could be issued. */
  iceExpiresAt: number | null = null
  iceIssuedAt = 0
  pingsUnanswered = 0
  readonly #needs: SessionNeeds
  #seq = 0
  #ended = false

  constructor (needs: SessionNeeds) {
    this.#needs = needs
    this.info = needs.info
  }

  get id (): string {
    return this.#needs.id
  }

  get project (): string {
    return this.#needs.project
  }

  get permissions (): Permissions {
    return this.#needs.permissions
  }

  get roomId (): string {
    return this.#needs.roomId
  }

  get keyId (): string | null {
    return this.#needs.keyId
  }

  get bucket (): RateBucket {
    return this.#needs.bucket
  }

  /** Grows from join to join: the lower one of two was there first. */
  get joinedAs (): number {
    return this.#needs.joinedAs
  }

  get socket (): Socket {
    return this.#needs.socket
  }

  get remoteAddress (): string {
    return this.#needs.remoteAddress
  }

  get hasEnded (): boolean {
    return this.#ended
  }

  /** How another session sees this one. `polite` is the other's part: who was there first yields. */
  seenBy (other: Session): PeerView {
    return { ...this.info, polite: other.joinedAs < this.joinedAs }
  }

  send (frame: Extract<ServerFrame, { type: 'welcome' | 'accepted' | 'draining' }>): void {
    this.#write(JSON.stringify(frame))
  }

  /** A signal whose data goes on as the text it came in. */
  sendSignal (from: string, data: string): void {
    this.#write(`{"type":"signal","seq":${++this.#seq},"from":${from},"data":${data}}`)
  }

  sendPeer (type: 'peer-joined' | 'peer-updated', peer: PeerView): void {
    this.#write(JSON.stringify({ type, seq: ++this.#seq, peer }))
  }

  sendLeft (id: string, reason: string): void {
    this.#write(JSON.stringify({ type: 'peer-left', seq: ++this.#seq, id, reason }))
  }

  sendIceServers (iceServers: IceServer[], iceExpiresAt: number): void {
    this.#write(JSON.stringify({ type: 'ice-servers', seq: ++this.#seq, iceServers, iceExpiresAt }))
  }

  sendError (code: ErrorCode, message: string, ref: number | null): void {
    this.#needs.onError(code)
    this.#write(JSON.stringify({ type: 'error', ref, code, message }))
  }

  updateMetadata (metadata: Metadata): void {
    this.info = { ...this.info, metadata }
  }

  ping (): void {
    this.pingsUnanswered++
    this.#needs.socket.ping()
  }

  /** Says why, closes with the error's code, and is out of the room at once. */
  endWith (code: ErrorCode, message: string): void {
    if (this.#ended) return
    const { close = 4000, title } = errorEntry(code)
    // Whoever does not read is not told more.
    if (code === 'too-slow') this.#needs.onError(code)
    else this.sendError(code, message, null)
    this.end(close, title)
  }

  /** Closes the socket. */
  end (code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#needs.socket.close(code, reason)
    this.#needs.onEnd(this, code)
  }

  /** The socket is gone, or is to be without a word. */
  drop (code: number): void {
    if (this.#ended) return
    this.#ended = true
    this.#needs.socket.terminate()
    this.#needs.onEnd(this, code)
  }

  #write (text: string): void {
    if (this.#ended) return
    this.#needs.socket.send(text)
    if (this.#needs.socket.bufferedBytes() > this.#needs.outboxBytes) this.endWith('too-slow', '')
  }
}
