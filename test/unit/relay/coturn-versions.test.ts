import { expect, test } from 'vitest'
import { isAtLeast, linesFor, parseVersion, refusalOf, warningsOf } from '../../../src/relay/coturn-versions.ts'

test('a version is found in what turnserver prints', () => {
  expect(parseVersion('4.6.1\n')).toEqual([4, 6, 1])
  expect(parseVersion('Coturn-4.18.0 \'Gorst\'')).toEqual([4, 18, 0])
  expect(parseVersion('turnserver: not found')).toBeNull()
})

test('versions are compared number by number', () => {
  expect(isAtLeast([4, 10, 0], [4, 9, 9])).toBe(true)
  expect(isAtLeast([4, 6, 1], [4, 6, 2])).toBe(false)
  expect(isAtLeast([4, 6, 1], [4, 6, 1])).toBe(true)
})

test('options that a version does not know are not given to it', () => {
  expect(linesFor([4, 6, 1], false)).toEqual(expect.arrayContaining(['no-tlsv1', 'no-tlsv1_1', 'no-dtls', 'no-rfc5780']))
  expect(linesFor([4, 6, 1], false)).not.toContain('cli')
  expect(linesFor([4, 18, 0], false)).toEqual(['cli'])
  expect([linesFor([4, 6, 1], true), linesFor([4, 18, 0], true)].map(lines => lines.filter(line => line.includes('dtls')))).toEqual([[], ['dtls']])
})

test('the versions whose packets reach nobody are refused, their neighbours are not', () => {
  expect(refusalOf([4, 17, 0])).toContain('TTL')
  expect(refusalOf([4, 17, 1])).toContain('TTL')
  expect([refusalOf([4, 16, 0]), refusalOf([4, 17, 2]), refusalOf([4, 18, 0]), refusalOf([4, 6, 1])]).toEqual([null, null, null, null])
})

test('an old version is warned of, a new one is not', () => {
  expect(warningsOf([4, 6, 1]).join()).toContain('CVE-2026-27624')
  expect(warningsOf([4, 5, 2]).join()).toContain('oldest version tested')
  expect(warningsOf([4, 18, 0])).toEqual([])
})
