import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { judgeCoverage } from '../../scripts/coverage.ts'
import { scratchDirectory } from '../kit/files.ts'

/** Lines 1 to 4 of a file, each with how often it was run. */
function report (name: string, hits: readonly number[]): string {
  const file = `${scratchDirectory()}/${name}`
  writeFileSync(file, `SF:src/a.ts\n${hits.map((count, i) => `DA:${i + 1},${count}\n`).join('')}end_of_record\n`)
  return file
}

test('a line counts that was run in any process; too few are not enough', () => {
  const [main, beside] = [report('main.info', [1, 0, 0, 0]), report('beside.info', [0, 7, 1, 0])]
  expect(judgeCoverage([main, beside], { least: 75, haveFailed: false })).toEqual({ words: '75.0 % of the lines of src/ covered (at least 75)', isEnough: true })
  expect(judgeCoverage([main, beside], { least: 76, haveFailed: false }).isEnough).toBe(false)
  expect(judgeCoverage([main, '/nowhere.info'], { least: 75, haveFailed: false })).toEqual({ words: '25.0 % of the lines of src/ covered (at least 75)', isEnough: false })
})

test('where tests have failed there is no number: their process has written no report', () => {
  expect(judgeCoverage([report('beside.info', [1, 0, 0, 0])], { least: 75, haveFailed: true })).toEqual({ words: 'coverage is left out, because tests failed', isEnough: true })
})
