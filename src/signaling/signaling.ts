/** The door of signaling: peers attach with a grant, are put in rooms, and what they say is carried. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { errorEntry, isTurnpikeError, TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import type { IceServer, LeaveReason, PeerInfo } from '../protocol/frames.ts'
import { readEnvelope, type Envelope } from './envelope.ts'
import { handleFrame, refOf } from './handlers.ts'
import { RateBucket } from './rate.ts'
import { Rooms, type ProjectLimits } from './rooms.ts'
import { Session, type Permissions, type Socket } from './session.ts'

export type { Socket }
export type SignalGrant = { project: string, room: string, peer: string, role: string | null, metadata: PeerInfo['metadata'], capacity: number, takeover: boolean, permissions: Permissions, /** The API key that asked for the token, where one did. */ keyId: string | null }
export type SocketEvents = { onMessage (data: Buffer, isBinary: boolean): void, onPong (): void, onClose (code: number): void }
export type SignalingNeeds = {
  limits: Config['signaling']
  metrics: Pick<Metrics, 'add' | 'set'>
  log: Log
  nowSeconds: () => number
  /** What a project may have at most, beside the limits of the server. */
  limitsOf: (project: string) => ProjectLimits
  /** Null while no relay is ready. */
  iceServersFor: (peer: { project: string, room: string, peer: string, keyId: string | null }) => { iceServers: IceServer[], expiresAtSeconds: number } | null
}
export type Signaling = Part & {
  /** Other relays are to be used than those that peers know: each is given new ICE servers, one after another. */
  renewIceServers (): void
  /** Throws what joining with this grant from this address would be refused with now. */
  admit (grant: SignalGrant, remoteAddress: string): void
  /** Puts a peer whose socket is open in its room; the socket's events are to be handed to what this returns. */
  attach (socket: Socket, grant: SignalGrant, remoteAddress: string): SocketEvents
}

const SWEEP_MS = 1000
/** In a second: a room of thousands is not renewed at once. */
const MOST_RENEWALS = 1000
/** Two pings without an answer. */
const MOST_UNANSWERED = 2

export function createSignaling (needs: SignalingNeeds): Signaling {
  return new Hub(needs)
}

/** The events of one socket: an object, because closures for each of 5,000 idle peers would be most of what a peer costs. */
class Attachment implements SocketEvents {
  readonly #session: Session
  readonly #socket: Socket
  readonly #receive: (session: Session, data: Buffer, isBinary: boolean) => void
  readonly #closing: Set<Socket>

  constructor (session: Session, socket: Socket, receive: (session: Session, data: Buffer, isBinary: boolean) => void, closing: Set<Socket>) {
    this.#session = session
    this.#socket = socket
    this.#receive = receive
    this.#closing = closing
  }

  onMessage (data: Buffer, isBinary: boolean): void {
    this.#receive(this.#session, data, isBinary)
  }

  onPong (): void {
    this.#session.pingsUnanswered = 0
  }

  onClose (code: number): void {
    this.#closing.delete(this.#socket)
    this.#session.drop(code)
  }
}

class Hub implements Signaling {
  readonly name = 'signaling'
  readonly #needs: SignalingNeeds
  readonly #rooms: Rooms
  readonly #sessions = new Set<Session>()
  /** Closing handshakes under way: their sockets still count as this server's. */
  readonly #closing = new Set<Socket>()
  readonly #delivered = new Map<string, number>()
  /** Who is to be given new ICE servers before its time. */
  readonly #renewals = new Set<Session>()
  #joins = 0
  #stopping = false
  #sweep: NodeJS.Timeout | undefined
  #heartbeat: NodeJS.Timeout | undefined

  constructor (needs: SignalingNeeds) {
    this.#needs = needs
    this.#rooms = new Rooms(needs.limits, needs.limitsOf, needs.metrics)
  }

  async start (): Promise<void> {
    this.#sweep = setInterval(() => this.#tend(), SWEEP_MS)
    this.#heartbeat = setInterval(() => this.#pingAll(), this.#needs.limits.heartbeatSeconds * 1000)
  }

  async stop (deadlineMs: number): Promise<void> {
    this.#stopping = true
    clearInterval(this.#sweep)
    clearInterval(this.#heartbeat)
    const deadline = this.#needs.nowSeconds() + Math.ceil(deadlineMs / 1000)
    for (const session of [...this.#sessions]) {
      session.send({ type: 'draining', reconnect: 'now', deadline })
      session.end(1001, 'going away')
    }
    const endsAt = performance.now() + Math.min(500, deadlineMs / 2)
    while (this.#closing.size > 0 && performance.now() < endsAt) await new Promise(resolve => setTimeout(resolve, 10))
    this.#closing.forEach(socket => socket.terminate())
    this.#flushCounts()
  }

  admit (grant: SignalGrant, remoteAddress: string): void {
    try {
      if (this.#stopping) throw new TurnpikeError('shutting-down', 'no new peers are taken')
      this.#rooms.check(grant, remoteAddress)
    } catch (error) {
      if (isTurnpikeError(error)) this.#countError(error.code)
      throw error
    }
  }

  attach (socket: Socket, grant: SignalGrant, remoteAddress: string): SocketEvents {
    const session = this.#open(socket, grant, remoteAddress)
    try {
      // Between the check before the upgrade and now, somebody else can have been faster.
      this.#rooms.check(grant, remoteAddress)
      this.#enter(session, grant, remoteAddress)
    } catch (error) {
      if (!isTurnpikeError(error)) throw error
      const { close, retry } = errorEntry(error.code)
      session.sendError(error.code, error.message, null)
      session.end(close ?? (retry === 'never' ? 4000 : 4100), error.code)
    }
    return new Attachment(session, socket, this.#receive, this.#closing)
  }

  #open (socket: Socket, grant: SignalGrant, remoteAddress: string): Session {
    const { limits } = this.#needs
    const bucket = new RateBucket(limits.signalsPerSecond, limits.signalsBurst, performance.now())
    return new Session({
      id: `s_${randomBytes(9).toString('base64url')}`,
      socket,
      project: grant.project,
      info: { id: grant.peer, role: grant.role, metadata: grant.metadata },
      permissions: grant.permissions,
      keyId: grant.keyId,
      roomId: grant.room,
      bucket,
      outboxBytes: limits.outboxBytes,
      joinedAs: this.#joins++,
      remoteAddress,
      onError: this.#countError,
      onEnd: this.#left,
    })
  }

  #enter (session: Session, grant: SignalGrant, remoteAddress: string): void {
    const { limits, log } = this.#needs
    this.#rooms.findMember(grant)?.endWith('replaced', 'a newer connection took this peer over')
    this.#sessions.add(session)
    const { room, peers } = this.#rooms.enter(session, grant, remoteAddress)
    this.#needs.metrics.add('turnpike_signaling_joins_total', { project: grant.project })
    const ice = this.#issueIce(session)
    session.send({
      type: 'welcome',
      session: session.id,
      self: session.info,
      room: { id: room.id, capacity: room.capacity, kind: room.kind },
      peers,
      iceServers: ice?.iceServers ?? [],
      iceExpiresAt: ice?.expiresAtSeconds ?? null,
      heartbeat: limits.heartbeatSeconds,
      grace: 0,
      resumed: false,
    })
    log.debug({ session: session.id, project: grant.project, room: grant.room, peer: grant.peer }, 'a peer joined')
  }

  readonly #left = (session: Session, code: number): void => {
    if (!this.#sessions.delete(session)) return
    this.#renewals.delete(session)
    this.#closing.add(session.socket)
    // The socket itself refuses such a frame, before it has read it.
    if (code === errorEntry('frame-too-large').close) this.#countError('frame-too-large')
    const reasons: Readonly<Record<number, LeaveReason>> = { 1000: 'left', 4001: 'replaced' }
    this.#rooms.leave(session, session.remoteAddress, reasons[code] ?? 'lost')
    this.#needs.metrics.add('turnpike_signaling_closes_total', { code: String(code) })
    this.#needs.log.debug({ session: session.id, project: session.project, peer: session.info.id, code }, 'a peer left')
  }

  /** One function for all peers. */
  readonly #receive = (session: Session, data: Buffer, isBinary: boolean): void => {
    if (session.hasEnded) return
    session.pingsUnanswered = 0
    const verdict = session.bucket.take(performance.now())
    if (verdict === 'flooding') return session.endWith('flooding', 'frames kept coming after rate-limited')
    if (isBinary) return session.endWith('frame-binary', 'the frame is binary')
    let envelope: Envelope
    try {
      envelope = readEnvelope(data.toString('utf8'))
    } catch (error) {
      return session.endWith('frame-not-json', (error as Error).message)
    }
    const { signalsPerSecond, signalsBurst, metadataBytes } = this.#needs.limits
    if (verdict === 'limited') return session.sendError('rate-limited', `${signalsPerSecond} frames a second, ${signalsBurst} at once; this one was not delivered`, refOf(envelope))
    try {
      handleFrame(session, envelope, { metadataBytes, countSignals: (project, count) => this.#delivered.set(project, (this.#delivered.get(project) ?? 0) + count) })
    } catch (error) {
      if (isTurnpikeError(error)) session.sendError(error.code, error.message, refOf(envelope))
      else this.#failed(session, error)
    }
  }

  /** Whatever one peer sends may end its own session, and nobody else's. */
  #failed (session: Session, error: unknown): void {
    this.#needs.log.error({ session: session.id, project: session.project, err: error }, 'a frame failed on our side')
    session.endWith('internal', 'the frame could not be carried out')
  }

  #issueIce (session: Session): ReturnType<SignalingNeeds['iceServersFor']> {
    const ice = this.#needs.iceServersFor({ project: session.project, room: session.roomId, peer: session.info.id, keyId: session.keyId })
    session.iceExpiresAt = ice?.expiresAtSeconds ?? null
    session.iceIssuedAt = this.#needs.nowSeconds()
    return ice
  }

  renewIceServers (): void {
    for (const session of this.#sessions) this.#renewals.add(session)
  }

  /** Once a second: ICE servers that have spent three quarters of their life are replaced, and those that could not be had are asked for again. */
  #tend (): void {
    const now = this.#needs.nowSeconds()
    let renewed = 0
    for (const session of this.#sessions) {
      const { iceExpiresAt, iceIssuedAt } = session
      const isDue = this.#renewals.has(session) && renewed++ < MOST_RENEWALS
      if (isDue) this.#renewals.delete(session)
      else if (iceExpiresAt !== null && now < iceIssuedAt + (iceExpiresAt - iceIssuedAt) * 0.75) continue
      const ice = this.#issueIce(session)
      if (ice !== null) session.sendIceServers(ice.iceServers, ice.expiresAtSeconds)
    }
    this.#flushCounts()
  }

  #pingAll (): void {
    for (const session of [...this.#sessions]) {
      if (session.pingsUnanswered < MOST_UNANSWERED) session.ping()
      else {
        this.#countError('heartbeat-lost')
        session.drop(errorEntry('heartbeat-lost').close ?? 1006)
      }
    }
  }

  /** Counted here and handed on once a second: a labelled counter costs more than carrying the frame. */
  #flushCounts (): void {
    for (const [project, count] of this.#delivered) this.#needs.metrics.add('turnpike_signaling_signals_total', { project }, count)
    this.#delivered.clear()
  }

  readonly #countError = (code: ErrorCode): void => {
    this.#needs.metrics.add('turnpike_signaling_errors_total', { code })
  }
}
