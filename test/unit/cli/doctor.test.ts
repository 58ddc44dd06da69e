import { expect, test } from 'vitest'
import { doorsOf, renderFindings } from '../../../src/cli/doctor.ts'
import { assumptionsOf, renderSize, settingsToRaise } from '../../../src/cli/size.ts'
import { sizeOf } from '../../../src/config/sizing.ts'
import { finding } from '../../../src/protocol/findings.ts'

test('the URLs of a credential become what is knocked at, as a client would', () => {
  const door = (url: string) => doorsOf(url).map(({ transport, host, port }) => `${transport} ${host} ${port}`)
  expect(door('turn:turn.example:3478?transport=udp')).toEqual(['udp turn.example 3478'])
  expect(door('turn:turn.example?transport=tcp')).toEqual(['tcp turn.example 3478'])
  expect(door('turns:turn.example')).toEqual(['tls turn.example 5349'])
  expect(door('turn:[2606:4700::1]:3479')).toEqual(['udp 2606:4700::1 3479'])
  expect(['stun:turn.example:3478', 'turns:turn.example?transport=udp', 'turn:turn.example?transport=sctp', 'http://x'].flatMap(door)).toEqual([])
})

test('findings are grouped, the gravest first, with why and cure; what is well is one line', () => {
  const text = renderFindings([finding('disk', 'machine, disk', 'ok', 'Enough.'), finding('reach', 'relay a, udp', 'failed', 'Not reached: \u001b[2Jnothing.', 'Open the port.'), finding('memory', 'machine, memory', 'unknown', 'Cannot be read.')])
  expect(text).toBe(`FAILED
  relay a, udp (reach): Not reached: ?[2Jnothing.
    why:  Clients come to the address and port in the URLs they are given; where these are not reached, the relay is there for nobody.
    cure: Open the port.

UNKNOWN
  machine, memory (memory): Cannot be read.
    why:  When memory runs out, the kernel ends coturn or Turnpike, and the calls with it.

OK
  machine, disk (disk): Enough.

1 failed, 0 warning, 1 unknown, 1 ok
`)
})

test('the size says how many calls, marks the limit that binds, and tells what to set', () => {
  const machine = { cores: 2, memoryBytes: 2 ** 32, fdLimit: 1_048_576 }
  const sizing = sizeOf({ ...machine, portRange: 100, capacityBytesPerSecond: null })
  const report = { ...sizing, machine, ports: { first: 49160, last: 49259 }, kernel: [{ name: 'net.core.rmem_max', value: 2_097_152, now: 212_992 }] }
  expect(renderSize(report)).toMatch(/about 50 relayed calls[^]*\n\* +relay ports +50 [^]*sysctl -w net\.core\.rmem_max=2097152\n/)
  expect(renderSize({ ...report, kernel: [] })).toContain('The kernel settings suffice.')
})

test('only settings that are seen and too low are to be raised', () => {
  const wanted = [{ name: 'a', value: 10 }, { name: 'b', value: 10 }, { name: 'c', value: 10 }]
  const files: Record<string, string> = { '/proc/sys/a': '5\n', '/proc/sys/b': '10\n' }
  expect(settingsToRaise(wanted, path => files[path] ?? (() => { throw new Error('ENOENT') })())).toEqual([{ name: 'a', value: 10, now: 5 }])
})

test('what is assumed of calls is a number within reason', () => {
  expect(assumptionsOf({ kbps: '64', 'packet-bytes': '160' })).toEqual({ kbpsPerDirection: 64, packetBytes: 160, allocationsPerCall: 2 })
  for (const options of [{ kbps: '0' }, { kbps: 'many' }, { 'packet-bytes': '9000' }, { 'allocations-per-call': '-1' }]) expect(() => assumptionsOf(options)).toThrow(/is no number from/)
})
