/**
 * What a client sends over its WebSocket, frame by frame (RFC 6455 §5), where no extension was agreed on: bytes in, messages and control
 * frames out. Nothing is kept between messages, so that a peer that says nothing costs nothing here.
 */
import { isUtf8 } from 'node:buffer'

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
const FINAL = 0x80
const RESERVED = 0x70
const MASKED = 0x80
const LENGTH = 0x7F
/** Of the payload of a control frame. */
const MOST_CONTROL_BYTES = 125
const MASK_BYTES = 4
/** From so many bytes on, four are unmasked at a time. */
const WORTH_A_VIEW = 48

/** The bytes are no frames that a client may send. */
export class FrameError extends Error {
  /** What the socket is to be closed with (RFC 6455 §7.4.1). */
  readonly closeCode: 1002 | 1007 | 1008 | 1009

  constructor (closeCode: FrameError['closeCode'], message: string) {
    super(message)
    this.closeCode = closeCode
  }
}

/** Who reads frames, and what is not whole yet of them. */
export type FrameReceiver = {
  /** Of a message. */
  readonly mostBytes: number
  readonly mostFragments: number
  /** Once it is false, what comes is not looked at any more. */
  readonly isReading: boolean
  /** Once it is true, the rest is left for later. */
  readonly hasEnough: boolean
  unfinished: Unfinished | null
  /** `data` is a part of what was read: who keeps it keeps all of that. */
  onMessage (data: Buffer, isBinary: boolean): void
  onControl (opcode: number, data: Buffer): void
}

/** Bytes that come in pieces, however small: they take at most twice their size, and no more than all of them will. */
class Growing {
  length = 0
  #bytes: Buffer = Buffer.alloc(0)

  /** `most`: so many bytes it will be, or fewer, unless there are more already. */
  append (piece: Buffer, most: number): void {
    const length = this.length + piece.length
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * length, most)))
      this.#bytes.copy(grown, 0, 0, this.length)
      this.#bytes = grown
    }
    piece.copy(this.#bytes, this.length)
    this.length = length
  }

  get bytes (): Buffer {
    return this.#bytes.subarray(0, this.length)
  }
}

export class Unfinished {
  /** The beginning of a frame, and how many bytes there must be to go on with it. */
  frame: Growing | null = null
  needed = 0
  /** The fragments of a message that have come. */
  message: Growing | null = null
  fragments = 0
  isBinary = false
}

/** Hands on what is whole with these bytes, unmasked where they are, and keeps what has begun. Returns what was left for later, a part of the chunk, or null. Throws a FrameError. */
export function readFrames (receiver: FrameReceiver, chunk: Buffer): Buffer | null {
  const bytes = withKept(receiver.unfinished, chunk)
  for (let at = 0; at < bytes.length && receiver.isReading;) {
    if (at > 0 && receiver.hasEnough) return withoutBegun(receiver, bytes.subarray(at))
    const taken = readFrame(receiver, bytes, at)
    if (taken < 0) {
      receiver.unfinished ??= new Unfinished()
      receiver.unfinished.needed = -taken
      receiver.unfinished.frame = new Growing()
      receiver.unfinished.frame.append(bytes.subarray(at), -taken)
      return null
    }
    at += taken
  }
  return withoutBegun(receiver, null)
}

/** No frame has begun: where no message has either, nothing is kept. */
function withoutBegun (receiver: FrameReceiver, rest: Buffer | null): Buffer | null {
  if (receiver.unfinished?.frame === null && receiver.unfinished.message === null) receiver.unfinished = null
  return rest
}

const NO_BYTES = Buffer.alloc(0)

/** What can be read now: nothing where the frame that has begun is still too short. */
function withKept (unfinished: Unfinished | null, chunk: Buffer): Buffer {
  if (unfinished === null || unfinished.frame === null) return chunk
  unfinished.frame.append(chunk, unfinished.needed)
  if (unfinished.frame.length < unfinished.needed) return NO_BYTES
  const { bytes } = unfinished.frame
  unfinished.frame = null
  return bytes
}

/** Hands on the frame that begins here. Returns how long it is, or, with a minus, how many bytes there must be to say more. */
function readFrame (receiver: FrameReceiver, bytes: Buffer, at: number): number {
  const there = bytes.length - at
  if (there < 2) return -2
  const first = bytes[at] ?? 0
  const second = bytes[at + 1] ?? 0
  checkHead(first, second, receiver.unfinished?.message != null)
  const short = second & LENGTH
  const head = 2 + MASK_BYTES + (short < 126 ? 0 : short === 126 ? 2 : 8)
  if (there < head) return -head
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6)
  const opcode = first & 15
  const isControl = opcode >= OPCODE.close
  if (!isControl && length + (receiver.unfinished?.message?.length ?? 0) > receiver.mostBytes) throw new FrameError(1009, `a message may have ${receiver.mostBytes} bytes`)
  if (there < head + length) return -(head + length)
  const end = at + head + length
  unmask(bytes, at + head, end)
  const payload = bytes.subarray(at + head, end)
  if (isControl) readControl(receiver, opcode, payload)
  else readData(receiver, first, payload)
  return head + length
}

/** RFC 6455 §5.2: which first two bytes a frame of a client may have. */
function checkHead (first: number, second: number, isFragmented: boolean): void {
  const opcode = first & 15
  if ((first & RESERVED) !== 0) throw new FrameError(1002, 'the reserved bits must be 0')
  if ((second & MASKED) === 0) throw new FrameError(1002, 'a client must mask what it sends')
  if (opcode >= OPCODE.close) {
    if (opcode > OPCODE.pong) throw new FrameError(1002, 'there is no such opcode')
    if ((first & FINAL) === 0) throw new FrameError(1002, 'a control frame must not be fragmented')
    if ((second & LENGTH) > MOST_CONTROL_BYTES) throw new FrameError(1002, `a control frame may have ${MOST_CONTROL_BYTES} bytes`)
  } else if (opcode > OPCODE.binary || (opcode === OPCODE.continuation) !== isFragmented) {
    throw new FrameError(1002, 'there is no such opcode, or not here')
  }
}

function readData (receiver: FrameReceiver, first: number, payload: Buffer): void {
  const isFinal = (first & FINAL) !== 0
  const opcode = first & 15
  if (isFinal && opcode !== OPCODE.continuation) return hand(receiver, payload, opcode === OPCODE.binary)
  const unfinished = receiver.unfinished ??= new Unfinished()
  if (opcode !== OPCODE.continuation) unfinished.isBinary = opcode === OPCODE.binary
  if (++unfinished.fragments > receiver.mostFragments) throw new FrameError(1008, `a message may have ${receiver.mostFragments} fragments`)
  const message = unfinished.message ??= new Growing()
  message.append(payload, receiver.mostBytes)
  if (!isFinal) return
  unfinished.message = null
  unfinished.fragments = 0
  hand(receiver, message.bytes, unfinished.isBinary)
}

function hand (receiver: FrameReceiver, data: Buffer, isBinary: boolean): void {
  if (!isBinary && !isUtf8(data)) throw new FrameError(1007, 'a text must be UTF-8')
  receiver.onMessage(data, isBinary)
}

function readControl (receiver: FrameReceiver, opcode: number, payload: Buffer): void {
  if (opcode === OPCODE.close && payload.length > 0) {
    if (payload.length === 1 || !isCloseCode(payload.readUInt16BE(0))) throw new FrameError(1002, 'there is no such close code')
    if (!isUtf8(payload.subarray(2))) throw new FrameError(1007, 'a reason must be UTF-8')
  }
  receiver.onControl(opcode, payload)
}

/** RFC 6455 §7.4, and what IANA has added. */
function isCloseCode (code: number): boolean {
  return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)
}

/** A mask as bytes and as the word that they make here. */
const maskBytes = new Uint8Array(MASK_BYTES)
const maskWord = new Int32Array(maskBytes.buffer)

/** RFC 6455 §5.3. The mask is right before the bytes. */
function unmask (bytes: Buffer, from: number, to: number): void {
  const mask = from - MASK_BYTES
  let at = from
  if (to - from >= WORTH_A_VIEW) {
    const first = from + (-(bytes.byteOffset + from) & 3)
    for (; at < first; at++) bytes[at] = (bytes[at] ?? 0) ^ (bytes[mask + ((at - from) & 3)] ?? 0)
    for (let i = 0; i < MASK_BYTES; i++) maskBytes[i] = bytes[mask + ((first - from + i) & 3)] ?? 0
    const word = maskWord[0] ?? 0
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + first, (to - first) >> 2)
    for (let i = 0; i < words.length; i++) words[i] = (words[i] ?? 0) ^ word
    at = first + words.length * 4
  }
  for (; at < to; at++) bytes[at] = (bytes[at] ?? 0) ^ (bytes[mask + ((at - from) & 3)] ?? 0)
}
