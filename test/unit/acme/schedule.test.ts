import { expect, test } from 'vitest'
import { orderAt, renewAt, waitAfter } from '../../../src/acme/schedule.ts'

test('a certificate is renewed when a third of its life is left, however long that is', () => {
  const day = 86_400
  expect(renewAt({ begins: 0, ends: 90 * day })).toBe(60 * day)
  expect(renewAt({ begins: 100, ends: 106 })).toBe(104)
})

test('another one is not ordered within a day of the last, or a third of a short life, whatever the clock says', () => {
  const day = 86_400
  const lifetime = { begins: 0, ends: 90 * day }
  expect(orderAt(lifetime, 0, 10 * day)).toBe(60 * day)
  // The clock is three months ahead.
  expect(orderAt(lifetime, 95 * day, 95 * day)).toBe(96 * day)
  expect(orderAt({ begins: 0, ends: 12 }, 6, 7)).toBe(10)
  // It was, and has been set back since.
  expect(orderAt(lifetime, 95 * day, 70 * day)).toBe(60 * day)
})

test('what failed is tried again after minutes, then hourly; a name that leads elsewhere costs nobody anything and is looked at every time', () => {
  const waits = (code: 'acme-refused' | 'acme-name-elsewhere'): number[] => [1, 2, 3, 4, 5, 6, 7, 50].map(failures => waitAfter(failures, { code }, 60))
  expect(waits('acme-refused')).toEqual([60, 120, 300, 600, 1800, 3600, 3600, 3600])
  expect(waits('acme-name-elsewhere')).toEqual(Array.from({ length: 8 }, () => 60))
})

test('an authority that names a time is left alone until then; one with a limit and no time, for an hour', () => {
  expect(waitAfter(1, { code: 'acme-rate-limited', retryAfterSeconds: 7200 }, 60)).toBe(7200)
  expect(waitAfter(1, { code: 'acme-unreachable', retryAfterSeconds: 90 }, 60)).toBe(90)
  expect(waitAfter(1, { code: 'acme-rate-limited' }, 60)).toBe(3600)
  // Nobody means a year.
  expect(waitAfter(1, { code: 'acme-rate-limited', retryAfterSeconds: 31_536_000 }, 60)).toBe(7 * 86_400)
})
