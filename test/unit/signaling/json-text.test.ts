import fc from 'fast-check'
import { expect, test } from 'vitest'
import { replaceMember } from '../../../src/signaling/json-text.ts'

test('only the value is replaced, and every other byte stays', () => {
  expect(replaceMember('{"id":"bob","payload":{"id":"kept"}}', 'id', '"al"')).toBe('{"id":"al","payload":{"id":"kept"}}')
  expect(replaceMember('\t{ "a" : [ {"id":1} ] ,\r\n "id"\t:  "bob"  , "sdp":"v=0\\r\\n \\"id\\":\\\\" }\n', 'id', '"al"')).toBe('\t{ "a" : [ {"id":1} ] ,\r\n "id"\t:  "al"  , "sdp":"v=0\\r\\n \\"id\\":\\\\" }\n')
  expect(replaceMember('{"n":1.0e+2,"big":12345678901234567890,"u":"\\u00e9\\/","id":"x"}', 'id', '"y"')).toBe('{"n":1.0e+2,"big":12345678901234567890,"u":"\\u00e9\\/","id":"y"}')
  expect(replaceMember('{"ID":"x","idx":"x","i":"id","id ":0}', 'id', '"y"')).toBe('{"ID":"x","idx":"x","i":"id","id ":0}')
  expect(replaceMember('{}', 'id', '"y"')).toBe('{}')
})

test('no reader finds another value: members that are doubled or written with escapes are replaced too', () => {
  expect(replaceMember('{"id":"victim","x":1,"id":"bob"}', 'id', '"mallory"')).toBe('{"id":"mallory","x":1,"id":"mallory"}')
  expect(replaceMember('{"id":"bob","\\u0069\\u0064":"victim"}', 'id', '"mallory"')).toBe('{"id":"mallory","\\u0069\\u0064":"mallory"}')
  expect(replaceMember('{"id":{"id":[1,2]},"id":null,"id":"b$&b"}', 'id', '"$1"')).toBe('{"id":"$1","id":"$1","id":"$1"}')
})

test('whatever the object: the member reads as it was set, all else as it was', () => {
  const object = fc.dictionary(fc.oneof(fc.constantFrom('id', 'a', 'payload', '\\', '"', '{'), fc.string({ unit: 'binary' })), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6 })
  const spaces = fc.constantFrom(undefined, 1, '\t', '  ')
  fc.assert(fc.property(object, spaces, fc.string({ unit: 'binary' }), (fields, space, from) => {
    const before = JSON.parse(JSON.stringify({ ...fields, id: 'to' })) as Record<string, unknown>
    const text = replaceMember(JSON.stringify(before, null, space), 'id', JSON.stringify(from))
    expect(text).toBe(JSON.stringify({ ...before, id: from }, null, space))
  }), { numRuns: 2000 })
})
