/**
 * The server's end of a WebSocket (RFC 6455), in place of the one that ws would make after its handshake: what of it is used here, without
 * extensions, and with one listener for each event. An idle peer takes 1.6 kB less so (docs/decisions/012, and docs/operations.md, Speed).
 */
import type { Socket as TcpSocket } from 'node:net'
import { beginPart, countBytes, endPart, endSoon, ignoreRest, isPartOver, LAST_BYTES } from './fair-reading.ts'
import { FrameError, OPCODE, readFrames, type FrameReceiver, type Unfinished } from './client-frames.ts'

const [OPEN, CLOSING, CLOSED] = [1, 2, 3]
const NO_CODE = 1005
const CLOSED_ABNORMALLY = 1006
/** For the other side to agree that it is over. */
const CLOSE_MS = 30_000
const MOST_REASON_BYTES = 123
/** Whoever does not read is sent no pong: it will want the last one alone (RFC 6455 §5.5.3). */
const MOST_UNREAD_BYTES = 65_536

type Listeners = { message (data: Buffer, isBinary: boolean): void, ping (data: Buffer): void, pong (data: Buffer): void, close (code: number): void, error (error: Error): void }
const nobody = (): void => {}

const FRAMED = Symbol('framed')
type Tcp = TcpSocket & { [FRAMED]: FramedSocket }

export class FramedSocket implements FrameReceiver {
  unfinished: Unfinished | null = null
  readonly mostBytes: number
  readonly mostFragments: number
  /** Set by the handshake. */
  _protocol = ''
  readonly #listeners: Listeners = { message: nobody, ping: nobody, pong: nobody, close: nobody, error: nobody }
  #tcp: TcpSocket | null = null
  #state = OPEN
  /** Neither side has ended the conversation, and all that came were frames. */
  #isReading = true
  /** What the other side has closed with, or we had to, because of what it sent. */
  #closedWith = CLOSED_ABNORMALLY
  #timer: NodeJS.Timeout | null = null
  /** What is still read after we have closed. */
  #lastBytes = LAST_BYTES

  /** As the server of ws makes its own. */
  constructor (_address: null, _protocols: undefined, { maxPayload, maxFragments }: { maxPayload: number, maxFragments: number }) {
    this.mostBytes = maxPayload
    this.mostFragments = maxFragments
  }

  get OPEN (): number { return OPEN }
  get CLOSING (): number { return CLOSING }
  get readyState (): number { return this.#state }
  get protocol (): string { return this._protocol }
  get isReading (): boolean { return this.#isReading && this.#tcp?.destroyed === false }
  get hasEnough (): boolean { return isPartOver() }

  /** The handshake is done. */
  setSocket (tcp: TcpSocket, head: Buffer): void {
    this.#tcp = tcp
    Object.assign(tcp, { [FRAMED]: this })
    tcp.setTimeout(0)
    tcp.setNoDelay()
    if (head.length > 0) tcp.unshift(head)
    tcp.on('close', onTcpClose).on('data', onTcpData).on('end', onTcpEnd).on('error', onTcpError)
  }

  /** In place of the listener that was there. */
  on<E extends keyof Listeners> (event: E, listener: Listeners[E]): this {
    this.#listeners[event] = listener
    return this
  }

  off<E extends keyof Listeners> (event: E, listener: Listeners[E]): this {
    return this.#listeners[event] === listener ? this.on(event, nobody) : this
  }

  removeAllListeners (event: keyof Listeners): this {
    return this.on(event, nobody)
  }

  onMessage (data: Buffer, isBinary: boolean): void {
    countBytes(data.length)
    this.#listeners.message.call(this as never, data, isBinary)
  }

  onControl (opcode: number, data: Buffer): void {
    countBytes(data.length)
    if (opcode === OPCODE.close) return this.#onClose(data)
    if (opcode === OPCODE.ping && this.#state === OPEN && (this.#tcp?.writableLength ?? 0) < MOST_UNREAD_BYTES) this.#control(OPCODE.pong, data)
    const { ping, pong } = this.#listeners
    ;(opcode === OPCODE.ping ? ping : pong).call(this as never, data)
  }

  ping (): void {
    if (this.#state === OPEN) this.#control(OPCODE.ping, '')
  }

  /** Says that it is over; the other side is to say so too. A reason that is too long is left out. */
  close (code = NO_CODE, reason = ''): void {
    if (this.#state !== OPEN) return
    this.#state = CLOSING
    const text = Buffer.from(reason)
    const payload = Buffer.alloc(code === NO_CODE ? 0 : text.length > MOST_REASON_BYTES ? 2 : 2 + text.length)
    if (payload.length > 0) payload.writeUInt16BE(code)
    text.copy(payload, 2)
    this.#control(OPCODE.close, payload)
    this.#timer ??= setTimeout(() => this.#tcp?.destroy(), CLOSE_MS)
    if (!this.#isReading) this.#tcp?.end()
  }

  terminate (): void {
    if (this.#state !== CLOSED) this.#state = CLOSING
    this.#tcp?.destroy()
  }

  /** Bytes of the connection. */
  read (tcp: TcpSocket, chunk: Buffer): void {
    beginPart()
    try {
      const rest = readFrames(this, chunk)
      if (!this.isReading) return
      if (this.#state === CLOSING && (this.#lastBytes -= chunk.length - (rest?.length ?? 0)) < 0) return endSoon(tcp)
      endPart(tcp, rest)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#stopReading()
      this.#closedWith = error.closeCode
      this.close(error.closeCode)
      this.#listeners.error.call(this as never, error)
    }
  }

  /** The other side says no more. */
  ended (): void {
    if (this.#state === OPEN) this.#state = CLOSING
    this.#tcp?.end()
  }

  /** There is no connection any more. */
  closed (): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.unfinished = null
    this.#state = CLOSED
    this.#listeners.close.call(this as never, this.#closedWith)
  }

  #onClose (data: Buffer): void {
    this.#closedWith = data.length === 0 ? NO_CODE : data.readUInt16BE(0)
    this.#stopReading()
    if (this.#state === OPEN) this.close(this.#closedWith)
    else this.#tcp?.end()
  }

  /** What still comes is thrown away. */
  #stopReading (): void {
    this.#isReading = false
    this.unfinished = null
    if (this.#tcp !== null) ignoreRest(this.#tcp.removeListener('data', onTcpData))
  }

  /** RFC 6455 §5.5. */
  #control (opcode: number, payload: Buffer | ''): void {
    const frame = Buffer.alloc(2 + payload.length)
    frame[0] = 0x80 | opcode
    frame[1] = payload.length
    if (payload !== '') payload.copy(frame, 2)
    this.#tcp?.write(frame)
  }
}

function onTcpData (this: TcpSocket, chunk: Buffer): void {
  (this as Tcp)[FRAMED].read(this, chunk)
}

function onTcpEnd (this: TcpSocket): void {
  (this as Tcp)[FRAMED].ended()
}

function onTcpClose (this: TcpSocket): void {
  (this as Tcp)[FRAMED].closed()
}

/** 'close' follows. */
function onTcpError (this: TcpSocket): void {
  this.destroy()
}
