import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { expectedFile, generatedTexts } from '../../scripts/docs.ts'

test.each(generatedTexts())('$file says what the code says (npm run docs writes it)', generated => {
  expect(existsSync(generated.file)).toBe(true)
  expect(readFileSync(generated.file, 'utf8')).toBe(expectedFile(generated))
})
