import { loadSync } from '@grpc/proto-loader'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesOf, EVENTS, METHOD, textOf } from '../../../src/grpc/message.ts'

/** The reading of signaling.proto by those who wrote the format. */
const loaded = loadSync('src/protocol/signaling.proto', { longs: String, enums: String, bytes: String, arrays: true, objects: true, defaults: true })
const service = loaded['turnpike.v1.Signaling'] as unknown as { Negotiate: { path: string, requestSerialize (message: object): Buffer, responseDeserialize (bytes: Buffer): Record<string, unknown>, requestStream: boolean, responseStream: boolean } }
const { Negotiate } = service
const event = fc.constantFrom(...EVENTS)
const bytes = fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array).toString('base64'))

test('the method and the events are those of the .proto', () => {
  const { value } = (loaded['turnpike.v1.Event'] as unknown as { type: { value: { name: string, number: number }[] } }).type
  expect({ path: Negotiate.path, both: Negotiate.requestStream && Negotiate.responseStream }).toEqual({ path: METHOD, both: true })
  expect(value.map(({ name, number }) => [name, number])).toEqual(EVENTS.map((name, i) => [name, i]))
})

test('what another writer wrote is read as it was meant, whatever else stands in it', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), event, bytes, fc.array(fc.string()), (peer, name, message, urls) => {
    const wire = Negotiate.requestSerialize({ peer, event: name, message, iceServers: [{ urls, username: 'x' }], iceExpiresAt: '-5', error: { code: 'a' }, role: 'r' })
    expect(JSON.parse(textOf(wire).text)).toEqual({ peer, event: name, message })
    expect(textOf(wire).event).toBe(name)
  }), { numRuns: 2000 })
})

test('what is written here is read by others as it was meant', () => {
  const told = fc.record({
    peer: fc.string(),
    event,
    message: bytes,
    iceServers: fc.array(fc.record({ urls: fc.array(fc.string()), username: fc.string(), credential: fc.string() })),
    iceExpiresAt: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String),
    error: fc.record({ code: fc.string(), message: fc.string(), retry: fc.string() }),
    role: fc.string(),
  })
  fc.assert(fc.property(told, message => {
    // An empty message is left out, and reads as none.
    const { error, ...rest } = message
    const isEmpty = Object.values(error).every(text => text === '')
    const read = Negotiate.responseDeserialize(bytesOf(JSON.stringify(message)))
    expect(read).toEqual({ ...rest, error: isEmpty ? null : error })
  }), { numRuns: 2000 })
})

test.each([
  ['the first bytes of RFC-like nonsense', '474554202f20'],
  ['a length beyond the end', '0a7f61'],
  ['a number that does not end', '10ffffffffffffffffffff01'],
  ['text that is no UTF-8', '0a02c328'],
  ['a group, which is out of use', '0b'],
  ['a field number without a value', '10'],
])('%s is no message', (_what, hex) => {
  expect(textOf(Buffer.from(hex, 'hex'))).toEqual({ event: null, text: '' })
})

test('an event beyond the table goes on as its number, and an empty message has the defaults', () => {
  expect(JSON.parse(textOf(Buffer.from('1063', 'hex')).text)).toEqual({ peer: '', event: 99, message: '' })
  expect(JSON.parse(textOf(Buffer.alloc(0)).text)).toEqual({ peer: '', event: 'OFFER', message: '' })
})

test('no bytes whatever make it throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), array => { expect(typeof textOf(array).text).toBe('string') }), { numRuns: 20_000 })
})
