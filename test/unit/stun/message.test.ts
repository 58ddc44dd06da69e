import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { lifetime, readError, readText, readXorAddress, requestedFamily, requestedTransportUdp, text, xorAddress } from '../../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, METHOD, attributeOf, decode, encode, hasFingerprint, isIntact, longTermKey } from '../../../src/stun/message.ts'

/** The sample messages of RFC 5769 §2, byte for byte. */
const vector = (name: string): Buffer => Buffer.from(readFileSync(`test/fixtures/wire/rfc5769-${name}.hex`, 'utf8').replace(/\s/g, ''), 'hex')
const SHORT_TERM = Buffer.from('VOkJxbRl1RmTxUk/WvJxBt')
const id = Buffer.from('b7e7a701bc34d686fa87dfae', 'hex')

test('RFC 5769 §2.1: a request with short-term credentials is read and its checks hold', () => {
  const message = decode(vector('request'))
  expect(message).toMatchObject({ method: METHOD.binding, class: CLASS.request, transactionId: id })
  expect(readText(message, ATTRIBUTE.username)).toBe('evtj:h6vY')
  expect(readText(message, ATTRIBUTE.software)).toBe('STUN test client')
  expect(isIntact(vector('request'), SHORT_TERM)).toBe(true)
  expect(hasFingerprint(vector('request'))).toBe(true)
})

test.each([
  ['response-ipv4', { address: '192.0.2.1', port: 32853 }],
  ['response-ipv6', { address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 }],
])('RFC 5769 %s: the mapped address is read and written as there', (name, address) => {
  const bytes = vector(name)
  const message = decode(bytes)
  expect(message.class).toBe(CLASS.success)
  expect(readXorAddress(message, ATTRIBUTE.xorMappedAddress)).toEqual(address)
  expect(xorAddress(ATTRIBUTE.xorMappedAddress, address, id).value).toEqual(attributeOf(message, ATTRIBUTE.xorMappedAddress))
  expect(isIntact(bytes, SHORT_TERM)).toBe(true)
  expect(hasFingerprint(bytes)).toBe(true)
})

test('RFC 5769 §2.4: the key of long-term credentials', () => {
  const key = longTermKey('マトリックス', 'example.org', 'TheMatrIX')
  expect(isIntact(vector('long-term'), key)).toBe(true)
  expect(isIntact(vector('long-term'), longTermKey('マトリックス', 'example.org', 'TheMatrix'))).toBe(false)
})

test('a message that was changed anywhere is not intact', () => {
  const original = vector('request')
  let noticed = 0
  for (let at = 0; at < original.length - 32; at++) {
    // The length is not compared but set: the check is taken as if the message ended there. decode looks at it.
    if (at === 2 || at === 3) continue
    const changed = Buffer.from(original)
    changed[at] = (changed[at] ?? 0) ^ 1
    if (!isIntact(changed, SHORT_TERM)) noticed++
    expect(hasFingerprint(changed)).toBe(false)
  }
  expect(noticed).toBe(original.length - 34)
})

test('the request of RFC 5769 §2.1 is written byte for byte, padding apart', () => {
  const { attributes } = decode(vector('request'))
  const own = attributes.filter(({ type }) => type !== ATTRIBUTE.messageIntegrity && type !== ATTRIBUTE.fingerprint)
  const bytes = encode({ method: METHOD.binding, class: CLASS.request, transactionId: id, attributes: own }, SHORT_TERM)
  // The RFC pads with spaces, we with zeros; everything before the first padding is the same.
  expect(bytes.subarray(0, 60 + 13)).toEqual(vector('request').subarray(0, 60 + 13))
  expect(bytes).toHaveLength(vector('request').length)
  expect(isIntact(bytes, SHORT_TERM) && hasFingerprint(bytes)).toBe(true)
})

test('attributes stand on the wire as RFC 8656 §18 draws them', () => {
  expect(lifetime(600)).toEqual({ type: 0x000D, value: Buffer.from('00000258', 'hex') })
  expect(requestedTransportUdp()).toEqual({ type: 0x0019, value: Buffer.from('11000000', 'hex') })
  expect(requestedFamily('::1')).toEqual({ type: 0x0017, value: Buffer.from('02000000', 'hex') })
  expect(requestedFamily('192.0.2.1')).toEqual({ type: 0x0017, value: Buffer.from('01000000', 'hex') })
  expect(text(ATTRIBUTE.realm, 'né')).toEqual({ type: 0x0014, value: Buffer.from('6ec3a9', 'hex') })
  expect(xorAddress(ATTRIBUTE.xorPeerAddress, { address: '::ffff:192.0.2.1', port: 1 }, Buffer.alloc(12)).value.toString('hex')).toBe('000221132112a442000000000000ffffc0000201')
  expect(xorAddress(ATTRIBUTE.xorPeerAddress, { address: '::1', port: 1 }, Buffer.alloc(12)).value.toString('hex')).toBe('000221132112a442000000000000000000000001')
})

test('types are interleaved as RFC 8489 figure 3 says', () => {
  const typeOf = (method: number, kind: 0 | 1 | 2 | 3): number => encode({ method, class: kind, transactionId: id, attributes: [] }).readUInt16BE(0)
  expect([typeOf(METHOD.allocate, CLASS.request), typeOf(METHOD.allocate, CLASS.success), typeOf(METHOD.allocate, CLASS.error)]).toEqual([0x0003, 0x0103, 0x0113])
  expect([typeOf(METHOD.send, CLASS.indication), typeOf(METHOD.data, CLASS.indication), typeOf(METHOD.createPermission, CLASS.request)]).toEqual([0x0016, 0x0017, 0x0008])
})

test('an error response gives its number and its phrase, an empty phrase too', () => {
  const answer = (value: string) => ({ method: METHOD.allocate, class: CLASS.error, transactionId: id, attributes: [{ type: ATTRIBUTE.errorCode, value: Buffer.from(value, 'hex') }] })
  expect(readError(answer('00000401556e61'))).toEqual({ code: 401, reason: 'Una' })
  expect(readError(answer('00000403'))).toEqual({ code: 403, reason: '' })
  expect(() => readError(answer('0004'))).toThrow('ERROR-CODE')
})

test.each([
  ['shorter than a header', '0001'],
  ['first two bits', `c001000021 12a442${'00'.repeat(12)}`],
  ['magic cookie', `0001000000000000${'00'.repeat(12)}`],
  ['length says', `000100042112a442${'00'.repeat(12)}`],
  ['longer than the message', `000100042112a442${'00'.repeat(12)}00060008`],
])('bytes that are no message are refused: %s', (words, hex) => {
  expect(() => decode(Buffer.from(hex.replace(/\s/g, ''), 'hex'))).toThrow(expect.objectContaining({ code: 'stun-malformed', message: expect.stringContaining(words) }))
})
