/** A million messages that nobody meant: random ones, and real ones with bytes changed, cut and doubled. Seeded, so that a failure comes again. */
import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isTurnpikeError } from '../../../src/protocol/errors.ts'
import { readError, readXorAddress } from '../../../src/stun/attributes.ts'
import { Frames } from '../../../src/stun/framing.ts'
import { randomFrom } from '../../kit/random.ts'
import { ATTRIBUTE, decode, hasFingerprint, isIntact } from '../../../src/stun/message.ts'

const samples = readdirSync('test/fixtures/wire').map(file => Buffer.from(readFileSync(`test/fixtures/wire/${file}`, 'utf8').replace(/\s/g, ''), 'hex'))

function mutated (random: (below: number) => number): Buffer {
  if (random(4) === 0) return Buffer.from(Array.from({ length: random(64) }, () => random(256)))
  const original = samples[random(samples.length)] ?? Buffer.alloc(0)
  const bytes = Buffer.from(original.subarray(0, random(3) === 0 ? random(original.length) : original.length))
  for (let changes = random(4); changes >= 0 && bytes.length > 0; changes--) bytes[random(bytes.length)] = random(256)
  // Half of them get a length that is right again, so that more than the header is tried.
  if (bytes.length >= 20 && random(2) === 0) bytes.writeUInt16BE((bytes.length - 20) & ~3, 2)
  return bytes.subarray(0, bytes.length >= 20 ? 20 + ((bytes.length - 20) & ~3) : bytes.length)
}

/** Runs it and gives the error that is not ours, if any. */
function foreignError (work: () => void): unknown {
  try {
    work()
  } catch (error) {
    if (!isTurnpikeError(error)) return error
  }
  return null
}

test('a million random and mutated messages: no throw but ours, no hang', { timeout: 120_000 }, () => {
  const random = randomFrom(20261120)
  const key = Buffer.from('key')
  let read = 0
  for (let i = 0; i < 1_000_000; i++) {
    const bytes = mutated(random)
    const error = foreignError(() => {
      const message = decode(bytes)
      read++
      readXorAddress(message, ATTRIBUTE.xorMappedAddress)
      readError(message)
    })
    // Costly, so every hundredth; they must hold for anything at all.
    const later = error ?? (i % 100 === 0 ? foreignError(() => { isIntact(bytes, key); hasFingerprint(bytes) }) : null)
    if (later !== null) throw new Error(`message ${i}: ${bytes.toString('hex')}`, { cause: later })
  }
  // Enough of them got past the header to say something.
  expect(read).toBeGreaterThan(100_000)
})

test('a stream that is cut anywhere gives the same frames', () => {
  const random = randomFrom(7)
  const channelData = Buffer.from('400000050102030405000000', 'hex')
  for (let round = 0; round < 2000; round++) {
    const sent = Array.from({ length: 1 + random(6) }, () => (random(3) === 0 ? channelData : samples[random(samples.length)] ?? channelData))
    const stream = Buffer.concat(sent)
    const frames = new Frames()
    const received: Buffer[] = []
    for (let at = 0; at < stream.length;) {
      const end = Math.min(stream.length, at + 1 + random(40))
      received.push(...frames.push(stream.subarray(at, end)))
      at = end
    }
    expect(received).toEqual(sent.map(frame => (frame === channelData ? frame.subarray(0, 9) : frame)))
  }
})

test('a stream of anything else ends in our error or in frames, and never holds more than one frame', () => {
  const random = randomFrom(11)
  const most = 20 + 0xFFFF
  let refused = 0
  let held = 0
  for (let round = 0; round < 500; round++) {
    const frames = new Frames()
    let waiting = 0
    const error = foreignError(() => {
      try {
        for (let i = 0; i < 40; i++) {
          const bytes = Buffer.from(Array.from({ length: 1 + random(4000) }, () => random(i === 0 ? 0x50 : 256)))
          // Padding is cut off with its frame: at most three bytes that were pushed and do not come out.
          waiting += bytes.length - frames.push(bytes).reduce((sum, frame) => sum + frame.length + (frame.readUInt8(0) < 0x40 ? 0 : (4 - frame.length % 4) % 4), 0)
          held = Math.max(held, waiting)
        }
      } catch (error) {
        refused++
        throw error
      }
    })
    expect(error).toBeNull()
  }
  expect(refused).toBeGreaterThan(400)
  expect(held).toBeGreaterThan(4000)
  expect(held).toBeLessThanOrEqual(most)
})
