/** The unit of the service, as systemd itself reads it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const UNIT = 'systemd/turnpike.service'

test('systemd finds nothing to say of the unit but that the program is not installed here', () => {
  const { stderr } = spawnSync('systemd-analyze', ['verify', '--recursive-errors=no', UNIT], { encoding: 'utf8' })
  expect(stderr.split('\n').filter(line => line.includes('turnpike.service') && !/Command \/opt\/turnpike\/current\/node is not executable/.test(line))).toEqual([])
  expect(stderr).toContain('/opt/turnpike/current/node')
})

test('its exposure is at most 2.0, of 10', () => {
  const said = execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', UNIT], { encoding: 'utf8' })
  expect(said).toMatch(/Overall exposure level for turnpike\.service: [01]\.\d OK/)
})

test('a crash of Turnpike, and its end, leave coturn running', () => {
  expect(readFileSync(UNIT, 'utf8')).toMatch(/^KillMode=process$/m)
  expect(readFileSync(UNIT, 'utf8')).toMatch(/TURNPIKE_RELAY_ON_STOP=keep/)
})
