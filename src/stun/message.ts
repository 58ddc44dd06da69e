/**
 * STUN and TURN messages, bytes ↔ data (RFC 8489 §5 and §14, RFC 8656 §17 and §18).
 * Decoding never throws anything but `stun-malformed`, whatever the bytes.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { TurnpikeError } from '../protocol/errors.ts'

export const MAGIC_COOKIE = 0x2112A442
export const HEADER_BYTES = 20
/** XORed into the CRC so that it differs from other protocols' (RFC 8489 §14.7). */
const FINGERPRINT_XOR = 0x5354554e

export const METHOD = { binding: 0x001, allocate: 0x003, refresh: 0x004, send: 0x006, data: 0x007, createPermission: 0x008, channelBind: 0x009 } as const
export const CLASS = { request: 0, indication: 1, success: 2, error: 3 } as const

export const ATTRIBUTE = {
  mappedAddress: 0x0001,
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  channelNumber: 0x000C,
  lifetime: 0x000D,
  xorPeerAddress: 0x0012,
  data: 0x0013,
  realm: 0x0014,
  nonce: 0x0015,
  xorRelayedAddress: 0x0016,
  requestedAddressFamily: 0x0017,
  requestedTransport: 0x0019,
  xorMappedAddress: 0x0020,
  software: 0x8022,
  fingerprint: 0x8028,
} as const

export type Attribute = { type: number, value: Buffer }
export type Message = {
  /** 12 bits: one of METHOD, or another that came in. */
  method: number
  class: 0 | 1 | 2 | 3
  /** 12 bytes. */
  transactionId: Buffer
  attributes: readonly Attribute[]
}

/** The bytes of a message. With a key, MESSAGE-INTEGRITY (HMAC-SHA1, RFC 8489 §14.5) is added; FINGERPRINT always is. */
export function encode (message: Message, key?: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(typeBits(message.method, message.class), 0)
  header.writeUInt32BE(MAGIC_COOKIE, 4)
  message.transactionId.copy(header, 8, 0, 12)
  let bytes = Buffer.concat([header, ...message.attributes.map(encodeAttribute)])
  if (key !== undefined) bytes = Buffer.concat([bytes, encodeAttribute({ type: ATTRIBUTE.messageIntegrity, value: hmac(withLength(bytes, bytes.length + 24), key) })])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE((crc32(withLength(bytes, bytes.length + 8)) ^ FINGERPRINT_XOR) >>> 0)
  bytes = Buffer.concat([bytes, encodeAttribute({ type: ATTRIBUTE.fingerprint, value: sum })])
  return withLength(bytes, bytes.length)
}

/** Reads a whole message. Throws stun-malformed with what is wrong with it. */
export function decode (bytes: Buffer): Message {
  if (bytes.length < HEADER_BYTES) throw malformed(`${bytes.length} bytes are shorter than a header`)
  const type = bytes.readUInt16BE(0)
  const length = bytes.readUInt16BE(2)
  if ((type & 0xC000) !== 0) throw malformed('the first two bits are not zero')
  if (bytes.readUInt32BE(4) !== MAGIC_COOKIE) throw malformed('the magic cookie is missing')
  if (length % 4 !== 0 || length !== bytes.length - HEADER_BYTES) throw malformed(`the length says ${length}, ${bytes.length - HEADER_BYTES} bytes follow`)
  return {
    method: (type & 0x000F) | ((type & 0x00E0) >> 1) | ((type & 0x3E00) >> 2),
    class: (((type & 0x0010) >> 4) | ((type & 0x0100) >> 7)) as Message['class'],
    transactionId: Buffer.from(bytes.subarray(8, HEADER_BYTES)),
    attributes: decodeAttributes(bytes),
  }
}

/** The first attribute of that type, as RFC 8489 §14 wants repeated ones read. */
export function attributeOf (message: Message, type: number): Buffer | undefined {
  return message.attributes.find(attribute => attribute.type === type)?.value
}

/** Is MESSAGE-INTEGRITY there and right for this key? Attributes behind it are not covered by it. */
export function isIntact (bytes: Buffer, key: Buffer): boolean {
  const at = offsetOf(bytes, ATTRIBUTE.messageIntegrity)
  if (at === null || bytes.readUInt16BE(at + 2) !== 20) return false
  return timingSafeEqual(bytes.subarray(at + 4, at + 24), hmac(withLength(bytes.subarray(0, at), at + 24), key))
}

/** Is FINGERPRINT there, last, and right? */
export function hasFingerprint (bytes: Buffer): boolean {
  const at = offsetOf(bytes, ATTRIBUTE.fingerprint)
  if (at === null || at + 8 !== bytes.length) return false
  return bytes.readUInt32BE(at + 4) === (crc32(bytes.subarray(0, at)) ^ FINGERPRINT_XOR) >>> 0
}

/** Key of the long-term credential mechanism (RFC 8489 §9.2.2): MD5 of username, realm and password. */
export function longTermKey (username: string, realm: string, password: string): Buffer {
  return createHash('md5').update(`${username}:${realm}:${password}`).digest()
}

export function malformed (detail: string): TurnpikeError {
  return new TurnpikeError('stun-malformed', detail)
}

/** Method and class share 14 bits, interleaved (RFC 8489 §5, figure 3). */
function typeBits (method: number, kind: number): number {
  return (method & 0x00F) | ((method & 0x070) << 1) | ((method & 0xF80) << 2) | ((kind & 1) << 4) | ((kind & 2) << 7)
}

function encodeAttribute ({ type, value }: Attribute): Buffer {
  const bytes = Buffer.alloc(4 + value.length + padding(value.length))
  bytes.writeUInt16BE(type, 0)
  bytes.writeUInt16BE(value.length, 2)
  value.copy(bytes, 4)
  return bytes
}

function decodeAttributes (bytes: Buffer): Attribute[] {
  const found: Attribute[] = []
  for (let at = HEADER_BYTES; at < bytes.length;) {
    // The length is a multiple of four, so that four bytes are always left here.
    const length = bytes.readUInt16BE(at + 2)
    if (at + 4 + length > bytes.length) throw malformed('an attribute is longer than the message')
    found.push({ type: bytes.readUInt16BE(at), value: Buffer.from(bytes.subarray(at + 4, at + 4 + length)) })
    at += 4 + length + padding(length)
  }
  return found
}

function offsetOf (bytes: Buffer, type: number): number | null {
  for (let at = HEADER_BYTES; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16BE(at + 2)
    if (at + 4 + length > bytes.length) return null
    if (bytes.readUInt16BE(at) === type) return at
    at += 4 + length + padding(length)
  }
  return null
}

/** A copy whose header says that the message is `total` bytes long; both checksums are taken over such a header. */
function withLength (bytes: Buffer, total: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt16BE(total - HEADER_BYTES, 2)
  return copy
}

function hmac (bytes: Buffer, key: Buffer): Buffer {
  return createHmac('sha1', key).update(bytes).digest()
}

function padding (length: number): number {
  return (4 - length % 4) % 4
}
