import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEnvelope } from '../../../src/signaling/envelope.ts'

test.each([
  ['{"type":"signal","to":"bob","data":{"a":1}}', '{"a":1}'],
  ['{"data": [1, 2 ,3] ,"to":"bob"}', '[1, 2 ,3]'],
  ['{ "x" : {"data":1}, "data" : "}" }', '"}"'],
  ['{"data":"a\\"b\\\\","to":"data"}', '"a\\"b\\\\"'],
  ['{"data":1,"data":2}', '2'],
  ['{"d\\u0061ta":{"n":1e2}}', '{"n":1e2}'],
  ['{"data":1,"d\\u0061ta":2,"d\\\\u0061ta":3}', '2'],
  ['{"to":"data","data":12345678901234567890.10}', '12345678901234567890.10'],
  ['{"data":"\\ud83d\\ude00 \\u00e9"}', '"\\ud83d\\ude00 \\u00e9"'],
  ['{"data":null}', 'null'],
  ['{"a":[{"data":1}],"data":{"data":[{}]}}', '{"data":[{}]}'],
])('%s carries %s', (text, data) => {
  expect(readEnvelope(text).data).toBe(data)
})

test('the value of another key goes on in the same way', () => {
  expect(readEnvelope('{"data":1,"p\\u0061yload":[{"payload":2}, 1e2]}', 'payload').data).toBe('[{"payload":2}, 1e2]')
  expect(readEnvelope('{"data":1}', 'payload').data).toBeUndefined()
})

test('what is nested without bound goes on too, under a key with escapes as well', () => {
  const nested = '['.repeat(30_000) + ']'.repeat(30_000)
  expect(readEnvelope(`{"d\\u0061ta":${nested}}`).data).toBe(nested)
})

test('a frame without data has none', () => {
  expect(readEnvelope('{"type":"leave"}').data).toBeUndefined()
  expect(readEnvelope('{"a":{"data":1}}').data).toBeUndefined()
})

test.each(['', '{', '{"data":}', '{"data":1}}', '[]', '1', 'null', '"x"', '{"data":01}', '{"data":\'x\'}', '{"a":1,}'])('%j is refused', text => {
  expect(() => readEnvelope(text)).toThrow(expect.objectContaining({ code: 'frame-not-json' }))
})

test('for any JSON in any spelling, data goes on as the very text it was, and means the same', () => {
  const space = fc.constantFrom('', ' ', '\n', '\t ')
  const key = fc.constantFrom('data', 'to', 'type', 'cid', 'x', 'da"ta', 'data\\')
  const member = fc.tuple(key, fc.json(), space, space, space)
  fc.assert(fc.property(fc.array(member, { maxLength: 6 }), space, (members, outer) => {
    const text = `${outer}{${members.map(([name, value, a, b, c]) => `${a}${JSON.stringify(name)}${b}:${c}${value}${a}`).join(',')}}${outer}`
    const last = members.filter(([name]) => name === 'data').at(-1)
    expect(readEnvelope(text).data).toBe(last?.[1].trim())
  }), { numRuns: 5000 })
})

test('a signal that is written as most are, with whatever was broken in it, is read as JSON.parse reads it', () => {
  const count = fc.option(fc.oneof(fc.nat(), fc.constantFrom('01', '-1', '1e3', '1.5', '12345678901234567890')), { nil: undefined })
  const to = fc.oneof(fc.string({ maxLength: 5 }).map(text => JSON.stringify(text)), fc.constantFrom('"bob"', '"b\\u006fb"', '"a\nb"', '5'))
  const data = fc.oneof(fc.json({ maxDepth: 2 }), fc.constantFrom('{"a":1,"ack":5}', '1,"ack":7', '1,"to":"eve"', '{"a":1', '"x","data":2', ' [1] ', '"a', '7'))
  const splice = fc.option(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), remove: fc.nat(2), insert: fc.constantFrom('', ' ', '"', '}', ',', '\\', '0', '\u00e9') }), { nil: undefined })
  let whole = 0
  fc.assert(fc.property(fc.record({ cid: count, to, data, ack: count, splice }), ({ cid, to, data, ack, splice }) => {
    const frame = `{"type":"signal",${cid === undefined ? '' : `"cid":${cid},`}"to":${to},"data":${data}${ack === undefined ? '' : `,"ack":${ack}`}}`
    const at = Math.floor((splice?.at ?? 0) * frame.length)
    const text = splice === undefined ? frame : frame.slice(0, at) + splice.insert + frame.slice(at + splice.remove)
    let expected: Record<string, unknown>
    try {
      expected = JSON.parse(text) as Record<string, unknown>
    } catch {
      expect(() => readEnvelope(text)).toThrow(expect.objectContaining({ code: 'frame-not-json' }))
      return
    }
    whole++
    const { fields, data: carried } = readEnvelope(text)
    for (const name of ['type', 'cid', 'to', 'ack']) expect(fields[name]).toEqual(expected[name])
    expect(carried === undefined ? undefined : JSON.parse(carried)).toEqual(expected['data'])
  }), { numRuns: 5000 })
  expect(whole).toBeGreaterThan(500)
})
