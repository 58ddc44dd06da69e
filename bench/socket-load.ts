/**
 * Load for WebSocket servers on 127.0.0.1 that costs less than they do: TCP sockets that write frames made beforehand, and read nothing but
 * the beginnings of those they are sent (RFC 6455 §5.2). A closed loop for what a server can do, an open one for how long it takes.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** How a peer comes in. `hello`: a text that it says as soon as it may, and that is answered. */
export type Entrance = { path: string, protocols?: string, hello?: string }
/** What came of a round. The load's own seconds of CPU tell whether it was the load that could do no more. */
export type Round = { delivered: number, seconds: number, loadCpuSeconds: number }

const MASK = Buffer.from([0x35, 0xA1, 0x6C, 0xF3])
const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 }
/** So much of a frame is looked at, its head among it. */
const LOOKED_AT = 64
const DIGIT_0 = 0x30
/** So long nothing came: nothing is on its way. */
const SETTLE_MS = 50
/** Sockets are read one after another: one piece of memory serves all. */
const chunk = Buffer.allocUnsafe(262_144)

function masked (text: string, opcode = OPCODE.text): Buffer {
  const payload = Buffer.from(text)
  const { length } = payload
  if (length > 65_535) throw new Error('no frame here is so long')
  for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (MASK[i & 3] ?? 0)
  const head = length < 126 ? [0x80 | length] : [0xFE, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head]), MASK, payload])
}
const PONG = masked('', OPCODE.pong)

/** A frame that is sent again and again; `{cid}` and `{ack}` in it are numbers that grow. */
export class Frame {
  readonly #text: string
  readonly #isNumbered: boolean
  #ready: Buffer = Buffer.alloc(0)
  #copies = 0
  #widths = [0, 0]
  /** Where the payload begins, and in it the two numbers. */
  #head = 0
  #places = [0, 0]

  constructor (text: string) {
    this.#text = text
    this.#isNumbered = text.includes('{cid}')
  }

  /** So many of it, numbered from `cid` on. */
  take (count: number, cid: number, ack: number): Buffer {
    if (!this.#isNumbered) return this.#repeated(count)
    const width = widthOf(cid)
    if (widthOf(cid + count - 1) !== width) return Buffer.concat(Array.from({ length: count }, (_, i) => this.take(1, cid + i, ack)))
    const ackWidth = widthOf(ack)
    if (width !== this.#widths[0] || ackWidth !== this.#widths[1]) this.#make(width, ackWidth)
    const { length } = this.#ready
    const frames = Buffer.allocUnsafe(count * length)
    const [cidAt = 0, ackAt = 0] = this.#places
    for (let i = 0; i < count; i++) {
      this.#ready.copy(frames, i * length)
      writeNumber(frames, i * length + this.#head, cidAt, width, cid + i)
      writeNumber(frames, i * length + this.#head, ackAt, ackWidth, ack)
    }
    return frames
  }

  #repeated (count: number): Buffer {
    if (count > this.#copies) {
      const one = masked(this.#text)
      this.#copies = count * 2
      this.#ready = Buffer.concat(Array.from({ length: this.#copies }, () => one))
    }
    return this.#ready.subarray(0, this.#ready.length / this.#copies * count)
  }

  #make (width: number, ackWidth: number): void {
    const withCid = this.#text.replace('{cid}', '0'.repeat(width))
    const text = withCid.replace('{ack}', '0'.repeat(ackWidth))
    this.#ready = masked(text)
    this.#head = this.#ready.length - Buffer.byteLength(text)
    this.#places = [this.#text.indexOf('{cid}'), withCid.indexOf('{ack}')]
    this.#widths = [width, ackWidth]
  }
}

function writeNumber (frames: Buffer, payload: number, at: number, width: number, value: number): void {
  for (let i = at + width - 1, rest = value; i >= at; i--, rest = Math.floor(rest / 10)) frames[payload + i] = (DIGIT_0 + rest % 10) ^ (MASK[i & 3] ?? 0)
}

function widthOf (count: number): number {
  return count < 10 ? 1 : String(count).length
}

/** One socket. Signals are counted; of everything else only the first frame is read. */
export class LoadPeer {
  /** The text it was welcomed with. */
  welcome = ''
  /** Called with how many signals have come at once. */
  onSignals: (count: number) => void = () => {}
  #socket: Socket
  readonly #signalBegins: Buffer
  #opened: (() => void) | null
  /** Of a frame that is not whole yet: what there is of it, where it has not been looked at; or how much is to come. */
  #kept = Buffer.alloc(0)
  #toSkip = 0
  #textsBeforeWelcome: number
  /** The last number that a signal had. */
  seq = 0
  #cid = 0
  #hasEnded = false

  /** `signalBegins`: the text up to where a signal has its `seq`, if it has one. */
  static async open (port: number, entrance: Entrance, signalBegins: string): Promise<LoadPeer> {
    return await new Promise((resolve, reject) => {
      const peer = new LoadPeer(port, entrance, signalBegins, () => resolve(peer), reject)
    })
  }

  private constructor (port: number, { path, protocols, hello }: Entrance, signalBegins: string, opened: () => void, failed: (error: Error) => void) {
    this.#signalBegins = Buffer.from(signalBegins)
    this.#opened = opened
    this.#textsBeforeWelcome = hello === undefined ? 0 : 1
    let answer = ''
    this.#socket = connect({
      ...{ host: '127.0.0.1', port, noDelay: true },
      onread: {
        buffer: chunk,
        callback: (length, bytes) => {
          let from = 0
          if (this.#opened !== null && !answer.endsWith('\r\n\r\n')) {
            const text = answer + chunk.toString('latin1', 0, length)
            const end = text.indexOf('\r\n\r\n')
            from = end < 0 ? length : end + 4 - answer.length
            answer = end < 0 ? text : text.slice(0, end + 4)
            if (end >= 0 && !answer.startsWith('HTTP/1.1 101')) failed(new Error(text))
            if (end >= 0 && hello !== undefined) this.#socket.write(masked(hello))
          }
          this.#read(bytes as Buffer, from, length)
          return true
        },
      },
    })
    this.#socket.on('error', failed)
    this.#socket.on('close', () => { if (!this.#hasEnded) failed(new Error(`the server hung up: ${answer}`)) })
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHVybnBpa2UtYmVuY2gtMQ==\r\n${protocols === undefined ? '' : `Sec-WebSocket-Protocol: ${protocols}\r\n`}\r\n`)
  }

  send (frame: Frame, count: number): void {
    this.#socket.write(frame.take(count, this.#cid + 1, this.seq))
    this.#cid += count
  }

  /** Without a word: as a network that is gone. */
  cut (): void {
    this.#hasEnded = true
    this.#socket.destroy()
  }

  #read (fresh: Buffer, from: number, end: number): void {
    let [bytes, at, until] = [fresh, from, end]
    if (this.#kept.length > 0) {
      bytes = Buffer.concat([this.#kept, fresh.subarray(from, end)])
      ;[at, until] = [0, bytes.length]
      this.#kept = Buffer.alloc(0)
    }
    let signals = 0
    while (at < until) {
      if (this.#toSkip > 0) {
        const skipped = Math.min(this.#toSkip, until - at)
        this.#toSkip -= skipped
        at += skipped
        continue
      }
      const short = (bytes[at + 1] ?? 0) & 127
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      const length = until - at < head ? Infinity : short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
      const isNeeded = this.#opened === null ? Math.min(head + length, LOOKED_AT) : head + length
      if (until - at < isNeeded) {
        this.#kept = Buffer.from(bytes.subarray(at, until))
        break
      }
      signals += this.#look(bytes, at, at + head, length)
      at += head
      this.#toSkip = length
    }
    if (signals > 0) this.onSignals(signals)
  }

  /** Is this frame a signal (1) or not (0)? */
  #look (bytes: Buffer, at: number, payload: number, length: number): 0 | 1 {
    const opcode = (bytes[at] ?? 0) & 15
    if (opcode === OPCODE.text) {
      if (this.#opened !== null) return this.#lookAtWelcome(bytes.toString('utf8', payload, payload + length))
      const begins = this.#signalBegins
      let i = 0
      while (i < begins.length && bytes[payload + i] === begins[i]) i++
      if (i === begins.length) {
        let seq = 0
        for (let digit = (bytes[payload + i] ?? 0) - DIGIT_0; digit >= 0 && digit <= 9; digit = (bytes[payload + ++i] ?? 0) - DIGIT_0) seq = seq * 10 + digit
        this.seq = seq
        return 1
      }
      const text = bytes.toString('latin1', payload, payload + Math.min(length, LOOKED_AT - 4))
      if (/"error"/i.test(text)) throw new Error(`a server said: ${text}`)
    } else if (opcode === OPCODE.ping) this.#socket.write(PONG)
    else if (opcode === OPCODE.close) throw new Error(`a server closed with ${bytes.readUInt16BE(payload)}`)
    return 0
  }

  #lookAtWelcome (text: string): 0 {
    if (this.#textsBeforeWelcome-- > 0) return 0
    const opened = this.#opened
    this.#opened = null
    this.welcome = text
    opened?.()
    return 0
  }
}

/** Opens a few at a time. */
export async function openPeers (port: number, entrances: readonly Entrance[], signalBegins: string, atOnce = 50): Promise<LoadPeer[]> {
  const peers: LoadPeer[] = []
  for (let i = 0; i < entrances.length; i += atOnce) peers.push(...await Promise.all(entrances.slice(i, i + atOnce).map(async entrance => await LoadPeer.open(port, entrance, signalBegins))))
  return peers
}

/** A peer of a room and what it says there. */
export type Talker = { peer: LoadPeer, frame: Frame }

/** Who is told something says the next thing, once for as many as are told it: as much as began stays on its way. */
export async function closedLoop (rooms: readonly Talker[][], { eachBegins, forMs }: { eachBegins: number, forMs: number }): Promise<Round> {
  let delivered = 0
  let isRunning = true
  for (const room of rooms) {
    const receivers = room.length - 1
    for (const { peer, frame } of room) {
      let heard = 0
      peer.onSignals = count => {
        delivered += count
        heard += count
        if (heard < receivers || !isRunning) return
        const due = Math.floor(heard / receivers)
        heard -= due * receivers
        peer.send(frame, due)
      }
    }
  }
  const [began, cpuBefore] = [performance.now(), process.cpuUsage()]
  for (const { peer, frame } of rooms.flat()) peer.send(frame, eachBegins)
  await wait(forMs)
  isRunning = false
  const { user, system } = process.cpuUsage(cpuBefore)
  const round = { delivered, seconds: (performance.now() - began) / 1000, loadCpuSeconds: (user + system) / 1e6 }
  for (let before = -1; before !== delivered;) {
    before = delivered
    await wait(SETTLE_MS)
  }
  return round
}

/** Rooms of two: so many signals a second of all together, evenly; how long each was on its way (ms). */
export async function openLoop (rooms: readonly Talker[][], { perSecond, forMs }: { perSecond: number, forMs: number }): Promise<number[]> {
  const times: number[] = []
  const senders = rooms.flat().map(({ peer, frame }, i, all) => ({ peer, frame, other: (all[i ^ 1] as Talker).peer, sentAt: [] as number[] }))
  for (const { other, sentAt } of senders) {
    let heard = 0
    other.onSignals = count => {
      const now = performance.now()
      for (let i = 0; i < count; i++) times.push(now - (sentAt[heard++] ?? Number.NaN))
    }
  }
  const began = performance.now()
  let sent = 0
  for (let elapsed = 0; elapsed < forMs; elapsed = performance.now() - began) {
    for (const due = elapsed / 1000 * perSecond; sent < due; sent++) {
      const { peer, frame, sentAt } = senders[sent % senders.length] as typeof senders[number]
      sentAt.push(performance.now())
      peer.send(frame, 1)
    }
    await new Promise(setImmediate)
  }
  for (let before = -1; times.length < sent && before !== times.length;) {
    before = times.length
    await wait(SETTLE_MS)
  }
  return times
}
