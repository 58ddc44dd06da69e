/**
 * Joins a room (docs/signaling.md): the first step of the SDK, for browsers and Node.js. A lost socket ends the room here;
 * connecting again by itself comes with sessions that resume.
 */
import { ERRORS, type ErrorCode, type Retry } from '../protocol/errors.ts'
import { SUBPROTOCOL, TOKEN_PREFIX, type IceServer, type Metadata, type PeerInfo, type PeerView, type ServerFrame, type Welcome } from '../protocol/frames.ts'

export type RoomEvents = {
  'peer-joined': PeerView
  'peer-left': { id: string, reason: string }
  'peer-updated': PeerView
  /** Another peer's signal. */
  signal: { from: string, data: unknown }
  'ice-servers': IceServer[]
  /** A frame of ours was not carried out. */
  error: { code: ErrorCode, message: string, ref: number | null }
  /** The end, once. `retry` says whether joining again makes sense. */
  closed: { code: number, reason: string, retry: Retry }
}
type Listener<E extends keyof RoomEvents> = (event: RoomEvents[E]) => void

/** Joining was refused. `code` is null where the browser does not tell why (it hides the answer to a refused WebSocket). */
export class JoinError extends Error {
  readonly code: ErrorCode | null

  constructor (message: string, code: ErrorCode | null) {
    super(message)
    this.name = 'JoinError'
    this.code = code
  }
}

/** A room that was joined. */
export class Room {
  readonly self: PeerInfo
  readonly room: Welcome['room']
  /** Who was there when we joined; keep it up to date by the events. */
  readonly peers: ReadonlyMap<string, PeerView>
  iceServers: IceServer[]
  readonly #socket: WebSocket
  readonly #peers: Map<string, PeerView>
  readonly #listeners = new Map<string, Set<(event: never) => void>>()
  #cid = 0

  constructor (socket: WebSocket, welcome: Welcome) {
    this.self = welcome.self
    this.room = welcome.room
    this.iceServers = welcome.iceServers
    this.peers = this.#peers = new Map(welcome.peers.map(peer => [peer.id, peer]))
    this.#socket = socket
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data as string) as ServerFrame)
    socket.onclose = ({ code, reason }) => this.#emit('closed', { code, reason, retry: retryAfterClose(code) })
  }

  /** Calls back for each event; returns how to stop. */
  on<E extends keyof RoomEvents> (event: E, listener: Listener<E>): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners.add(listener as (event: never) => void))
    return () => { listeners.delete(listener as (event: never) => void) }
  }

  /** Sends JSON to one peer, or to every other with '*'. Returns the frame's number, which an `error` refers to. */
  signal (to: string, data: unknown): number {
    return this.#send({ type: 'signal', cid: ++this.#cid, to, data })
  }

  /** Replaces our own metadata. */
  update (metadata: Metadata): number {
    return this.#send({ type: 'update', cid: ++this.#cid, metadata })
  }

  /** Leaves at once. */
  leave (): void {
    this.#send({ type: 'leave' })
    this.#socket.close(1000)
  }

  #send (frame: object): number {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
    return this.#cid
  }

  #emit<E extends keyof RoomEvents> (event: E, value: RoomEvents[E]): void {
    for (const listener of [...this.#listeners.get(event) ?? []]) (listener as Listener<E>)(value)
  }

  #receive (frame: ServerFrame): void {
    switch (frame.type) {
      case 'signal': return this.#emit('signal', frame)
      case 'error': return this.#emit('error', frame)
      case 'peer-joined':
      case 'peer-updated':
        this.#peers.set(frame.peer.id, frame.peer)
        return this.#emit(frame.type, frame.peer)
      case 'peer-left':
        this.#peers.delete(frame.id)
        return this.#emit('peer-left', frame)
      case 'ice-servers':
        this.iceServers = frame.iceServers
        return this.#emit('ice-servers', frame.iceServers)
      case 'presence':
      case 'message':
      case 'delivered':
      case 'welcome':
      case 'accepted':
      case 'draining':
    }
  }
}

/** Connects and resolves when the server has welcomed us. Rejects with a JoinError. */
export async function join ({ url, token }: { url: string, token: string }): Promise<Room> {
  const socket = new WebSocket(url, [SUBPROTOCOL, TOKEN_PREFIX + token])
  return await new Promise((resolve, reject) => {
    socket.onclose = ({ code, reason }) => reject(new JoinError(reason === '' ? `the server did not let us in (${code})` : reason, null))
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data as string) as ServerFrame
      if (frame.type === 'welcome') resolve(new Room(socket, frame))
      if (frame.type === 'error') reject(new JoinError(frame.message, frame.code))
    }
  })
}

/** What docs/signaling.md says of close codes. */
function retryAfterClose (code: number): Retry {
  const known = Object.values(ERRORS).find(entry => 'close' in entry && entry.close === code)
  if (known !== undefined) return known.retry
  if (code === 1000 || (code >= 4000 && code < 4100)) return 'never'
  return code === 1001 || (code >= 4200 && code < 4300) ? 'now' : 'backoff'
}
