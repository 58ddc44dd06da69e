import { expect, test } from 'vitest'
import { examineCoturn, examineDocker } from '../../../../src/relay/doctor/software.ts'
import { failingWith, subjectOf } from './subjects.ts'

test.each([
  ['4.18.0', 'ok', /no fault is known/],
  ['4.16.0', 'warning', /use up all relay ports \(GHSA-847g-qmc6-6m4r\)/],
  ['4.6.1', 'warning', /CVE-2026-40613[^]*Closed by the configuration[^]*GHSA-4g7c-p5wg-j4hp/],
  ['4.17.1', 'failed', /must not be used: .*TTL/],
  [null, 'unknown', /not known yet/],
])('coturn %s is %s', (version, result, words) => {
  const [found] = examineCoturn(subjectOf({ version }))
  expect(found?.result).toBe(result)
  expect(found?.what).toMatch(words)
  if (result === 'warning' || result === 'failed') expect(found?.cure).toContain('4.18.0')
})

test('a fault of one version is not told of another', () => {
  const whatOf = (version: string): string => examineCoturn(subjectOf({ version }))[0]?.what ?? ''
  expect([whatOf('4.6.1').includes('CVE-2025-69217'), whatOf('4.7.0').includes('CVE-2025-69217'), whatOf('4.8.0').includes('CVE-2025-69217')]).toEqual([false, true, false])
  expect([whatOf('4.9.0').includes('leaks memory'), whatOf('4.12.0').includes('leaks memory'), whatOf('4.13.1').includes('leaks memory')]).toEqual([false, true, false])
})

test('the coturn of somebody else is theirs to tell', () => {
  expect(examineCoturn(subjectOf({ version: null, driver: 'external' }))).toMatchObject([{ result: 'unknown', cure: expect.stringContaining('Ask them') }])
})

test('the Docker engine answers, is old, or does not; and matters only where it is used', async () => {
  const docker = subjectOf({ driver: 'docker' })
  expect(await examineDocker(docker, async () => '27.3.1')).toMatchObject([{ result: 'ok' }])
  expect(await examineDocker(docker, async () => '19.3.0')).toMatchObject([{ result: 'warning', cure: 'Install a newer Docker Engine.' }])
  expect(await examineDocker(docker, failingWith('EACCES'))).toMatchObject([{ result: 'failed', what: expect.stringContaining('EACCES'), cure: expect.stringContaining('Start Docker') }])
  expect(await examineDocker(subjectOf({ driver: 'none', code: 'docker-unreachable', reason: 'no socket' }), async () => '1')).toMatchObject([{ result: 'failed', what: expect.stringContaining('no socket') }])
  expect(await examineDocker(subjectOf(), async () => '1')).toEqual([])
})
