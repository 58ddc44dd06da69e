/** A session in a room over as many sockets as it takes: it resumes, acknowledges, and repeats what the server has not taken. */
import type { ServerFrame, Welcome } from '../protocol/frames.ts'
import type { JoinOptions } from './api.ts'
import { TurnpikeClientError } from './client-error.ts'
import { Line } from './line.ts'
import { Outbox, type OutboxNeeds, type Sendable, type Undelivered } from './outbox.ts'

export type SessionNeeds = {
  options: JoinOptions
  /** `lost`: what may not have arrived, where an earlier session is gone. `hasMoved`: over another network, perhaps. */
  onWelcome (welcome: Welcome, lost: Undelivered[] | null, hasMoved: boolean): void
  onFrame (frame: Exclude<ServerFrame, { type: 'welcome' | 'accepted' | 'delivered' }>): void
  onDown (): void
  onUndelivered: OutboxNeeds['onUndelivered']
  /** The end, once; before the first welcome too. */
  onEnd (error: TurnpikeClientError): void
}

const ACK_AFTER_MS = 100
const ACK_AFTER_FRAMES = 64

export class Session {
  readonly #needs: SessionNeeds
  readonly #outbox: Outbox
  readonly #line: Line
  #ended: TurnpikeClientError | null = null
  #resume: string | null = null
  #isFirst = true
  #unread: ServerFrame[] | null = null
  #hasMoved = false
  #seq = 0
  #acknowledged = 0
  #heardAt = 0
  #heartbeatMs = 0
  #ackTimer: ReturnType<typeof setTimeout> | undefined
  #watch: ReturnType<typeof setTimeout> | undefined

  constructor (needs: SessionNeeds) {
    this.#needs = needs
    const { options, onUndelivered } = needs
    this.#outbox = new Outbox({ mostFrames: options.queueFrames ?? 1000, framesPerSecond: options.framesPerSecond ?? 45, write: frame => this.#write(frame), onUndelivered })
    this.#line = new Line({
      options,
      position: () => ({ resume: this.#resume, seq: this.#seq }),
      onText: text => this.#read(JSON.parse(text) as ServerFrame),
      onDown: () => {
        clearTimeout(this.#watch)
        this.#readOn()
        needs.onDown()
      },
      onEnd: error => this.#end(error),
    })
  }

  /** Resolves when the server has taken it. */
  async send (frame: Sendable): Promise<void> {
    if (this.#ended !== null) throw this.#ended
    await this.#outbox.send(frame)
  }

  leave (): void {
    this.#write({ type: 'leave' })
    this.#line.end(new TurnpikeClientError('left', 'we left the room'))
  }

  /** The network is back, or another one: what goes over the old one may be lost. */
  moved (): void {
    this.#hasMoved = true
    this.#line.renew()
  }

  /** Does the server still answer? A socket that stays silent is given up. */
  check (withinMs = this.#heartbeatMs / 2): void {
    if (!this.#line.isUp) return
    const askedAt = performance.now()
    this.#outbox.send({ type: 'ack', seq: 0 }).catch(() => {})
    setTimeout(() => { if (this.#heardAt < askedAt && this.#line.isUp) this.#line.renew() }, withinMs)
  }

  /** What follows the first welcome waits until whoever joined can have begun to listen. */
  #read (frame: ServerFrame): void {
    if (frame.type === 'error' && frame.ref === null) this.#line.said = frame
    if (this.#unread !== null) this.#unread.push(frame)
    else if (this.#isFirst && frame.type === 'welcome') {
      this.#unread = []
      setTimeout(() => this.#readOn())
      this.#receive(frame)
    } else this.#receive(frame)
  }

  #readOn (): void {
    const unread = this.#unread ?? []
    this.#unread = null
    for (const frame of unread) this.#receive(frame)
  }

  #receive (frame: ServerFrame): void {
    this.#heardAt = performance.now()
    if (frame.type === 'welcome') return this.#begin(frame)
    if (frame.type === 'accepted') return this.#outbox.onAccepted(frame.ref)
    if (frame.type === 'delivered') return this.#outbox.onDelivered(frame.cid)
    if ('seq' in frame && frame.seq !== undefined) {
      if (frame.seq <= this.#seq) return
      // Never seen; what is missing comes again over another socket.
      if (frame.seq !== this.#seq + 1) return this.#line.renew()
      this.#seq = frame.seq
      this.#acknowledgeSoon()
    }
    if (frame.type === 'error' && frame.ref !== null) return this.#outbox.onError(frame.ref, frame.code, frame.message)
    this.#needs.onFrame(frame)
  }

  #begin (welcome: Welcome): void {
    const { resume, resumed, heartbeat, accepted, delivered } = welcome
    const isAnother = !this.#isFirst && !resumed
    const hasMoved = this.#hasMoved
    this.#line.welcomed()
    this.#resume = resume
    this.#heartbeatMs = heartbeat * 1000
    this.#isFirst = this.#hasMoved = false
    if (delivered !== null) this.#outbox.onDelivered(delivered)
    if (!resumed) this.#seq = this.#acknowledged = 0
    this.#outbox.rewind(resumed ? accepted : null)
    this.#needs.onWelcome(welcome, isAnother ? this.#outbox.forget() : null, hasMoved)
    this.#outbox.pump()
    // The answer to this comes after all that was answered before the socket was lost.
    if (this.#outbox.isWaiting) this.check()
    this.#watchOver()
  }

  /** Sockets that end without a word are found: pings of the server are not shown to us. */
  #watchOver (): void {
    clearTimeout(this.#watch)
    if (!this.#line.isUp) return
    this.#watch = setTimeout(() => {
      if (performance.now() - this.#heardAt >= this.#heartbeatMs) this.check()
      this.#watchOver()
    }, this.#heartbeatMs)
  }

  #acknowledgeSoon (): void {
    if (this.#seq - this.#acknowledged >= ACK_AFTER_FRAMES) this.#write({ type: 'ack' })
    else this.#ackTimer ??= setTimeout(() => this.#write({ type: 'ack' }), ACK_AFTER_MS)
  }

  /** Every frame carries what is to be acknowledged. False where there is no socket. */
  #write (frame: { type: string }): boolean {
    clearTimeout(this.#ackTimer)
    this.#ackTimer = undefined
    if (!this.#line.isUp) return false
    const isNews = this.#seq > this.#acknowledged
    this.#acknowledged = this.#seq
    this.#line.send(JSON.stringify(frame.type === 'ack' ? { ...frame, seq: this.#seq } : isNews ? { ...frame, ack: this.#seq } : frame))
    return true
  }

  #end (error: TurnpikeClientError): void {
    this.#ended = error
    clearTimeout(this.#ackTimer)
    clearTimeout(this.#watch)
    this.#outbox.close(error)
    this.#needs.onEnd(error)
  }
}
