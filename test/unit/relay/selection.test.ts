import { expect, test } from 'vitest'
import { choose, type Candidate } from '../../../src/relay/selection.ts'

type Named = Candidate & { name: string }
const relay = (name: string, more: Partial<Candidate> = {}): Named => ({ name, region: 'eu', isHealthy: true, weight: 1, load: 0, bandwidthUsed: 0, ...more })
const names = (candidates: Named[], wanted: Parameters<typeof choose>[1] = { regions: [] }, random = () => 0.5): string[] => choose(candidates, wanted, random).map(({ name }) => name)

/** How often each comes first out of so many times. */
function shares (candidates: Named[], times = 4000): Record<string, number> {
  let seed = 1
  // A generator of its own, so that the test is the same each time (Park and Miller).
  const random = (): number => (seed = seed * 48_271 % 2_147_483_647) / 2_147_483_647
  const counts: Record<string, number> = {}
  for (let i = 0; i < times; i++) {
    const [first = ''] = choose(candidates, { regions: [] }, random).map(({ name }) => name)
    counts[first] = (counts[first] ?? 0) + 1 / times
  }
  return counts
}

test('the wanted region comes first, and another one is the second best; never more than two', () => {
  const pool = [relay('us', { region: 'us' }), relay('eu'), relay('ap', { region: 'ap' })]
  expect(names(pool, { region: 'eu', regions: [] })[0]).toBe('eu')
  expect(names(pool, { region: 'eu', regions: [] })).toHaveLength(2)
  expect(names(pool, { region: 'eu', regions: ['ap', 'us'] })).not.toContain('eu')
  expect(names(pool, { region: 'mars', regions: ['mars'] })).toEqual([])
})

test('one that is sick is told only where all are', () => {
  expect(names([relay('a', { isHealthy: false }), relay('b', { region: 'us' })], { region: 'eu', regions: [] })).toEqual(['b'])
  expect(names([relay('a', { isHealthy: false }), relay('b', { isHealthy: false })])).toHaveLength(2)
})

test('one whose bandwidth is nearly used up comes after the others of its region, and before those of other regions', () => {
  expect(names([relay('full', { bandwidthUsed: 0.95 }), relay('free'), relay('far', { region: 'us' })], { region: 'eu', regions: [] })).toEqual(['free', 'full'])
})

test('clients are spread by weight, and away from where there are many already', () => {
  const byWeight = shares([relay('one'), relay('three', { weight: 3 })])
  expect(byWeight['three']).toBeCloseTo(0.75, 1)
  const byLoad = shares([relay('busy', { load: 99 }), relay('idle', { load: 0 })])
  expect(byLoad['idle']).toBeGreaterThan(0.95)
  const alike = shares([relay('a', { load: 10 }), relay('b', { load: 10 })])
  expect(alike['a']).toBeCloseTo(0.5, 1)
  const busyBoth = shares([relay('twice', { load: 16_000 }), relay('once', { load: 8000 })])
  expect(busyBoth['twice']).toBeCloseTo(1 / 3, 1)
})
