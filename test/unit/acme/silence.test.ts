import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readSilence, writeSilence } from '../../../src/acme/silence.ts'
import { scratchDirectory } from '../../kit/files.ts'

const AUTHORITY = 'https://ca.example/dir'

test('a silence holds for the authority that asked for it, until then, and not for longer than any authority means', () => {
  const file = `${scratchDirectory()}/not-before`
  expect(readSilence(file, AUTHORITY, 1000)).toBeNull()
  const silence = { authority: AUTHORITY, until: 500_000, reason: 'too many certificates' }
  writeSilence(file, silence)
  expect(readSilence(file, AUTHORITY, 1000)).toEqual(silence)
  expect(readSilence(file, 'https://other.example/dir', 1000)).toBeNull()
  expect(readSilence(file, AUTHORITY, 500_000)).toBeNull()
  // The clock was ahead when it was written down.
  expect(readSilence(file, AUTHORITY, 500_000 - 8 * 86_400)).toBeNull()
})

test.each(['', '17', 'null', '{"until":1}', '{'])('what is no silence (%j) is none', text => {
  const file = `${scratchDirectory()}/not-before`
  writeFileSync(file, text)
  expect(readSilence(file, AUTHORITY, 0)).toBeNull()
})
