/** The header with which a proxy tells whose connection it passes on (HAProxy's proxy-protocol.txt, versions 1 and 2). */
import { isIP, isIPv4, isIPv6 } from 'node:net'

export type ProxyHeader = { /** Null where the proxy tells of none: a check of its own. */ client: { address: string, port: number } | null, /** Bytes that it takes. */ length: number }
/** 'more': it is not all there yet. */
export type ParsedHeader = ProxyHeader | 'more' | { problem: string }

const V1 = Buffer.from('PROXY ')
const V1_MOST_BYTES = 107
const V2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const V2_START_BYTES = 16
/** Proxies add what they know of the connection; longer than this nobody does. */
const V2_MOST_BYTES = 4096

export function parseProxyHeader (bytes: Buffer): ParsedHeader {
  if (beginsLike(bytes, V2)) return bytes.length < V2_START_BYTES ? 'more' : parseV2(bytes)
  if (beginsLike(bytes, V1)) return parseV1(bytes)
  return { problem: 'the connection does not begin with a header of the PROXY protocol' }
}

function beginsLike (bytes: Buffer, mark: Buffer): boolean {
  const length = Math.min(bytes.length, mark.length)
  return bytes.subarray(0, length).equals(mark.subarray(0, length))
}

function parseV1 (bytes: Buffer): ParsedHeader {
  const end = bytes.indexOf('\r\n')
  if (end === -1) return bytes.length >= V1_MOST_BYTES ? { problem: 'the line of version 1 has no end' } : 'more'
  const length = end + 2
  if (length > V1_MOST_BYTES) return { problem: 'the line of version 1 is too long' }
  const [, family, address = '', , sourcePort = '', , ...rest] = bytes.toString('latin1', 0, end).split(' ')
  if (family === 'UNKNOWN') return { client: null, length }
  const isOf = family === 'TCP4' ? isIPv4(address) : family === 'TCP6' && isIPv6(address)
  const port = Number(sourcePort)
  if (!isOf || !/^\d{1,5}$/.test(sourcePort) || port > 65_535 || rest.length > 0) return { problem: 'the line of version 1 is none' }
  return { client: { address, port }, length }
}

function parseV2 (bytes: Buffer): ParsedHeader {
  const [command = 0, family = 0] = [bytes[12], bytes[13]]
  const length = V2_START_BYTES + bytes.readUInt16BE(14)
  if (command !== 0x20 && command !== 0x21) return { problem: 'the header has an unknown version or command' }
  if (length > V2_MOST_BYTES) return { problem: 'the header of version 2 is too long' }
  if (bytes.length < length) return 'more'
  // LOCAL: the proxy itself; or a family that tells of nobody.
  if (command === 0x20 || (family !== 0x11 && family !== 0x21)) return { client: null, length }
  const size = family === 0x11 ? 4 : 16
  if (length < V2_START_BYTES + 2 * size + 4) return { problem: 'the header of version 2 is too short for its addresses' }
  const address = addressOf(bytes.subarray(V2_START_BYTES, V2_START_BYTES + size))
  return { client: { address, port: bytes.readUInt16BE(V2_START_BYTES + 2 * size) }, length }
}

function addressOf (bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':')
  // As the kernel would write it, so that limits count one address as one.
  const { hostname } = new URL(`http://[${groups}]`)
  const short = hostname.slice(1, -1)
  return isIP(short) === 6 ? short : groups
}
