import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseProxyHeader } from '../../../src/http/proxy-protocol.ts'

const V2 = '0d0a0d0a000d0a515549540a'
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

test.each([
  ['PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n', { address: '192.0.2.1', port: 56324 }],
  ['PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n', { address: '2001:db8::1', port: 1 }],
  ['PROXY UNKNOWN\r\n', null],
  ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', null],
])('version 1: %j', (line, client) => {
  expect(parseProxyHeader(Buffer.from(`${line}\x16\x03\x01`))).toEqual({ client, length: line.length })
})

test.each([
  ['TCP over IPv4', `${V2} 21 11 000c c0000201 c6336401 dc04 01bb`, { address: '192.0.2.1', port: 56324 }],
  ['TCP over IPv6', `${V2} 21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 dc04 01bb`, { address: '2001:db8::1', port: 56324 }],
  ['more that the proxy knows', `${V2} 21 11 0013 c0000201 c6336401 dc04 01bb 04 0004 00000000`, { address: '192.0.2.1', port: 56324 }],
  ['a check of the proxy itself', `${V2} 20 00 0000`, null],
  ['a family that has no address', `${V2} 21 00 0000`, null],
])('version 2: %s', (_what, bytes, client) => {
  const header = hex(bytes)
  expect(parseProxyHeader(Buffer.concat([header, Buffer.from([0x16])]))).toEqual({ client, length: header.length })
})

test.each([
  ['a TLS handshake', '160301'],
  ['HTTP', Buffer.from('GET / HTTP/1.1').toString('hex')],
  ['another version', `${V2} 31 11 000c c0000201 c6336401 dc04 01bb`],
  ['another command', `${V2} 22 11 000c c0000201 c6336401 dc04 01bb`],
  ['too little for the addresses', `${V2} 21 11 0008 c0000201 c6336401`],
  ['too much', `${V2} 21 11 ffff`],
  ['an address that is none', Buffer.from('PROXY TCP4 300.0.2.1 198.51.100.1 56324 443\r\n').toString('hex')],
  ['an address of another family', Buffer.from('PROXY TCP4 2001:db8::1 198.51.100.1 56324 443\r\n').toString('hex')],
  ['a port that is none', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 70000 443\r\n').toString('hex')],
  ['a line without end', Buffer.from(`PROXY ${'x'.repeat(200)}`).toString('hex')],
])('refused: %s', (_what, bytes) => {
  expect(parseProxyHeader(hex(bytes))).toHaveProperty('problem')
})

test('whatever comes, in pieces or at once, the answer is the same, and never an error of ours', () => {
  const headers = [Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'), hex(`${V2} 21 11 000c c0000201 c6336401 dc04 01bb`)]
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array)),
    // One byte of a good one is another.
    fc.tuple(fc.constantFrom(...headers), fc.nat(60), fc.nat(255)).map(([header, at, value]) => {
      const changed = Buffer.from(header)
      changed[at % header.length] = value
      return changed
    }))
  fc.assert(fc.property(bytes, all => {
    const whole = parseProxyHeader(all)
    for (let length = 0; length < all.length; length++) {
      const part = parseProxyHeader(all.subarray(0, length))
      // What was decided early stays so.
      if (part !== 'more') expect(whole).toEqual(part)
    }
    if (whole !== 'more' && 'length' in whole) expect(whole.length).toBeLessThanOrEqual(all.length)
  }), { numRuns: 2000 })
})
