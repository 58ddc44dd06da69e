/** One peer's presence in a room, over one socket after another: what it is sent is numbered, kept until it is acknowledged, and bounded. */
import { closeCodeOf, errorEntry, type ErrorCode } from '../protocol/errors.ts'
import type { Metadata, PeerInfo, PeerView, RoomKind } from '../protocol/frames.ts'
import type { Dialect, Happening, Signal, Speaker } from './dialect.ts'
import type { SignalGrant } from './grant.ts'
import type { ProjectLimits } from './limits.ts'
import { nativeTail, plainFrame } from './native.ts'
import { Outbox, type Receipt, type SessionState } from './outbox.ts'
import type { RateBucket } from './rate.ts'
import { Receipts } from './receipts.ts'
import { ResumeSecret } from './resume-secret.ts'
import type { Socket } from './socket.ts'

/** A signal that waits for somebody who is not there yet. */
export type Mail = { from: Session, to: string, signal: Signal, ref: number | null, untilMs: number }
/** The room as its members see it. */
export type Members = {
  readonly id: string
  readonly kind: RoomKind
  readonly capacity: number
  readonly metadata: Metadata
  readonly presence: { catchUp (member: Session): void }
  readonly mailbox: Iterable<Mail> & { put (mail: Mail): boolean, take (peer: string): Mail[], takeFrom (sender: Session): Mail[] }
  find (peer: string): Session | undefined
  others (self: Session): Iterable<Session>
  sees (viewer: Session, other: Session): boolean
  viewOf (self: Session): PeerView[]
  update (self: Session): void
}

/** What all sessions have in common. */
export type SessionHooks = {
  /** The session is over: with this close code, where it has ended a socket. */
  onEnd (session: Session, code: number): void
  /** The socket is gone and the session goes on without one. */
  onDetach (session: Session): void
  onError (code: ErrorCode): void
  /** So many more characters (or less) wait for a peer. */
  onWaiting (change: number): void
  /** We end a socket with this code: it counts as this server's until the other side has agreed; null where it is not asked. */
  onClosing (socket: Socket | null, code: number): void
}
export type SessionNeeds = { id: string, dialect: Dialect | null, grant: SignalGrant, limits: ProjectLimits, bucket: RateBucket, joinedAs: number, acknowledges: boolean, hooks: SessionHooks, saved?: SessionState }

export class Session implements Speaker {
  info: PeerInfo
  form: string | null = null
  room: Members | null = null
  /** The change of presence in its room that it is told next, and the one that told of itself. */
  presenceCursor = 0
  enteredAt = 0
  /** Unix seconds: when its ICE servers end (null while none could be issued), when they were issued, when the last ends that it was ever given (0: none), when it joined. */
  iceExpiresAt: number | null = null
  iceIssuedAt = 0
  credentialsUntil = 0
  sinceSeconds = 0
  /** When the socket last said anything, when it was last sent a ping, and when one that is not answered (ms of the monotonic clock); its last round trip (ms). */
  lastHeardMs = 0
  lastPingMs = 0
  pingedAtMs: number | null = null
  roundTripMs: number | null = null
  /** Without a socket since, ms of the monotonic clock; null while there is one. */
  detachedAtMs: number | null = null
  remoteAddress = ''
  readonly receipts: Receipts
  readonly secret: ResumeSecret
  readonly #needs: SessionNeeds
  readonly #outbox: Outbox
  #socket: Socket | null = null
  #acknowledges: boolean
  /** Nothing is kept: it acknowledges nothing, and more than may be kept was sent. */
  #isForgetful = false
  /** The last number that was written to a socket. */
  #written = 0
  #counted = 0
  /** What its welcome takes, which may be more than else may wait, until it is written. */
  #allowed = 0
  #ended = false

  constructor (needs: SessionNeeds) {
    const { grant, saved, acknowledges, dialect } = needs
    this.#needs = needs
    this.info = { id: grant.peer, role: grant.role, metadata: grant.metadata }
    this.#acknowledges = acknowledges
    this.#isForgetful = dialect !== null
    this.#outbox = new Outbox((saved?.seq ?? 0) - (saved?.frames.length ?? 0))
    this.receipts = new Receipts(saved?.accepted ?? -1)
    this.secret = new ResumeSecret(saved?.resume)
    if (acknowledges) this.receipts.follow()
  }

  get id (): string { return this.#needs.id }
  get grant (): SignalGrant { return this.#needs.grant }
  get project (): string { return this.#needs.grant.project }
  get dialect (): Dialect | null { return this.#needs.dialect }
  get limits (): ProjectLimits { return this.#needs.limits }
  get bucket (): RateBucket { return this.#needs.bucket }
  /** Grows from join to join: the lower one of two was there first. */
  get joinedAs (): number { return this.#needs.joinedAs }
  get socket (): Socket | null { return this.#socket }
  get hasEnded (): boolean { return this.#ended }
  /** Characters and bytes that wait for it, as they were last counted. */
  get waiting (): number { return this.#counted }
  get canResume (): boolean { return !this.#ended && !this.#isForgetful }

  /** How another session sees this one. `polite` is the other's part: who was there first yields. */
  seenBy (other: Session): PeerView {
    return { ...this.info, polite: other.joinedAs < this.joinedAs }
  }

  /** It speaks over this socket from now on; what it had before is closed. */
  attach (socket: Socket, remoteAddress: string, nowMs: number): void {
    const before = this.#socket
    this.#socket = socket
    this.remoteAddress = remoteAddress
    this.lastHeardMs = nowMs
    this.lastPingMs = nowMs
    this.pingedAtMs = null
    this.detachedAtMs = null
    if (before !== null) this.#close(before, 4001, errorEntry('replaced').title)
  }

  /** What was not acknowledged, once more. */
  replay (): void {
    for (const { text } of this.#outbox.kept()) this.#write(text)
    this.#written = this.#outbox.seq
  }

  /** A signal in the words of its protocol: the whole frame of a dialect, all behind the number of a native one. `isUrgent`: it is for this one alone. */
  deliver (frame: string, receipt: Receipt | null, isUrgent: boolean): void {
    if (this.#needs.dialect === null) return this.#number(`{"type":"signal","seq":${this.#outbox.seq + 1}${frame}`, receipt, isUrgent)
    this.#write(frame, isUrgent)
    receipt?.sender.settle(receipt.cid)
  }

  tell (happening: Happening): void {
    if (happening.type === 'error') this.#needs.hooks.onError(happening.code)
    const { dialect } = this.#needs
    if (dialect !== null) {
      for (const text of dialect.tell(happening, this)) this.#write(text)
      return
    }
    const tail = nativeTail(happening)
    if (tail !== null) return this.tellNumbered(happening.type, tail)
    const text = plainFrame(happening)
    if (happening.type === 'welcome') this.#allowed = Buffer.byteLength(text)
    this.#write(text)
  }

  /** The same for a frame whose rest was written before: many are told the same. */
  tellNumbered (type: Happening['type'], tail: string): void {
    this.#number(`{"type":"${type}","seq":${this.#outbox.seq + 1}${tail}`, null)
  }

  /** The client has processed everything up to here. Returns whether that was news; null where there is no such number. */
  acknowledge (seq: number): boolean | null {
    if (seq > this.#outbox.seq) return null
    const kept = this.#outbox.length
    if (!this.#acknowledges && !this.#isForgetful) {
      this.#acknowledges = true
      this.receipts.follow()
    }
    this.#outbox.acknowledge(seq)
    this.#count()
    return this.#outbox.length < kept
  }

  settle (cid: number): void { this.receipts.settle(cid) }

  /** A frame that had been accepted did not arrive. */
  undelivered (cid: number, to: string): void {
    if (!this.#ended) this.tell({ type: 'error', ref: cid, code: 'signal-undelivered', message: `${JSON.stringify(to).slice(0, 140)} was gone before it had acknowledged this`, to })
    this.receipts.settle(cid)
  }

  updateMetadata (metadata: Metadata): void { this.info = { ...this.info, metadata } }

  /** Says why, closes with the error's code, and is out of the room at once. */
  endWith (code: ErrorCode, message: string): void {
    if (this.#ended) return
    // Whoever does not read is not told more.
    if (code === 'unacknowledged' || code === 'server-full') this.#needs.hooks.onError(code)
    else this.tell({ type: 'error', ref: null, code, message, to: null })
    this.end(closeCodeOf(code), errorEntry(code).title)
  }

  /** Over for good; a socket that is there is closed. */
  end (code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#socket !== null) this.#close(this.#socket, code, reason)
    this.#socket = null
    this.#giveUpKept()
    this.#needs.hooks.onEnd(this, code)
  }

  /** The socket is to be closed with this code; the session waits for another one. */
  loseSocket (code: number, reason: string): void {
    if (this.#socket !== null) this.#close(this.#socket, code, reason)
    this.detach(code)
  }

  /** Nobody is at the other end of the socket. */
  dropSocket (code: number): void {
    this.#needs.hooks.onClosing(null, code)
    this.#socket?.terminate()
    this.detach(code)
  }

  /** The socket is gone, and the session with it where that was meant. */
  detach (code: number, isMeant = false): void {
    if (this.#ended) return
    this.#socket = null
    this.#count()
    if (isMeant || this.#isForgetful) return this.end(code, 'lost')
    this.detachedAtMs ??= performance.now()
    this.#needs.hooks.onDetach(this)
  }

  /** For the time in which there is no process. */
  state (): SessionState {
    const frames = [...this.#outbox.kept()].map(({ text, receipt }) => ({ text, sender: receipt === null ? null : (receipt.sender as Session).id, cid: receipt?.cid ?? 0 }))
    return { seq: this.#outbox.seq, acknowledged: this.#acknowledges, accepted: this.receipts.accepted, frames, resume: this.secret.saved }
  }

  /** Takes up what was kept before there was this process; a sender that is not there any more hears of nothing. */
  restore (frames: SessionState['frames'], find: (id: string) => Session | undefined): void {
    for (const { text, sender, cid } of frames) {
      const from = sender === null ? undefined : find(sender)
      from?.receipts.expect(cid)
      this.#outbox.seq++
      this.#outbox.keep(text, from === undefined ? null : { sender: from, cid })
    }
    this.#count()
  }

  #number (text: string, receipt: Receipt | null, isUrgent = false): void {
    if (this.#ended) return receipt?.sender.undelivered(receipt.cid, this.info.id)
    this.#outbox.seq++
    if (this.#isForgetful) receipt?.sender.settle(receipt.cid)
    else this.#outbox.keep(text, receipt)
    if (this.#socket !== null) this.#written = this.#outbox.seq
    this.#write(text, isUrgent)
    if (!this.#isForgetful) this.#bound()
  }

  #write (text: string, isUrgent = false): void {
    this.#socket?.send(text, isUrgent)
    const buffered = this.#socket?.bufferedBytes() ?? 0
    if (buffered === 0 && this.#isForgetful && this.#counted === 0) return
    if (buffered === 0) this.#allowed = 0
    if (buffered > this.#needs.limits.outboxBytes + this.#allowed) {
      this.#needs.hooks.onError('too-slow')
      this.loseSocket(closeCodeOf('too-slow'), errorEntry('too-slow').title)
    } else this.#count()
  }

  #bound (): void {
    const { unackedBytes, unackedFrames } = this.#needs.limits
    if ((this.#outbox.size > unackedBytes || this.#outbox.length > unackedFrames) && !this.forget()) this.endWith('unacknowledged', '')
  }

  /** Keeps nothing from now on, if it never acknowledged anything: it is none that comes back, and what was written is all that can be done. */
  forget (): boolean {
    if (this.#acknowledges || this.#socket === null) return false
    this.#isForgetful = true
    this.#giveUpKept()
    return true
  }

  /** Nothing is kept any more: whose signals were not acknowledged, or never written, is told. */
  #giveUpKept (): void {
    const kept = [...this.#outbox.kept()]
    this.#outbox.clear()
    this.#count()
    for (const { seq, receipt } of kept) {
      if (receipt === null) continue
      if (this.#acknowledges || seq > this.#written) receipt.sender.undelivered(receipt.cid, this.info.id)
      else receipt.sender.settle(receipt.cid)
    }
  }

  #count (): void {
    const waiting = Math.max(this.#outbox.size, this.#socket?.bufferedBytes() ?? 0)
    if (waiting === this.#counted) return
    const change = waiting - this.#counted
    this.#counted = waiting
    this.#needs.hooks.onWaiting(change)
  }

  /** Told of what waits, now that some of it has left. */
  recount (): void {
    if (this.#counted > 0) this.#count()
  }

  #close (socket: Socket, code: number, reason: string): void {
    this.#needs.hooks.onClosing(socket, code)
    socket.close(code, reason)
  }
}
