/** All sessions of this server: how they come, go, come back and end, and what their frames do. */
import { isUtf8 } from 'node:buffer'
import type { Config } from '../config/schema.ts'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { closeCodeOf, errorEntry, isTurnpikeError, TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import type { IceServer } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import { Administration, type AdministrationNeeds } from './administration.ts'
import { Attachment, type AttachmentNeeds, type SocketEvents } from './attachment.ts'
import { Carrier } from './carrier.ts'
import { closeLabel, isFinal, leaveReasonOf, saidByPeer } from './close-codes.ts'
import type { Requests } from './dialect.ts'
import { readEnvelope, type Envelope } from './envelope.ts'
import { handleFrame, rateLimited, refOf } from './handlers.ts'
import { Limits, type ProjectQuotas } from './limits.ts'
import { Rooms, type RoomEvent } from './rooms.ts'
import { forgetSavedSession, saveSessions } from './saved-sessions.ts'
import type { Session, SessionHooks } from './session.ts'
import type { Socket } from './socket.ts'
import { Tending } from './tending.ts'
import { Topics } from './topics.ts'
import { Waiting } from './waiting.ts'

export type HubNeeds = {
  limits: Config['signaling']
  metrics: Pick<Metrics, 'add' | 'set' | 'observe'>
  log: Log
  store: Store
  nowSeconds: () => number
  /** What a project may have at most, beside the limits of the server; the same object for as long as nothing of it changes. */
  limitsOf: (project: string) => ProjectQuotas | null
  /** What lives in a project that is switched off is ended. */
  isEnabled: (project: string) => boolean
  /** Null while no relay is ready. */
  iceServersFor: (peer: { project: string, room: string, peer: string, session: string, keyId: string | null }) => { iceServers: IceServer[], expiresAtSeconds: number } | null
  /** Something has happened that the application may want to know of; never waits. */
  announce: (project: string, event: RoomEvent) => void
  onKicked: AdministrationNeeds['onKicked']
}

const LOOK_MS = 1000
/** While a server drains, so many sockets are closed in a millisecond at most: their clients all come back at once. */
const CLOSES_PER_MS = 1

export class Hub {
  readonly sessions = new Map<string, Session>()
  readonly limits: Limits
  readonly rooms: Rooms
  readonly topics: Topics
  readonly administration: Administration
  readonly carrier: Carrier
  readonly tending: Tending
  readonly hooks: SessionHooks
  readonly #needs: HubNeeds
  readonly #events: AttachmentNeeds
  readonly #ofDialects: Requests<Session>
  /** What a frame that came too fast can ask for: to be told whom it did not reach. */
  readonly #ofTooFast: Requests<Session>
  readonly #delivered = new Map<string, number>()
  readonly #waiting: Waiting
  #isStopping = false
  #isSaved = false
  #timer: NodeJS.Timeout | undefined

  constructor (needs: HubNeeds) {
    const { limits, metrics, nowSeconds, iceServersFor } = needs
    this.#needs = needs
    this.limits = new Limits(limits, needs.limitsOf)
    this.#waiting = new Waiting(limits.waitingBytes, this.sessions)
    this.hooks = { onEnd: this.#ended, onDetach: session => this.#countSocket(session, -1), onError: this.countError, onWaiting: change => this.#waiting.add(change), onClosing: this.#ends }
    this.#events = { receive: this.#receive, heard: session => this.tending.heard(session), closed: this.#closed, gone: socket => this.#waiting.gone(socket) }
    this.rooms = new Rooms({ limits: this.limits, socketsPerAddress: limits.socketsPerAddress, metrics, nowSeconds, announce: needs.announce, watch: change => this.topics.changed(change) })
    this.topics = new Topics({ rooms: this.rooms, limits: this.limits, store: needs.store, nowSeconds })
    this.administration = new Administration({ rooms: this.rooms, topics: this.topics, limits: this.limits, capacities: limits, store: needs.store, announce: needs.announce, onKicked: needs.onKicked })
    this.carrier = new Carrier({ countSignals: this.#countSignals, hasRoom: size => this.#waiting.hasRoomForMail(size), onWaiting: change => this.#waiting.addMail(change) })
    const { carrier } = this
    this.#ofDialects = { signal: (...said) => carrier.signalOrTell(...said), update: (from, metadata) => carrier.update(from, metadata), leave: from => carrier.leave(from) }
    this.#ofTooFast = {
      ...this.#ofDialects,
      signal: (from, to, _signal, ref) => from.tell({ type: 'error', ref, code: 'rate-limited', message: rateLimited(from).message, to }),
      update: from => { throw rateLimited(from) },
    }
    this.tending = new Tending({
      ...limits,
      ...{ sessions: this.sessions, rooms: this.rooms, carrier: this.carrier, metrics, nowSeconds, countError: this.countError },
      isEnabled: needs.isEnabled,
      iceServersFor: ({ id, project, grant, info }) => iceServersFor({ project, room: grant.room, peer: info.id, session: id, keyId: grant.keyId }),
    })
  }

  start (): void {
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** Throws shutting-down, or server-full. */
  requireOpen (): void {
    if (this.#isStopping) throw new TurnpikeError('shutting-down', 'no new peers are taken')
    if (!this.#waiting.hasRoom(0)) throw new TurnpikeError('server-full', 'too much waits to be delivered')
  }

  eventsOf (session: Session, socket: Socket): SocketEvents {
    return new Attachment(session, socket, this.#events)
  }

  /** A new session, over a socket. */
  join (session: Session): void {
    const { grant } = session
    const namesake = this.rooms.find(grant.project, grant.room)?.find(grant.peer)
    namesake?.endWith('replaced', 'a newer connection took this peer over')
    this.sessions.set(session.id, session)
    session.sinceSeconds = this.#needs.nowSeconds()
    this.#countSocket(session, 1)
    this.rooms.enter(session, false)
    this.#needs.metrics.add('turnpike_signaling_joins_total', { project: grant.project })
    this.#welcome(session, false)
    this.carrier.deliverMail(session)
    this.#needs.log.debug({ session: session.id, project: grant.project, room: grant.room, peer: grant.peer }, 'a peer joined')
  }

  /** A session of the process before. */
  takeBack (session: Session): void {
    this.sessions.set(session.id, session)
    session.detachedAtMs = performance.now()
    this.rooms.enter(session, true)
  }

  resume (session: Session, socket: Socket, ack: number, remoteAddress: string): void {
    session.acknowledge(ack)
    // Before it has the new socket: what it is told comes there with the replay, behind the welcome.
    session.room?.presence.catchUp(session)
    if (session.hasEnded) throw new TurnpikeError('session-unknown', 'more was sent to it than is kept')
    if (session.socket !== null) this.#countSocket(session, -1)
    session.attach(socket, remoteAddress, performance.now())
    this.#countSocket(session, 1)
    session.receipts.allowRepeats()
    this.#welcome(session, true)
    session.replay()
    this.#needs.metrics.add('turnpike_signaling_resumes_total', { result: 'resumed' })
  }

  /** Tells everybody, closes one socket after another, and writes down what the next process is to go on with. */
  async stop (deadlineMs: number): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#timer)
    const endsAtMs = performance.now() + deadlineMs * 0.6
    const attached = [...this.sessions.values()].filter(({ socket }) => socket !== null)
    for (const session of attached) session.tell({ type: 'draining', reconnect: 'now', deadline: this.#needs.nowSeconds() + Math.ceil(deadlineMs / 1000) })
    for (let i = 0; i < attached.length; i++) {
      attached[i]?.loseSocket(closeCodeOf('draining'), errorEntry('draining').title)
      if (i % 10 === 9 && performance.now() < endsAtMs) await new Promise(resolve => setTimeout(resolve, 10 / CLOSES_PER_MS))
    }
    const closedBy = performance.now() + Math.min(500, deadlineMs / 5)
    while (this.#waiting.closingCount > 0 && performance.now() < closedBy) await new Promise(resolve => setTimeout(resolve, 10))
    this.#waiting.terminateClosing()
    for (const session of [...this.sessions.values()]) session.room?.presence.catchUp(session)
    saveSessions(this.#needs.store, this.sessions.values(), this.#needs.nowSeconds(), this.#needs.log)
    // The API answers for a moment yet, and may end some of them.
    this.#isSaved = true
    for (const room of this.rooms) room.presence.close()
    this.#flushCounts()
  }

  readonly countError = (code: ErrorCode): void => {
    this.#needs.metrics.add('turnpike_signaling_errors_total', { code })
  }

  #welcome (session: Session, resumed: boolean): void {
    const { room, receipts } = session
    if (room === null) return
    const ice = this.tending.issueIce(session)
    session.tell({
      ...{ type: 'welcome', session: session.id, resume: session.secret.renew(session.id), self: session.info },
      room: { id: room.id, capacity: room.capacity, kind: room.kind, metadata: room.metadata },
      peers: room.viewOf(session),
      iceServers: ice?.iceServers ?? [],
      iceExpiresAt: ice?.expiresAtSeconds ?? null,
      ...{ heartbeat: this.#needs.limits.heartbeatSeconds, grace: this.#needs.limits.graceSeconds },
      ...{ resumed, accepted: receipts.accepted, delivered: receipts.tellDelivered() },
    })
  }

  /** One function for all peers. */
  readonly #receive = (session: Session, data: Buffer, isBinary: boolean, isLimited: boolean): void => {
    if (isBinary && session.dialect?.takesBinary !== true) return session.endWith('frame-binary', 'the frame is binary')
    // Of text the socket itself has seen to that (RFC 6455 §8.1).
    if (isBinary && !isUtf8(data)) return session.endWith('frame-not-json', 'the frame is not encoded as UTF-8')
    if (data.length > session.limits.messageBytes * (session.dialect?.inflation ?? 1)) return session.endWith('frame-too-large', `a frame may have ${session.limits.messageBytes} bytes`)
    if (session.dialect === null) this.#receiveNative(session, data.toString('utf8'), isLimited)
    else this.#receiveDialect(session, data.toString('utf8'), isLimited)
  }

  #receiveNative (session: Session, text: string, isLimited: boolean): void {
    session.secret.confirm()
    let envelope: Envelope
    try {
      envelope = readEnvelope(text)
    } catch (error) {
      return session.endWith('frame-not-json', (error as Error).message)
    }
    try {
      handleFrame(session, envelope, this.carrier, isLimited)
    } catch (error) {
      if (isTurnpikeError(error)) session.tell({ type: 'error', ref: refOf(envelope), code: error.code, message: error.message, to: null })
      else this.#failed(session, error)
    }
  }

  #receiveDialect (session: Session, text: string, isLimited: boolean): void {
    const tell = (code: ErrorCode, message: string): void => session.tell({ type: 'error', ref: null, code, message, to: null })
    try {
      session.dialect?.receive(session, text, (isLimited ? this.#ofTooFast : this.#ofDialects) as Requests)
    } catch (error) {
      if (isTurnpikeError(error) && errorEntry(error.code).close !== undefined) session.endWith(error.code, error.message)
      else if (isTurnpikeError(error)) tell(error.code, error.message)
      else this.#failed(session, error)
    }
  }

  /** Whatever one peer sends may end its own session, and nobody else's. */
  #failed (session: Session, error: unknown): void {
    this.#needs.log.error({ session: session.id, project: session.project, err: error }, 'a frame failed on our side')
    session.endWith('internal', 'the frame could not be carried out')
  }

  readonly #closed = (session: Session, code: number): void => {
    // The socket itself refuses such a frame, before it has read it.
    if (code === closeCodeOf('frame-too-large')) this.countError('frame-too-large')
    this.#countClose(code)
    session.detach(saidByPeer(code), isFinal(code) || this.#needs.limits.graceSeconds === 0)
  }

  readonly #ended = (session: Session, code: number): void => {
    if (!this.sessions.delete(session.id)) return
    if (this.#isSaved) forgetSavedSession(this.#needs.store, session.id, this.#needs.log)
    this.tending.forget(session)
    if (session.detachedAtMs === null) this.#countSocket(session, -1)
    this.carrier.returnMail(session.room?.mailbox.takeFrom(session) ?? [])
    this.rooms.leave(session, leaveReasonOf(code))
    this.#needs.log.debug({ session: session.id, project: session.project, peer: session.info.id, code }, 'a peer left')
  }

  readonly #ends = (socket: Socket | null, code: number): void => {
    if (socket !== null) this.#waiting.closing(socket)
    this.#countClose(code)
  }

  #countClose (code: number): void {
    this.#needs.metrics.add('turnpike_signaling_closes_total', { code: closeLabel(code) })
  }

  #countSocket (session: Session, amount: 1 | -1): void {
    this.rooms.countSocket(session.project, session.remoteAddress, amount)
  }

  readonly #countSignals = (project: string, count: number): void => {
    this.#delivered.set(project, (this.#delivered.get(project) ?? 0) + count)
  }

  #look (): void {
    for (const look of [() => this.tending.look(), () => this.#waiting.look(), () => this.topics.look()]) {
      try {
        look()
      } catch (error) {
        this.#needs.log.error({ err: error }, 'a look at the sessions failed; the next is in a second')
      }
    }
    this.#flushCounts()
  }

  /** Counted here and handed on once a second: a labelled counter costs more than carrying the frame. */
  #flushCounts (): void {
    for (const [project, count] of this.#delivered) this.#needs.metrics.add('turnpike_signaling_signals_total', { project }, count)
    this.#delivered.clear()
    this.#needs.metrics.set('turnpike_signaling_waiting_bytes', {}, this.#waiting.total)
  }
}
