import { expect, test } from 'vitest'
import { costOf, RateBucket } from '../../../src/signaling/rate.ts'

test('a burst is let through, then the rate', () => {
  const bucket = new RateBucket(50, 200, 0)
  const verdicts = Array.from({ length: 250 }, () => bucket.take(0))
  expect(verdicts.filter(verdict => verdict === 'fine')).toHaveLength(200)
  expect(new Set(verdicts.slice(200))).toEqual(new Set(['limited']))
  // 50 were over and cost as well, so that a second's 50 only pay for those.
  expect(bucket.take(1000)).toBe('limited')
  expect(bucket.take(2000)).toBe('fine')
})

test('whoever goes on regardless is flooding', () => {
  const bucket = new RateBucket(50, 200, 0)
  const verdicts = Array.from({ length: 10_000 }, (_, i) => bucket.take(i / 10))
  expect(verdicts.indexOf('flooding')).toBeGreaterThan(600)
  expect(verdicts.indexOf('flooding')).toBeLessThan(700)
})

test('a steady sender below the rate is never limited', () => {
  const bucket = new RateBucket(50, 200, 0)
  expect(Array.from({ length: 5000 }, (_, i) => bucket.take(i * 20.1)).filter(verdict => verdict !== 'fine')).toEqual([])
})

test('a frame of 8 KiB counts as two, so that long ones are soon too many', () => {
  expect([0, 300, 8191, 8192, 65_536].map(costOf)).toEqual([1, 1, 1, 2, 9])
  const bucket = new RateBucket(50, 200, 0)
  expect(Array.from({ length: 40 }, () => bucket.take(0, costOf(65_536))).filter(verdict => verdict === 'fine')).toHaveLength(23)
})
