/**
 * A client that does all that docs/signaling.md asks of clients, and nothing else: it acknowledges, comes back to its session,
 * sends again what was not accepted, and takes nothing twice. Small enough to be seen to be right: tests measure the server with it.
 */
import WebSocket from 'ws'
import { RESUME_PREFIX, SUBPROTOCOL, TOKEN_PREFIX, type Metadata, type PeerView, type ServerFrame, type Welcome } from '../../src/protocol/frames.ts'

export type Over = { why: 'closed', code: number } | { why: 'refused', status: number, code: string } | { why: 'gone' }
export type ResumingPeerNeeds = {
  /** ws://…/v1/signal: asked again for each socket. */
  url: () => string
  token: string
  /** What is added to the address. */
  query?: Readonly<Record<string, string>>
  /** Join anew with the token where the session is gone? Otherwise that is the end. */
  rejoins?: boolean
  /** Send again also what the server says it has? It must not be done twice. */
  repeatsAll?: boolean
  /** How long a lost socket is waited after. */
  comeBackAfterMs?: () => number
  /** How long an acknowledgement may wait for others. */
  ackAfterMs?: number
  /** Each frame but those that came before, and each welcome. */
  onFrame?: (frame: ServerFrame) => void
  onOver?: (over: Over) => void
}
type Unaccepted = { cid: number, frame: object }

/** Frames that are numbered, in the eyes of the type checker. */
type Numbered = Extract<ServerFrame, { seq: number }>
const CLOSE_ENDS = (code: number): boolean => code === 1000 || code === 1007 || code === 1009 || (code >= 4000 && code <= 4099)
const CLOSE_AT_ONCE = (code: number): boolean => code === 1001 || (code >= 4200 && code <= 4299)
/** Between two looks whether the server is still heard of. */
const LOOK_MS = 250
/** Seconds; until the server has said it. */
const FIRST_HEARTBEAT = 2

export class ResumingPeer {
  /** Who is there, as far as this peer was told. */
  readonly view = new Map<string, PeerView>()
  /** What the server did against its promises, as far as one client can see. */
  readonly faults: string[] = []
  welcome: Welcome | null = null
  over: Over | null = null
  lastSeq = 0
  lastCid = -1
  /** Of the last frame `delivered` or welcome. */
  delivered: number | null = null
  /** Since when nothing is known of the server, or null while a socket is open. */
  awaySince: number | null = performance.now()
  resumes = 0
  lastError = ''
  #socket: WebSocket | null = null
  /** Sockets that a newer one has replaced. */
  #older: WebSocket[] = []
  #unaccepted: Unaccepted[] = []
  #acked = 0
  #ackTimer: NodeJS.Timeout | null = null
  #heardAt = performance.now()
  readonly #needs: ResumingPeerNeeds
  readonly #watch: NodeJS.Timeout

  constructor (needs: ResumingPeerNeeds) {
    this.#needs = needs
    this.#watch = setInterval(() => this.#lookAtPings(), LOOK_MS)
    this.reconnect()
  }

  /** Is a socket open and welcomed? */
  get isIn (): boolean {
    return this.over === null && this.awaySince === null
  }

  get unaccepted (): number {
    return this.#unaccepted.length
  }

  /** The milliseconds since anything came from the server. */
  get silentMs (): number {
    return performance.now() - this.#heardAt
  }

  /** Returns the cid. */
  signal (to: string, data: unknown): number {
    return this.#ask({ type: 'signal', to, data })
  }

  update (metadata: Metadata): number {
    return this.#ask({ type: 'update', metadata })
  }

  /** Leaves for good: with a frame, or by closing the socket. */
  leave (how: 'frame' | 'close'): void {
    if (how === 'frame' && this.#socket?.readyState === WebSocket.OPEN) this.#write({ type: 'leave' })
    else this.#socket?.close(1000)
    this.#end({ why: 'gone' })
  }

  /** Is never seen again, and says nothing. */
  vanish (): void {
    this.#socket?.terminate()
    this.#end({ why: 'gone' })
  }

  /** Opens another socket, whether the old one is lost or not; what comes over the old one counts no more. One attempt at a time: the server could take the older one last. */
  reconnect (): void {
    if (this.over !== null || (this.#socket !== null && this.awaySince !== null)) return
    this.awaySince ??= performance.now()
    const { url, token, query = {}, rejoins = false } = this.#needs
    const resume = this.welcome?.resume
    const protocols = [SUBPROTOCOL, ...(resume === undefined ? [] : [RESUME_PREFIX + resume]), ...(resume === undefined || rejoins ? [TOKEN_PREFIX + token] : [])]
    if (this.#socket !== null) this.#older.push(this.#socket)
    const socket = new WebSocket(`${url()}?${new URLSearchParams({ ...query, ack: String(this.lastSeq) })}`, protocols, { perMessageDeflate: false, handshakeTimeout: 5000 })
    this.#socket = socket
    this.#acked = this.lastSeq
    this.#heardAt = performance.now()
    const ifMine = <T extends unknown[]>(work: (...given: T) => void) => (...given: T): void => { if (this.#socket === socket) work(...given) }
    socket.on('message', ifMine((data: Buffer) => this.#receive(data)))
    socket.on('ping', ifMine(() => { this.#heardAt = performance.now() }))
    socket.on('close', ifMine((code: number) => this.#onClose(code)))
    socket.on('unexpected-response', ifMine((request, response) => {
      let text = ''
      request.socket?.on('error', () => {})
      response.on('data', (bytes: Buffer) => { text += bytes.toString() })
      response.on('close', ifMine(() => {
        this.#socket = null
        socket.terminate()
        if (response.complete) this.#onRefused(response.statusCode ?? 0, text)
        else this.#onClose(1006)
      }))
    }))
    socket.on('error', ({ message }) => { this.lastError = message })
  }

  #ask (request: { type: 'signal' | 'update' } & Record<string, unknown>): number {
    const cid = ++this.lastCid
    const { type, ...rest } = request
    const frame = { type, cid, ...rest }
    this.#unaccepted.push({ cid, frame })
    if (this.isIn) this.#write({ ...frame, ...this.#riding() })
    return cid
  }

  /** An acknowledgement that is due goes with what is sent anyway. */
  #riding (): { ack?: number } {
    if (this.lastSeq === this.#acked) return {}
    this.#acked = this.lastSeq
    return { ack: this.lastSeq }
  }

  #write (frame: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  #receive (data: Buffer): void {
    if (this.over !== null) return
    this.#heardAt = performance.now()
    const frame = JSON.parse(data.toString()) as ServerFrame
    if (frame.type === 'welcome') this.#onWelcome(frame)
    else if (this.awaySince !== null) this.faults.push(`${frame.type} came before the welcome`)
    if ('seq' in frame && frame.seq !== undefined && !this.#isNext(frame as Numbered)) return
    switch (frame.type) {
      case 'accepted':
        this.#settle(cid => cid === frame.ref)
        break
      case 'delivered':
        if (this.delivered !== null && frame.cid <= this.delivered) this.faults.push(`delivered ${frame.cid} after ${this.delivered}`)
        this.delivered = frame.cid
        break
      case 'error':
        this.#settle(cid => cid === frame.ref)
        break
      case 'peer-joined':
      case 'peer-updated':
        this.view.set(frame.peer.id, frame.peer)
        break
      case 'peer-left':
        this.view.delete(frame.id)
        break
      case 'presence':
        for (const { id } of frame.left) this.view.delete(id)
        for (const peer of [...frame.joined, ...frame.updated]) this.view.set(peer.id, peer)
        break
      case 'welcome':
      case 'signal':
      case 'message':
      case 'ice-servers':
      case 'draining':
    }
    this.#needs.onFrame?.(frame)
  }

  #isNext ({ seq, type }: Numbered): boolean {
    if (seq === this.lastSeq + 1) {
      this.lastSeq = seq
      this.#ackTimer ??= setTimeout(() => this.#acknowledge(), this.#needs.ackAfterMs ?? 10)
      return true
    }
    this.faults.push(`${type} has seq ${seq} after ${this.lastSeq}`)
    return false
  }

  #acknowledge (): void {
    this.#ackTimer = null
    if (this.isIn && this.#acked !== this.lastSeq) this.#write({ type: 'ack', seq: this.#acked = this.lastSeq })
  }

  #settle (isAnswered: (cid: number) => boolean): void {
    this.#unaccepted = this.#unaccepted.filter(({ cid }) => !isAnswered(cid))
  }

  #onWelcome (welcome: Welcome): void {
    if (welcome.resumed) this.resumes++
    else this.lastSeq = this.#acked = 0
    if (welcome.resumed && welcome.session !== this.welcome?.session) this.faults.push('resumed as another session')
    this.welcome = welcome
    this.awaySince = null
    this.delivered = welcome.delivered
    for (const older of this.#older.splice(0)) older.terminate()
    this.view.clear()
    for (const peer of welcome.peers) this.view.set(peer.id, peer)
    const { accepted } = welcome
    if (accepted !== null && this.#needs.repeatsAll !== true) this.#settle(cid => cid <= accepted)
    // This also says that the new secret has come; the one before counts no more.
    this.#write({ type: 'ack', seq: this.#acked = this.lastSeq })
    for (const { frame } of this.#unaccepted) this.#write(frame)
  }

  #onClose (code: number): void {
    if (this.over !== null) return
    this.#socket = null
    if (CLOSE_ENDS(code)) return this.#end({ why: 'closed', code })
    this.#comeBack(CLOSE_AT_ONCE(code) ? 0 : undefined)
  }

  #onRefused (status: number, text: string): void {
    if (this.over !== null) return
    const { code = '' } = (text.startsWith('{') ? JSON.parse(text) : {}) as { code?: string }
    // Who has been in tries again while the server is full or on its way down.
    if (this.welcome !== null && status === 503) return this.#comeBack(undefined)
    this.#end({ why: 'refused', status, code })
  }

  #comeBack (afterMs = this.#needs.comeBackAfterMs?.() ?? 100 + Math.random() * 200): void {
    this.awaySince ??= performance.now()
    setTimeout(() => { if (this.#socket === null) this.reconnect() }, afterMs)
  }

  /** A server that says nothing, not even pings, is not there: the socket is given up. */
  #lookAtPings (): void {
    if (this.#socket === null || this.silentMs < (this.welcome?.heartbeat ?? FIRST_HEARTBEAT) * 2500) return
    this.#socket.terminate()
    this.#onClose(1006)
  }

  #end (over: Over): void {
    this.over = over
    this.#socket = null
    for (const older of this.#older.splice(0)) older.terminate()
    clearInterval(this.#watch)
    if (this.#ackTimer !== null) clearTimeout(this.#ackTimer)
    this.#needs.onOver?.(over)
  }
}
