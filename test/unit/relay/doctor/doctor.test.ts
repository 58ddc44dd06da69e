import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bounded } from '../../../../src/relay/doctor/bounded.ts'
import { examine } from '../../../../src/relay/doctor/doctor.ts'
import { failingWith, filesOf, results, subjectOf, worldOf } from './subjects.ts'

test('every group is looked at, the gravest first, the machine once for all relays', async () => {
  const findings = await examine([subjectOf(), subjectOf({ id: 'second', state: 'failed', code: 'relay-port-busy', reason: 'taken', login: { username: 'u', password: 'a-secret-text' } })], worldOf())
  // Nobody answers at turn.example in this world.
  expect(results(findings.filter(({ result }) => result === 'failed'))).toEqual(['relay-state failed', 'reach failed', 'reach failed'])
  expect(findings.filter(({ check, subject }) => check === 'disk' || (check === 'clock' && subject.startsWith('machine')))).toHaveLength(2)
  expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(['relay-state', 'reach', 'name-resolves', 'name-agrees', 'public-address', 'nat', 'listen-address', 'tls-served', 'clock', 'socket-buffers', 'conntrack', 'open-files', 'port-range', 'disk', 'memory', 'coturn-version']))
  expect(JSON.stringify(findings)).not.toContain('a-secret-text')
})

test('a world in which nothing answers gives findings all the same, within the deadline', async () => {
  const stuck = (): Promise<never> => new Promise(() => {})
  const started = performance.now()
  const findings = await examine([subjectOf()], worldOf({ resolve4: stuck, observeMapping: failingWith('EADDRNOTAVAIL'), open: stuck, askTime: stuck, space: failingWith('ENOENT'), readFile: filesOf({}) }))
  expect(performance.now() - started).toBeLessThan(2000)
  expect(findings.find(({ check }) => check === 'name-resolves')).toMatchObject({ result: 'unknown', what: 'It took longer than 0.5 s.' })
  expect(findings.find(({ check }) => check === 'public-address')).toMatchObject({ result: 'unknown', what: expect.stringContaining('EADDRNOTAVAIL') })
  expect(findings.find(({ check }) => check === 'disk')).toMatchObject({ result: 'unknown', what: 'It could not be looked at: ENOENT.' })
})

test('of a relay of somebody else only what is seen from outside is looked at, and nothing of this machine\'s kernel', async () => {
  const checks = new Set((await examine([subjectOf({ driver: 'external' })], worldOf())).map(({ check }) => check))
  for (const check of ['listen-address', 'nat', 'open-files', 'port-range', 'socket-buffers', 'conntrack', 'tls-served'] as const) expect(checks.has(check), check).toBe(false)
})

test('a relay that does not run is not knocked at', async () => {
  const findings = await examine([subjectOf({ state: 'stopped' })], worldOf())
  expect(findings.filter(({ check }) => check === 'reach')).toEqual([])
  expect(findings.find(({ check }) => check === 'relay-state')).toMatchObject({ result: 'unknown', what: expect.stringContaining('not running') })
})

test('work that throws at once, or something that is no error, is unknown too', async () => {
  const thrown: unknown = 'words'
  expect(await bounded('disk', 'x', 100, () => { throw thrown })).toMatchObject([{ result: 'unknown', what: 'It could not be looked at: words.' }])
  expect(await bounded('disk', 'x', 10, async () => { await wait(200); return [] })).toMatchObject([{ result: 'unknown', cure: 'Ask again.' }])
})
