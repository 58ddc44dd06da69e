/** What V8 has grown to is given back. */
import { getHeapSpaceStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { trimMemory } from '../../../src/cli/trim-memory.ts'

const ofNewObjects = (): number => getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0

test('the space that a start has made V8 take for new objects is given back, and what is in use is not lost', () => {
  const kept: number[][] = []
  // Much that survives for a moment is what it grows by.
  for (let i = 0; i < 400_000; i++) kept[i % 100_000] = [i, i, i, i]
  const before = ofNewObjects()
  expect(before).toBeGreaterThan(4e6)
  trimMemory()
  expect(ofNewObjects()).toBeLessThan(before / 2)
  expect(kept[99_999]).toEqual([399_999, 399_999, 399_999, 399_999])
})
