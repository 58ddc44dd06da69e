/** A room that was joined: who is there, what they say, and the connections to them. */
import type { IceServer, LeaveReason, Metadata, PeerInfo, PeerView, ServerFrame, Welcome } from '../protocol/frames.ts'
import type { ConnectOptions, Connection, JoinOptions, Room, RoomEvents, RoomProperties, RoomState } from './api.ts'
import { TurnpikeClientError } from './client-error.ts'
import { Connections, isOfConnection } from './connections.ts'
import { Events, type EventOf } from './events.ts'
import { watchPage } from './page.ts'
import type { Undelivered } from './outbox.ts'
import { Session } from './session.ts'

/** After a session was lost, peers that we have a working connection to may have to come back too: they wait for up to 10 s before they try again. */
const HOLD_MS = 15_000
/** A page that was suspended asks the server, and waits so long for the answer. */
const AWAKE_MS = 1000
const TROUBLE_MS = 2000

export class JoinedRoom implements Room {
  readonly peers = new Map<string, PeerView>()
  readonly #options: JoinOptions
  readonly #session: Session
  readonly #connections: Connections
  readonly #events = new Events<RoomEvents>()
  readonly #stopWatching: () => void
  /** Peers that were there before the session was lost, and have to come back. */
  readonly #held = new Map<string, ReturnType<typeof setTimeout>>()
  #welcome: Welcome | null = null
  #iceServers: IceServer[] = []
  #state: RoomState = 'reconnecting'
  #ended: TurnpikeClientError | null = null

  /** `onFirst` is called with the first welcome, or with why there was none. */
  constructor (options: JoinOptions, onFirst: (error: TurnpikeClientError | null) => void) {
    this.#options = options
    this.#connections = new Connections({
      isOnline: () => this.#state === 'joined',
      iceServers: () => this.iceServers,
      create: configuration => this.#createConnection(configuration),
      send: (peer, data) => { this.send(peer, data).catch(error => this.#unsent(error)) },
      invite: peer => { if (this.#events.has('connection')) this.#events.emit('connection', this.connect(peer)) },
      onTrouble: () => this.#session.check(TROUBLE_MS),
    })
    this.#session = new Session({
      options,
      onWelcome: (welcome, lost, hasMoved) => {
        this.#begin(welcome, lost, hasMoved)
        onFirst(null)
      },
      onFrame: frame => this.#receive(frame),
      onDown: () => {
        this.#show('reconnecting')
        this.#connections.suspend()
      },
      onUndelivered: undelivered => { if (!isOfConnection(undelivered.data)) this.#events.emit('undelivered', undelivered) },
      onEnd: error => {
        this.#end(error)
        onFirst(error)
      },
    })
    this.#stopWatching = watchPage({ onMoved: () => this.#session.moved(), onAwake: () => this.#session.check(AWAKE_MS), onGone: () => this.leave() })
  }

  get state (): RoomState {
    return this.#state
  }

  get session (): string {
    return this.#joined.session
  }

  get self (): PeerInfo {
    return this.#joined.self
  }

  get room (): RoomProperties {
    return this.#joined.room
  }

  get iceServers (): IceServer[] {
    return this.#options.chooseIceServers?.(this.#iceServers) ?? this.#iceServers
  }

  get connections (): ReadonlyMap<string, Connection> {
    return this.#connections.byPeer
  }

  on<E extends keyof RoomEvents> (type: E, listener: (detail: RoomEvents[E]) => void): () => void {
    return this.#events.on(type, listener)
  }

  events (): AsyncGenerator<EventOf<RoomEvents>, void> {
    return this.#events.iterate()
  }

  async send (to: string, data: unknown): Promise<void> {
    await this.#session.send({ type: 'signal', to, data })
  }

  async update (metadata: Metadata): Promise<void> {
    await this.#session.send({ type: 'update', metadata })
    this.#joined.self = { ...this.#joined.self, metadata }
  }

  connect (id: string, options: ConnectOptions = {}): Connection {
    if (this.#ended !== null) throw this.#ended
    const peer = this.peers.get(id)
    if (peer === undefined) throw new TurnpikeClientError('peer-unavailable', `${id} is not in the room`, 'backoff')
    const { media, relayOnly } = { ...this.#options, ...options }
    return this.#connections.byPeer.get(id) ?? this.#connections.open(peer, { media: media ?? null, relayOnly: relayOnly ?? false })
  }

  leave (): void {
    this.#session.leave()
  }

  get #joined (): Welcome {
    if (this.#welcome === null) throw new TurnpikeClientError('connection-lost', 'not joined yet')
    return this.#welcome
  }

  #createConnection (configuration: RTCConfiguration): RTCPeerConnection {
    const Peer = this.#options.RTCPeerConnection ?? globalThis.RTCPeerConnection
    if (Peer === undefined) throw new TurnpikeClientError('no-webrtc', 'there is no RTCPeerConnection here: hand one to join()')
    return new Peer(configuration)
  }

  /** The promise of a connection's signal is nobody's: the room tells. */
  #unsent (error: unknown): void {
    if (this.#ended === null) this.#events.emit('error', error as TurnpikeClientError)
  }

  #begin (welcome: Welcome, lost: Undelivered[] | null, hasMoved: boolean): void {
    const isFirst = this.#welcome === null
    this.#welcome = welcome
    this.#renew(welcome.iceServers, welcome.iceExpiresAt)
    if (isFirst) for (const peer of welcome.peers) this.peers.set(peer.id, peer)
    this.#show('joined')
    if (lost !== null) {
      this.#events.emit('session-lost', { undelivered: lost })
      this.#compare(welcome.peers)
    }
    if (!isFirst) this.#connections.resume(hasMoved, lost !== null)
  }

  /** Joined anew: who is not there any more, who is new, and who sees us as new. */
  #compare (present: PeerView[]): void {
    const ids = new Set(present.map(({ id }) => id))
    for (const id of [...this.peers.keys()]) {
      if (ids.has(id)) continue
      // Calls outlive a server that was killed: the other side is about to join anew too.
      if (this.#connections.byPeer.get(id)?.state === 'connected') this.#held.set(id, setTimeout(() => this.#part(id, 'lost'), HOLD_MS))
      else this.#part(id, 'lost')
    }
    for (const peer of present) this.#meet(peer)
  }

  #receive (frame: Exclude<ServerFrame, { type: 'welcome' | 'accepted' | 'delivered' }>): void {
    switch (frame.type) {
      case 'signal':
        return isOfConnection(frame.data) ? this.#connections.receive(frame.from, frame.data) : this.#events.emit('signal', { from: frame.from, data: frame.data })
      case 'message': return this.#events.emit('message', frame.data)
      case 'peer-joined':
      case 'peer-updated': return this.#meet(frame.peer)
      case 'peer-left': return this.#part(frame.id, frame.reason)
      case 'presence':
        for (const { id, reason } of frame.left) this.#part(id, reason)
        for (const peer of [...frame.joined, ...frame.updated]) this.#meet(peer)
        return
      case 'ice-servers': return this.#renew(frame.iceServers, frame.iceExpiresAt)
      case 'error': return this.#events.emit('error', new TurnpikeClientError(frame.code, frame.message))
      case 'draining': return this.#events.emit('draining', { deadline: frame.deadline })
    }
  }

  #renew (iceServers: IceServer[], expiresAt: number | null): void {
    this.#iceServers = iceServers
    this.#connections.renew(expiresAt)
    this.#events.emit('ice-servers', this.iceServers)
  }

  /** Somebody came, came back, or is described in other words. */
  #meet (peer: PeerView): void {
    const isKnown = this.peers.has(peer.id)
    clearTimeout(this.#held.get(peer.id))
    this.#held.delete(peer.id)
    this.peers.set(peer.id, peer)
    this.#connections.describe(peer)
    this.#events.emit(isKnown ? 'peer-updated' : 'peer-joined', peer)
  }

  #part (id: string, reason: LeaveReason): void {
    this.#held.delete(id)
    if (!this.peers.delete(id)) return
    this.#connections.forget(id)
    this.#events.emit('peer-left', { id, reason })
  }

  #show (state: RoomState): void {
    if (state === this.#state) return
    this.#state = state
    this.#events.emit('state', state)
  }

  #end (error: TurnpikeClientError): void {
    this.#ended = error
    this.#stopWatching()
    this.#held.forEach(timer => clearTimeout(timer))
    this.#connections.close()
    this.#show('closed')
    this.#events.emit('closed', error)
    this.#events.close()
  }
}
