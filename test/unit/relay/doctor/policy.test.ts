import { expect, test } from 'vitest'
import { examinePolicy, examineState } from '../../../../src/relay/doctor/policy.ts'
import type { DoctorSubject } from '../../../../src/relay/doctor/subject.ts'
import { subjectOf } from './subjects.ts'

test.each<[Partial<DoctorSubject>, string, RegExp]>([
  [{}, 'ok', /proved/],
  [{ state: 'stopped' }, 'unknown', /not running.*turnpike serve/],
  [{ state: 'starting' }, 'unknown', /starting/],
  [{ state: 'degraded', code: 'relay-full', reason: 'no room' }, 'warning', /degraded: no room.*open more ports/],
  [{ state: 'failed', code: 'relay-port-busy', reason: 'udp port 3478 is taken by nginx (pid 812)' }, 'failed', /nginx.*Stop the program/],
  [{ state: 'restarting', code: null, reason: 'it has ended' }, 'failed', /log of Turnpike/],
])('the state %j is %s', (subject, result, words) => {
  const [found] = examineState(subjectOf(subject))
  expect(found?.result).toBe(result)
  expect(`${found?.what} ${found?.cure}`).toMatch(words)
})

test('what the last probe saw of strangers and forbidden peers is told for each transport, and nothing else of it', () => {
  const check = { detail: 'an Allocate without credentials gets 401', roundTripMs: null }
  const findings = examinePolicy(subjectOf({
    checks: [
      { ...check, check: 'refuses-strangers', transport: 'udp', result: 'passed' },
      { ...check, check: 'forbidden-peer', transport: 'udp', result: 'failed', detail: 'a permission toward 10.255.255.254 was given' },
      { ...check, check: 'forbidden-peer', transport: 'tcp', result: 'left-out', detail: 'there is no allocation' },
      { ...check, check: 'echo', transport: 'udp', result: 'failed' },
    ],
  }))
  expect(findings.map(({ check: name, result, subject }) => [name, result, subject])).toEqual([
    ['strangers', 'ok', 'relay turnpike, udp, last probe'],
    ['forbidden-peers', 'failed', 'relay turnpike, udp, last probe'],
    ['forbidden-peers', 'unknown', 'relay turnpike, tcp, last probe'],
  ])
  expect(findings[1]?.cure).toContain('log of coturn')
})
