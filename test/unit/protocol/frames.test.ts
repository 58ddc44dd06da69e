import { expect, test } from 'vitest'
import { isValidId } from '../../../src/protocol/frames.ts'

test.each(['a', 'x'.repeat(128), '\u{1F600}'.repeat(128), 'e e', '**', '0b7c3f2e-5d8a-4f6b-9c1d-2e3f4a5b6c7d'])('%j is an id', id => {
  expect(isValidId(id)).toBe(true)
})

test.each(['', '*', 'a/b', 'a\u0000', '\u007F', '\uD800', 'x'.repeat(129), '\u{1F600}'.repeat(129), `${'\u{1F600}'.repeat(64)}${'x'.repeat(65)}`])('%j is none', id => {
  expect(isValidId(id)).toBe(false)
})
