/** The door of signaling: peers attach with a grant, come back to their sessions, are put in rooms, and what they say is carried. */
import { randomBytes } from 'node:crypto'
import type { Part } from '../lifecycle.ts'
import { closeCodeOf, isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import type { Administration, Kicked, PeerReport, RoomReport, Write } from './administration.ts'
import type { SocketEvents } from './attachment.ts'
import type { SpokenName } from './dialect.ts'
import { DIALECT_TABLE } from './dialects/dialects.ts'
import { Hub, type HubNeeds } from './hub.ts'
import { RateBucket } from './rate.ts'
import { migrations } from './records.ts'
import type { RoomEvent } from './rooms.ts'
import { sessionOf } from './resume-secret.ts'
import { takeSavedSessions } from './saved-sessions.ts'
import type { SignalGrant } from './grant.ts'
import { Session } from './session.ts'
import type { Socket } from './socket.ts'
import type { FeedEvent } from './topic-feed.ts'
import type { TopicEntry, Topics } from './topics.ts'

export { migrations }
export type SignalingNeeds = HubNeeds
export type { FeedEvent, Kicked, PeerReport, RoomReport, TopicEntry, Write }
export type { RoomEvent, SignalGrant, Socket, SocketEvents }
/** How a socket speaks: in which protocol, and whether its client acknowledges (the number of its first frame; null: it may not). */
export type Speaking = { spoken: SpokenName, ack: number | null }
export type Signaling = Part & {
  /** Other relays are to be used than those that peers know: each is given new ICE servers, one after another. */
  renewIceServers (): void
  /** Throws what joining with this grant from this address would be refused with now. */
  admit (grant: SignalGrant, remoteAddress: string): void
  /** Puts a peer whose socket is open in its room; the socket's events are to be handed to what this returns. */
  attach (socket: Socket, grant: SignalGrant, remoteAddress: string, speaking: Speaking): SocketEvents
  /** Throws session-unknown, or shutting-down, where no session goes on with this secret. */
  requireSession (secret: string): void
  /** Goes on with a session over another socket. `ack`: the last frame that its client has processed. */
  resume (socket: Socket, secret: string, ack: number, remoteAddress: string): SocketEvents
  /** What the application's own server may see and do. */
  readonly rooms: Pick<Administration, 'list' | 'inspect' | 'propertiesOf' | 'make' | 'close' | 'kick' | 'say' | 'forgetProject'>
  readonly topics: Pick<Topics, 'list' | 'lease' | 'release' | 'watch'>
}

export function createSignaling (needs: SignalingNeeds): Signaling {
  return new Door(needs)
}

/** Of those that say: wait and connect again. */
const TRY_AGAIN = 4100

class Door implements Signaling {
  readonly name = 'signaling'
  readonly #needs: SignalingNeeds
  readonly #hub: Hub
  #joins = 0

  constructor (needs: SignalingNeeds) {
    this.#needs = needs
    this.#hub = new Hub(needs)
  }

  get rooms (): Signaling['rooms'] { return this.#hub.administration }
  get topics (): Signaling['topics'] { return this.#hub.topics }

  async start (): Promise<void> {
    this.#takeUp()
    this.#hub.start()
  }

  async stop (deadlineMs: number): Promise<void> {
    await this.#hub.stop(deadlineMs)
  }

  renewIceServers (): void {
    this.#hub.tending.renewAll()
  }

  admit (grant: SignalGrant, remoteAddress: string): void {
    try {
      this.#hub.requireOpen()
      this.#hub.rooms.check(grant, remoteAddress)
    } catch (error) {
      if (isTurnpikeError(error)) this.#hub.countError(error.code)
      throw error
    }
  }

  attach (socket: Socket, grant: SignalGrant, remoteAddress: string, { spoken, ack }: Speaking): SocketEvents {
    const hub = this.#hub
    const session = this.#make(grant, `s_${randomBytes(9).toString('base64url')}`, spoken, ack !== null)
    session.attach(socket, remoteAddress, performance.now())
    try {
      // Between the check before the upgrade and now, somebody else can have been faster.
      hub.requireOpen()
      hub.rooms.check(grant, remoteAddress)
      hub.join(session)
    } catch (error) {
      if (!isTurnpikeError(error)) throw error
      session.tell({ type: 'error', ref: null, code: error.code, message: error.message, to: null })
      session.end(closeCodeOf(error.code), error.code)
    }
    return hub.eventsOf(session, socket)
  }

  requireSession (secret: string): void {
    this.#hub.requireOpen()
    this.#find(secret)
  }

  resume (socket: Socket, secret: string, ack: number, remoteAddress: string): SocketEvents {
    try {
      const session = this.#find(secret)
      session.secret.use(secret)
      this.#hub.resume(session, socket, ack, remoteAddress)
      return this.#hub.eventsOf(session, socket)
    } catch (error) {
      if (!isTurnpikeError(error)) throw error
      // Its grace period ended between the check before the upgrade and now.
      socket.close(TRY_AGAIN, error.code)
      return { onMessage: () => true, onPing: () => true, onPong: () => true, onClose: () => {} }
    }
  }

  #find (secret: string): Session {
    const session = this.#hub.sessions.get(sessionOf(secret))
    if (session !== undefined && session.canResume && session.secret.isRight(secret)) return session
    this.#needs.metrics.add('turnpike_signaling_resumes_total', { result: 'unknown' })
    throw new TurnpikeError('session-unknown', 'the grace period is over, the server has lost it, or it never was')
  }

  #make (grant: SignalGrant, id: string, spoken: SpokenName, acknowledges: boolean): Session {
    const limits = this.#hub.limits.of(grant.project)
    const bucket = new RateBucket(limits.signalsPerSecond, limits.signalsBurst, performance.now())
    return new Session({ id, dialect: spoken === 'native' ? null : DIALECT_TABLE[spoken], grant, limits, bucket, joinedAs: this.#joins++, acknowledges, hooks: this.#hub.hooks })
  }

  /** Sessions that the process before has left: each has its place again, and the grace period to come back. */
  #takeUp (): void {
    const { store, nowSeconds, log } = this.#needs
    const saved = takeSavedSessions(store, nowSeconds())
    const hub = this.#hub
    for (const { id, grant, info, joinedAs, state, since, credentialsUntil } of saved) {
      const limits = hub.limits.of(grant.project)
      const bucket = new RateBucket(limits.signalsPerSecond, limits.signalsBurst, performance.now())
      const session = new Session({ id, dialect: null, grant, limits, bucket, joinedAs, acknowledges: state.acknowledged, hooks: hub.hooks, saved: state })
      session.updateMetadata(info.metadata)
      Object.assign(session, { sinceSeconds: since, credentialsUntil })
      hub.takeBack(session)
      this.#joins = Math.max(this.#joins, joinedAs + 1)
    }
    for (const { id, state } of saved) hub.sessions.get(id)?.restore(state.frames, sender => hub.sessions.get(sender))
    for (const { id, mail } of saved) {
      const sender = hub.sessions.get(id)
      for (const { to, signal, ref } of mail) if (sender !== undefined) hub.carrier.signalOrTell(sender, to, signal, ref)
    }
    for (const { id } of saved) hub.sessions.get(id)?.receipts.sort()
    if (saved.length > 0) log.info({ sessions: saved.length }, 'signaling sessions of the process before are taken up')
  }
}
