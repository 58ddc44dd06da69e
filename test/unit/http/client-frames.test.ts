/** Frames of clients: what ws makes of any bytes, in any pieces, is what we make of them. */
import type { Writable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as ws from 'ws'
import { OPCODE, readFrames, type FrameReceiver } from '../../../src/http/client-frames.ts'

const MOST_BYTES = 70_000
const MOST_FRAGMENTS = 4
/** What comes out: messages and control frames, and the code of what is none, behind which there is nothing. */
type Outcome = (readonly [what: string, data: string] | number)[]
type Theirs = Writable & { on (event: string, listener: (...args: never[]) => void): Theirs }
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Theirs }
const NAMES: Readonly<Record<number, string>> = { [OPCODE.ping]: 'ping', [OPCODE.pong]: 'pong', [OPCODE.close]: 'close' }
const hex = (data: Buffer): string => data.toString('hex')

/** Any mask, any head; `length` may be written longer than it has to be. */
function frame ({ first, payload, mask, length = payload.length, width = length < 126 ? 0 : length < 65_536 ? 2 : 8 }: { first: number, payload: Buffer, mask: Buffer | null, length?: number, width?: number }): Buffer {
  const head = Buffer.alloc(2 + width)
  head[0] = first
  head[1] = (mask === null ? 0 : 0x80) | (width === 0 ? length : width === 2 ? 126 : 127)
  if (width === 2) head.writeUInt16BE(length, 2)
  if (width === 8) head.writeBigUInt64BE(BigInt(length), 2)
  return mask === null ? Buffer.concat([head, payload]) : Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0))])
}

/** Cut at these places. */
function pieces (bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map(cut => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end)).filter(({ length }) => length > 0)
}

/** Each is given copies: bytes are unmasked where they are. `inParts`: frame by frame, with the rest left for later. */
function ours (chunks: readonly Buffer[], inParts = false): Outcome {
  const outcome: Outcome = []
  const receiver: FrameReceiver & { isReading: boolean } = {
    mostBytes: MOST_BYTES,
    mostFragments: MOST_FRAGMENTS,
    isReading: true,
    hasEnough: inParts,
    unfinished: null,
    onMessage: (data, isBinary) => outcome.push([isBinary ? 'binary' : 'text', hex(data)]),
    onControl: (opcode, data) => {
      receiver.isReading = opcode !== OPCODE.close
      outcome.push([NAMES[opcode] ?? String(opcode), hex(data)])
    },
  }
  try {
    for (const chunk of chunks) {
      let rest: Buffer | null = Buffer.from(chunk)
      while (rest !== null && receiver.isReading) rest = readFrames(receiver, rest)
    }
  } catch (error) {
    outcome.push((error as { closeCode: number }).closeCode)
  }
  return outcome
}

function theirs (chunks: readonly Buffer[]): Outcome {
  const outcome: Outcome = []
  let isOver = false
  const receiver = new Receiver({ isServer: true, maxPayload: MOST_BYTES, maxFragments: MOST_FRAGMENTS })
    .on('message', (data: Buffer, isBinary: boolean) => outcome.push([isBinary ? 'binary' : 'text', hex(data)]))
    .on('ping', (data: Buffer) => outcome.push(['ping', hex(data)]))
    .on('pong', (data: Buffer) => outcome.push(['pong', hex(data)]))
    .on('conclude', (code: number, reason: Buffer) => {
      isOver = true
      outcome.push(['close', code === 1005 ? '' : code.toString(16).padStart(4, '0') + hex(reason)])
    })
  const refused = (error: Error | null | undefined): void => {
    if (error == null) return
    isOver = true
    outcome.push(Number(Reflect.get(error, Object.getOwnPropertySymbols(error).find(({ description }) => description === 'status-code') ?? '')))
  }
  receiver.on('error', () => {})
  for (const chunk of chunks) if (!isOver) (receiver as unknown as { _write (chunk: Buffer, encoding: string, done: typeof refused): void })._write(Buffer.from(chunk), 'buffer', refused)
  return outcome
}

const TEXT = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }).map(text => Buffer.from(text)), fc.constantFrom(47, 48, 49, 125, 126, 127, 2000, 65_535, 65_536, 65_537, 70_000, 70_001).map(length => Buffer.alloc(length, 'né')))
const PAYLOAD = fc.oneof({ weight: 6, arbitrary: TEXT }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)) })
const MASK = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(bytes => Buffer.from(bytes))
const small = (payload: Buffer): Buffer => payload.subarray(0, 125)
const MESSAGE = fc.record({ first: fc.constantFrom(0x81, 0x82), payload: PAYLOAD, mask: MASK }).map(frame)
const CONTROL = fc.record({ first: fc.constantFrom(0x89, 0x8A), payload: PAYLOAD.map(small), mask: MASK }).map(frame)
const FRAGMENTS = fc.record({ opcode: fc.constantFrom(1, 2), parts: fc.array(fc.tuple(PAYLOAD, MASK, fc.option(CONTROL)), { minLength: 2, maxLength: 5 }) })
  .map(({ opcode, parts }) => Buffer.concat(parts.flatMap(([payload, mask, control], i) => [frame({ first: (i === 0 ? opcode : 0) | (i === parts.length - 1 ? 0x80 : 0), payload, mask }), control ?? Buffer.alloc(0)])))
const CLOSE = fc.record({ code: fc.oneof(fc.nat(65_535), fc.constantFrom(999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 2999, 3000, 4999, 5000)), reason: PAYLOAD, mask: MASK, cut: fc.constantFrom(0, 1, 125) })
  .map(({ code, reason, mask, cut }) => frame({ first: 0x88, payload: Buffer.concat([Buffer.from([code >> 8, code & 255]), reason]).subarray(0, cut), mask }))
const ANY = fc.record({ first: fc.nat(255), payload: PAYLOAD, mask: fc.option(MASK, { freq: 8 }), width: fc.constantFrom(undefined, 8) }).map(({ width, ...rest }) => frame(width === undefined ? rest : { ...rest, width }))
const NOISE = fc.uint8Array({ maxLength: 30 }).map(bytes => Buffer.from(bytes))
const LONG = fc.record({ length: fc.constantFrom(70_001, 2 ** 32 - 1, 2 ** 32, 2 ** 52), mask: MASK }).map(({ length, mask }) => frame({ first: 0x82, payload: Buffer.alloc(0), mask, length }))
const STREAM = fc.array(fc.oneof({ weight: 8, arbitrary: MESSAGE }, { weight: 3, arbitrary: CONTROL }, { weight: 4, arbitrary: FRAGMENTS }, { weight: 1, arbitrary: CLOSE }, { weight: 1, arbitrary: ANY }, { weight: 1, arbitrary: NOISE }, { weight: 1, arbitrary: LONG }), { maxLength: 8 }).map(frames => Buffer.concat(frames))

test('any frames, in any pieces, are to us what they are to ws', () => {
  fc.assert(fc.property(STREAM, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
    const chunks = pieces(bytes, cuts)
    expect(ours(chunks)).toEqual(theirs(chunks))
  }), { numRuns: 600 })
})

test('frame by frame, with the rest left for later, it is the same', () => {
  fc.assert(fc.property(STREAM, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
    const chunks = pieces(bytes, cuts)
    expect(ours(chunks, true)).toEqual(theirs(chunks))
  }), { numRuns: 300 })
})

test('byte by byte it is the same', () => {
  fc.assert(fc.property(STREAM.filter(({ length }) => length < 3000), bytes => {
    const chunks = Array.from(bytes, byte => Buffer.from([byte]))
    expect(ours(chunks)).toEqual(theirs(chunks))
  }), { numRuns: 100 })
})

test('between messages nothing is kept; what has begun takes at most twice its size, and no more than the whole', () => {
  const mask = Buffer.from([1, 2, 3, 4])
  const receiver: FrameReceiver = { mostBytes: MOST_BYTES, mostFragments: MOST_FRAGMENTS, isReading: true, hasEnough: false, unfinished: null, onMessage: () => {}, onControl: () => {} }
  const whole = Buffer.concat([frame({ first: 0x01, payload: Buffer.from('a'), mask }), frame({ first: 0x80, payload: Buffer.from('b'), mask })])
  for (const chunk of pieces(whole, [1, 3, 8, 12])) readFrames(receiver, chunk)
  expect(receiver.unfinished).toBeNull()
  readFrames(receiver, frame({ first: 0x82, payload: Buffer.alloc(0), mask, length: 65_000 }))
  for (let i = 0; i < 999; i++) readFrames(receiver, Buffer.from([0]))
  const { frame: kept } = receiver.unfinished ?? {}
  expect(kept?.length).toBe(1007)
  expect(kept?.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * 1007)
  readFrames(receiver, Buffer.alloc(60_000))
  readFrames(receiver, Buffer.alloc(1))
  expect(receiver.unfinished?.frame?.bytes.buffer.byteLength).toBe(65_008)
})
