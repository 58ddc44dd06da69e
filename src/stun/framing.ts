/** Cuts a byte stream (TURN over TCP or TLS) into STUN messages and ChannelData (RFC 8489 §6.2.2, RFC 8656 §12.5). */
import { HEADER_BYTES, malformed } from './message.ts'

const CHANNEL_HEADER_BYTES = 4

/** Collects bytes and hands out whole frames; what is not whole yet waits, never more than one frame's worth (64 KiB). */
export class Frames {
  #waiting: Buffer = Buffer.alloc(0)

  /** Adds bytes as they came; returns the frames that are whole now. Throws stun-malformed where neither kind of frame begins. */
  push (bytes: Buffer): Buffer[] {
    this.#waiting = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes])
    const whole: Buffer[] = []
    for (let size = this.#nextSize(); size !== null && this.#waiting.length >= size.padded; size = this.#nextSize()) {
      whole.push(this.#waiting.subarray(0, size.exact))
      this.#waiting = this.#waiting.subarray(size.padded)
    }
    return whole
  }

  #nextSize (): { exact: number, padded: number } | null {
    if (this.#waiting.length < 4) return null
    const first = this.#waiting.readUInt8(0)
    const length = this.#waiting.readUInt16BE(2)
    if (first < 0x40) return { exact: HEADER_BYTES + length, padded: HEADER_BYTES + length }
    // Channel numbers are 0x4000 to 0x4FFF; over a stream the frame is padded to a multiple of four.
    if (first < 0x50) return { exact: CHANNEL_HEADER_BYTES + length, padded: CHANNEL_HEADER_BYTES + Math.ceil(length / 4) * 4 }
    throw malformed(`a frame begins with the byte ${first}`)
  }
}
