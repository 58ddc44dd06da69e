/** A managed connection to one peer: what goes over it, and how it comes back when its path, its network or its credentials are gone. */
import type { IceServer, PeerView } from '../protocol/frames.ts'
import type { Channel, Connection, ConnectionEvents, ConnectionState } from './api.ts'
import { ManagedChannel } from './channel.ts'
import { TurnpikeClientError } from './client-error.ts'
import { Events, type EventOf } from './events.ts'
import { Negotiation, type Candidate, type Description } from './negotiation.ts'
import { pathInWords, readPath, type Path } from './stats-in-words.ts'

export type ConnectionNeeds = {
  peer: PeerView
  media: MediaStream | null
  relayOnly: boolean
  isOnline (): boolean
  iceServers (): IceServer[]
  create: (configuration: RTCConfiguration) => RTCPeerConnection
  send (data: Description | Candidate | { bye: true }): void
  /** The path is in trouble: is the socket too? */
  onTrouble (): void
  onClosed (): void
}

/** A path that is lost for so long is looked for anew. */
const LOST_MS = 2000
/** So long after the impolite side should have done so, the polite one does. */
const POLITE_MS = 5000
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Connections that fail try another path by themselves, so many times; each try takes Chromium 15 s and more. */
const MOST_RESTARTS = 1
const MOST_RESTARTS_ONCE_CONNECTED = 4

export class ManagedConnection implements Connection {
  readonly #needs: ConnectionNeeds
  readonly #events = new Events<ConnectionEvents>()
  readonly #tracks = new Map<MediaStreamTrack, { streams: MediaStream[], sender: RTCRtpSender }>()
  readonly #channels = new Map<string, ManagedChannel>()
  #peer: PeerView
  #state: ConnectionState = 'connecting'
  #relayOnly: boolean
  #negotiation: Negotiation
  #wasConnected = false
  #wantsRestart = false
  #restarts = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  /** The path that is to be left before its credentials expire, by what we call ourselves on it. */
  #aging: string | undefined
  #renewal: ReturnType<typeof setTimeout> | undefined
  #before: { path: Path, atMs: number } | null = null

  constructor (needs: ConnectionNeeds) {
    this.#needs = needs
    this.#peer = needs.peer
    this.#relayOnly = needs.relayOnly
    this.#negotiation = this.#begin(false)
    for (const track of needs.media?.getTracks() ?? []) this.addTrack(track, needs.media as MediaStream)
  }

  get peer (): PeerView {
    return this.#peer
  }

  /** Who yields may be another one after one of us has joined anew. */
  set peer (peer: PeerView) {
    this.#peer = peer
    this.#negotiation.polite = peer.polite
  }

  get state (): ConnectionState {
    return this.#state
  }

  get pc (): RTCPeerConnection {
    return this.#negotiation.connection
  }

  get relayOnly (): boolean {
    return this.#relayOnly
  }

  set relayOnly (relayOnly: boolean) {
    if (relayOnly === this.#relayOnly || this.#state === 'closed') return
    this.#relayOnly = relayOnly
    // A path that works is not left by an ICE restart: Chromium (156) prefers the older, direct one.
    this.begin(true)
  }

  on<E extends keyof ConnectionEvents> (type: E, listener: (detail: ConnectionEvents[E]) => void): () => void {
    return this.#events.on(type, listener)
  }

  events (): AsyncGenerator<EventOf<ConnectionEvents>, void> {
    return this.#events.iterate()
  }

  addTrack (track: MediaStreamTrack, ...streams: MediaStream[]): void {
    this.#tracks.set(track, { streams, sender: this.pc.addTrack(track, ...streams) })
  }

  async replaceTrack (track: MediaStreamTrack, by: MediaStreamTrack): Promise<void> {
    const sent = this.#tracks.get(track)
    if (sent === undefined) return
    await sent.sender.replaceTrack(by)
    this.#tracks.delete(track)
    this.#tracks.set(by, sent)
  }

  removeTrack (track: MediaStreamTrack): void {
    const sent = this.#tracks.get(track)
    this.#tracks.delete(track)
    if (sent !== undefined && this.#state !== 'closed') this.pc.removeTrack(sent.sender)
  }

  channel (label: string, options?: RTCDataChannelInit): Channel {
    const known = this.#channels.get(label)
    if (known !== undefined) return known
    const channel = new ManagedChannel(label, options)
    this.#channels.set(label, channel)
    channel.open(this.pc)
    return channel
  }

  restart (): void {
    this.#restarts = 0
    this.#restart()
  }

  async stats (): Promise<{ path: Path, words: string } | null> {
    const path = this.#state === 'closed' ? null : readPath(await this.pc.getStats())
    if (path === null) return null
    const atMs = performance.now()
    const words = pathInWords(path, this.#before?.path ?? null, atMs - (this.#before?.atMs ?? atMs))
    this.#before = { path, atMs }
    return { path, words }
  }

  close (): void {
    if (this.#state !== 'closed') this.#needs.send({ bye: true })
    this.end()
  }

  /** Without a word to the other side, which knows. */
  end (): void {
    if (this.#state === 'closed') return
    clearTimeout(this.#timer)
    clearTimeout(this.#renewal)
    this.#negotiation.close()
    for (const channel of this.#channels.values()) channel.close()
    this.#show('closed')
    this.#events.close()
    this.#needs.onClosed()
  }

  /** Takes what the peer's connection said. */
  receive (data: Partial<Description & Candidate & { bye: true }>): void {
    if (data.bye === true) return this.end()
    const { description, candidate } = data
    if (description !== undefined) {
      if (this.#negotiation.needsAnother(description)) this.begin(description.type !== 'offer')
      this.#negotiation.take(description).catch(() => {})
    } else if (candidate !== undefined) this.#negotiation.add(candidate).catch(() => {})
  }

  /** Fresh ICE servers, for the next path that is looked for. The present one goes on, for `untilMs` with the ones before, or already with older ones. */
  renew (untilMs: number): void {
    this.pc.setConfiguration(this.#configuration())
    const { user } = this.#negotiation
    if (user === this.#aging) return
    this.#aging = user
    clearTimeout(this.#renewal)
    // One side is enough; credentials of the polite one may expire first, because it was there first.
    this.#renewal = setTimeout(() => { this.#refresh().catch(() => {}) }, Math.min(LONGEST_TIMER_MS, Math.max(0, untilMs) + (this.#peer.polite ? POLITE_MS : 0)))
  }

  /** The socket is gone. Where the path is too, it was the network: another path is looked for afterwards, even if this one works again. */
  suspend (): void {
    if (this.#state === 'reconnecting') this.#wantsRestart = true
  }

  /** The socket is back. `hasMoved`: over another network, perhaps; `isAnother`: in another session. */
  resume (hasMoved: boolean, isAnother: boolean): void {
    const isWell = this.pc.connectionState === 'connected'
    if (isAnother && !isWell) return this.begin(true)
    if (isAnother) this.#negotiation.repeat()
    if (hasMoved || this.#wantsRestart || this.pc.iceConnectionState === 'disconnected' || this.#state === 'failed') this.restart()
  }

  /** Anew, with the tracks and channels of before. `mayOffer`: or the other side is about to. */
  begin (mayOffer: boolean): void {
    clearTimeout(this.#timer)
    this.#negotiation.close()
    this.#negotiation = this.#begin(mayOffer)
    for (const [track, sent] of this.#tracks) sent.sender = this.pc.addTrack(track, ...sent.streams)
    for (const channel of this.#channels.values()) channel.open(this.pc)
    this.#show(this.#wasConnected ? 'reconnecting' : 'connecting')
  }

  /** The credentials of the relay are about to expire; that matters only where one is used, and they are. */
  async #refresh (): Promise<void> {
    const isSame = this.#negotiation.user === this.#aging
    this.#aging = undefined
    if (isSame && readPath(await this.pc.getStats())?.kind === 'relay') this.restart()
  }

  #begin (mayOffer: boolean): Negotiation {
    const { create, send } = this.#needs
    const connection = create(this.#configuration())
    connection.onconnectionstatechange = () => this.#follow(connection.connectionState)
    connection.ontrack = ({ track, streams }) => this.#events.emit('track', { track, streams })
    connection.ondatachannel = ({ channel }) => this.#takeChannel(channel)
    const onError = (error: unknown): void => this.#events.emit('error', new TurnpikeClientError('negotiation-failed', String(error), 'backoff', error))
    return new Negotiation({ connection, polite: this.#peer.polite, mayOffer, send, onError })
  }

  #configuration (): RTCConfiguration {
    return { iceServers: this.#needs.iceServers(), iceTransportPolicy: this.#relayOnly ? 'relay' : 'all', bundlePolicy: 'max-bundle' }
  }

  #takeChannel (theirs: RTCDataChannel): void {
    const known = this.#channels.get(theirs.label)
    if (known !== undefined) return known.take(theirs)
    const channel = new ManagedChannel(theirs.label, undefined)
    this.#channels.set(theirs.label, channel)
    this.#events.emit('channel', channel)
    channel.take(theirs)
  }

  #follow (state: RTCPeerConnectionState): void {
    clearTimeout(this.#timer)
    if (state === 'connected') {
      this.#wasConnected = true
      this.#restarts = 0
      this.#show('connected')
    } else if (state === 'disconnected' || state === 'failed') {
      this.#before = null
      this.#needs.onTrouble()
      if (state === 'failed' && this.#restarts >= (this.#wasConnected ? MOST_RESTARTS_ONCE_CONNECTED : MOST_RESTARTS)) return this.#show('failed')
      if (this.#wasConnected) this.#show('reconnecting')
      if (state === 'failed') this.#restarts++
      // One side is enough, and the impolite one's offer wins anyway.
      this.#timer = setTimeout(() => this.#restart(), (state === 'failed' ? 0 : LOST_MS) + (this.#peer.polite ? POLITE_MS : 0))
    }
  }

  /** Without a socket nobody hears of it: then as soon as there is one. */
  #restart (): void {
    clearTimeout(this.#timer)
    if (this.#state === 'closed') return
    this.#wantsRestart = !this.#needs.isOnline()
    if (this.#wantsRestart) return
    if (this.#state === 'failed') this.#show(this.#wasConnected ? 'reconnecting' : 'connecting')
    this.pc.restartIce()
  }

  #show (state: ConnectionState): void {
    if (state === this.#state) return
    this.#state = state
    this.#events.emit('state', state)
  }
}
