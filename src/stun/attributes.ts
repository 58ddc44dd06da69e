/** The values of the attributes that a TURN client writes and reads (RFC 8489 §14, RFC 8656 §18). */
import { isIPv4 } from 'node:net'
import { ATTRIBUTE, MAGIC_COOKIE, attributeOf, malformed, type Attribute, type Message } from './message.ts'

/** A transport address: an IP address as text and a port. */
export type Address = { address: string, port: number }

const IPV4 = 0x01
const IPV6 = 0x02
/** REQUESTED-TRANSPORT's number for UDP (RFC 8656 §18.7). */
const UDP = 17

export function text (type: number, value: string): Attribute {
  return { type, value: Buffer.from(value, 'utf8') }
}

/** LIFETIME in seconds (RFC 8656 §18.2). */
export function lifetime (seconds: number): Attribute {
  const value = Buffer.alloc(4)
  value.writeUInt32BE(seconds)
  return { type: ATTRIBUTE.lifetime, value }
}

export function requestedTransportUdp (): Attribute {
  return { type: ATTRIBUTE.requestedTransport, value: Buffer.from([UDP, 0, 0, 0]) }
}

export function requestedFamily (address: string): Attribute {
  return { type: ATTRIBUTE.requestedAddressFamily, value: Buffer.from([isIPv4(address) ? IPV4 : IPV6, 0, 0, 0]) }
}

/** XOR-MAPPED-ADDRESS and its kin (RFC 8489 §14.2): the address is XORed with the cookie so that no NAT rewrites it. */
export function xorAddress (type: number, { address, port }: Address, transactionId: Buffer): Attribute {
  const bytes = addressBytes(address)
  const value = Buffer.alloc(4 + bytes.length)
  value[1] = bytes.length === 4 ? IPV4 : IPV6
  value.writeUInt16BE(port ^ (MAGIC_COOKIE >>> 16), 2)
  xored(bytes, transactionId).copy(value, 4)
  return { type, value }
}

/** The address in an XOR attribute, or undefined where there is none. Throws stun-malformed. */
export function readXorAddress (message: Message, type: number): Address | undefined {
  const value = attributeOf(message, type)
  if (value === undefined) return undefined
  const family = value[1]
  if (!(family === IPV4 && value.length === 8) && !(family === IPV6 && value.length === 20)) throw malformed(`an address of family ${family} has ${value.length} bytes`)
  return { address: addressText(xored(value.subarray(4), message.transactionId)), port: value.readUInt16BE(2) ^ (MAGIC_COOKIE >>> 16) }
}

/** ERROR-CODE (RFC 8489 §14.8): the number and its phrase, which coturn may leave empty. */
export function readError (message: Message): { code: number, reason: string } {
  const value = attributeOf(message, ATTRIBUTE.errorCode)
  if (value === undefined || value.length < 4) throw malformed('an error response without an ERROR-CODE')
  return { code: ((value[2] ?? 0) & 7) * 100 + (value[3] ?? 0), reason: value.subarray(4).toString('utf8') }
}

export function readText (message: Message, type: number): string | undefined {
  return attributeOf(message, type)?.toString('utf8')
}

function xored (bytes: Buffer, transactionId: Buffer): Buffer {
  const mask = Buffer.alloc(16)
  mask.writeUInt32BE(MAGIC_COOKIE)
  transactionId.copy(mask, 4, 0, 12)
  return Buffer.from(bytes.map((byte, i) => byte ^ (mask[i] ?? 0)))
}

function addressBytes (address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  // Written canonically first: a last part such as in ::ffff:192.0.2.1 becomes two groups.
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]/`).hostname.slice(1, -1).split('::')
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16)))
  const [left, right] = [groups(head), groups(tail ?? '')]
  const all = tail === undefined ? left : [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
  return Buffer.from(all.flatMap(group => [group >> 8, group & 0xFF]))
}

function addressText (bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':')
  // The URL parser writes IPv6 the canonical way (RFC 5952).
  return new URL(`http://[${groups}]/`).hostname.slice(1, -1)
}
