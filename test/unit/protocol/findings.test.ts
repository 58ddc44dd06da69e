import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { byGravity, CHECKS, finding, worstOf } from '../../../src/protocol/findings.ts'
import { conntrackSetting, kernelFileOf, sysctlLines } from '../../../src/protocol/kernel-settings.ts'

test('a finding carries the reason of its check', () => {
  expect(finding('disk', 'machine, disk', 'ok', 'Enough.')).toEqual({ check: 'disk', subject: 'machine, disk', result: 'ok', what: 'Enough.', why: CHECKS.disk, cure: null })
})

test('the gravest comes first, and is what it comes to', () => {
  const findings = [finding('disk', 'a', 'ok', ''), finding('memory', 'b', 'unknown', ''), finding('clock', 'c', 'failed', ''), finding('reach', 'd', 'failed', ''), finding('docker', 'e', 'warning', '')]
  expect(byGravity(findings).map(({ subject }) => subject)).toEqual(['d', 'c', 'e', 'b', 'a'])
  expect(worstOf(findings)).toBe('failed')
  expect(worstOf([])).toBe('ok')
})

test('every reason is a sentence, and every check is made somewhere', () => {
  expect(Object.values(CHECKS).filter(why => !/^[A-Z].*\.$/.test(why) && !why.startsWith('coturn'))).toEqual([])
  const files = ['src/acme/findings.ts', ...readdirSync('src/relay/doctor').map(file => `src/relay/doctor/${file}`), 'src/stun/reach.ts']
  const text = files.map(file => readFileSync(file, 'utf8')).join('\n')
  expect(Object.keys(CHECKS).filter(name => !text.includes(`'${name}'`))).toEqual([])
})

test('kernel settings are set now and for good', () => {
  const settings = [conntrackSetting(50_000), conntrackSetting(10)]
  expect(settings.map(({ value }) => value)).toEqual([200_000, 65_536])
  expect(kernelFileOf('net.core.rmem_max')).toBe('/proc/sys/net/core/rmem_max')
  expect(sysctlLines([{ name: 'a.b', value: 1 }, { name: 'c', value: 2 }])).toEqual({ now: 'sysctl -w a.b=1 c=2', lasting: "printf '%s\\n' a.b=1 c=2 >> /etc/sysctl.d/60-turnpike.conf" })
})
