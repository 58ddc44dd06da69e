import { expect, test } from 'vitest'
import { portRangeFor } from '../../../src/config/sizing.ts'
import { memoryFor } from '../../../src/relay/memory.ts'

const GIB = 2 ** 30
/** What sizing plans with for each session, and measured at rest. */
const needed = (ports: number): number => ports * 2 ** 18 + 17 * 2 ** 20

test.each([[1, 0.5], [1, 1], [2, 2], [4, 8], [16, 64], [64, 512]])('with %i cores and %f GiB every port may be in use, and the machine keeps a quarter', (cores, gib) => {
  const ports = portRangeFor({ cores, memoryBytes: gib * GIB, fdLimit: 1_048_576 })
  const bound = memoryFor({ minPort: 49_160, maxPort: 49_160 + ports - 1 }, gib * GIB)
  expect(bound).toBeGreaterThan(needed(ports))
  expect(bound).toBeLessThanOrEqual(gib * GIB * 0.75)
})

test('what is set holds; where little is opened little is allowed, and on a tiny machine enough to start', () => {
  expect(memoryFor({ memoryBytes: 2 ** 28, minPort: 1, maxPort: 60_000 }, GIB)).toBe(2 ** 28)
  expect(memoryFor({ minPort: 49_160, maxPort: 49_199 }, 64 * GIB)).toBe(296 * 2 ** 20)
  expect(memoryFor({ minPort: 49_160, maxPort: 49_199 }, 2 ** 27)).toBe(2 ** 27)
  // Kernels differ a little in what they keep for themselves.
  expect(memoryFor({ minPort: 49_160, maxPort: 65_000 }, 2 * GIB - 2 ** 22)).toBe(memoryFor({ minPort: 49_160, maxPort: 65_000 }, 2 * GIB - 2 ** 21))
})
