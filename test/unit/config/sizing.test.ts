import { expect, test } from 'vitest'
import fc from 'fast-check'
import { loadConfig } from '../../../src/config/load.ts'
import { measureMachine } from '../../../src/config/machine.ts'
import { lastRelayPort, portRangeFor, sizeOf, type SizingNeeds } from '../../../src/config/sizing.ts'

const GIB = 2 ** 30
const BOX: SizingNeeds = { cores: 2, memoryBytes: 4 * GIB, fdLimit: 1_048_576, portRange: 2000, capacityBytesPerSecond: null }

test('each limit can be the one that binds, and says why', () => {
  expect(sizeOf(BOX)).toMatchObject({ calls: 231, limitedBy: 'processors' })
  expect(sizeOf({ ...BOX, portRange: 100 })).toMatchObject({ calls: 50, limitedBy: 'relay ports' })
  expect(sizeOf({ ...BOX, fdLimit: 1024 })).toMatchObject({ calls: 131, limitedBy: 'open files' })
  expect(sizeOf({ ...BOX, memoryBytes: 2 ** 26 })).toMatchObject({ calls: 64, limitedBy: 'memory' })
  // 750 kB/s a call: both parties, both ways, in and out.
  expect(sizeOf({ ...BOX, capacityBytesPerSecond: 12_500_000 })).toMatchObject({ calls: 16, limitedBy: 'bandwidth' })
  expect(sizeOf(BOX).limits.map(({ name }) => name)).toEqual(['processors', 'memory', 'open files', 'relay ports'])
  expect(sizeOf(BOX).limits[0]?.why).toBe('2 of them, 86,666 packets/s each (a third of what was measured); a call passes 750 packets/s')
})

test('what is assumed of a call can be changed: a call that one party relays passes the relay once', () => {
  expect(sizeOf({ ...BOX, assumptions: { allocationsPerCall: 1 } }).calls).toBe(462)
  expect(sizeOf({ ...BOX, assumptions: { allocationsPerCall: 6 } })).toMatchObject({ calls: 231, assumptions: { kbpsPerDirection: 1500, packetBytes: 1000, allocationsPerCall: 6 } })
  // Audio: few bytes, and still packets.
  expect(sizeOf({ ...BOX, portRange: 16_384, assumptions: { kbpsPerDirection: 64, packetBytes: 160 } })).toMatchObject({ calls: 866, limitedBy: 'processors' })
})

test('a machine with nothing left carries no call, and not fewer', () => {
  expect(sizeOf({ ...BOX, fdLimit: 100 }).calls).toBe(0)
})

test('more of anything never makes fewer calls or ports', () => {
  const needs = fc.record({ cores: fc.integer({ min: 1, max: 128 }), memoryBytes: fc.integer({ min: 2 ** 26, max: 2 ** 38 }), fdLimit: fc.integer({ min: 256, max: 2 ** 20 }), portRange: fc.integer({ min: 1, max: 60_000 }) })
  fc.assert(fc.property(needs, fc.constantFrom('cores', 'memoryBytes', 'fdLimit', 'portRange'), (some, more) => {
    const before = { ...BOX, ...some }
    const after = { ...before, [more]: before[more] * 2 }
    expect(sizeOf(after).calls).toBeGreaterThanOrEqual(sizeOf(before).calls)
    expect(portRangeFor(after)).toBeGreaterThanOrEqual(portRangeFor(before))
    expect(portRangeFor(before)).toBeGreaterThanOrEqual(200)
    expect(portRangeFor(before)).toBeLessThanOrEqual(16_384)
  }), { numRuns: 200 })
})

test.each([
  [{}, 2000],
  [{ cores: 64 }, 8192],
  [{ cores: 64, memoryBytes: 64 * GIB }, 16_384],
  [{ cores: 4, memoryBytes: 2 ** 28 }, 512],
  [{ fdLimit: 2000 }, 750],
  [{ fdLimit: 256 }, 200],
])('with %j so many relay ports: %i', (more, ports) => {
  expect(portRangeFor({ ...BOX, ...more })).toBe(ports)
})

test('the last port is within 65535 and short of the relay\'s own ports', () => {
  expect(lastRelayPort(49160, BOX, [3478, 5349])).toBe(51159)
  expect(lastRelayPort(65000, BOX, [])).toBe(65535)
  expect(lastRelayPort(49160, BOX, [50000, 50100])).toBe(49999)
})

test('the last relay port comes from the machine where nobody has set it, and from the settings where somebody has', () => {
  const load = (env: Record<string, string>) => loadConfig({ env, readFile: () => '', machine: { cores: 1, memoryBytes: 4 * GIB, fdLimit: 1_048_576 } })
  const computed = load({})
  expect(computed.config.relay.maxPort).toBe(50159)
  expect(computed.sources.get('TURNPIKE_RELAY_MAX_PORT')).toBe('computed from the machine')
  expect(load({ TURNPIKE_RELAY_MIN_PORT: '20000' }).config.relay.maxPort).toBe(20999)
  expect(load({ TURNPIKE_RELAY_PORT: '49500' })).toMatchObject({ problems: [], config: { relay: { maxPort: 49499 } } })
  const set = load({ TURNPIKE_RELAY_MAX_PORT: '49200' })
  expect([set.config.relay.maxPort, set.sources.get('TURNPIKE_RELAY_MAX_PORT')]).toEqual([49200, 'environment'])
})

test('the machine is measured: a limit of files that cannot be read is the usual one', () => {
  const machine = measureMachine(() => 'Max open files            1024                 20000                files\n', true)
  expect(machine).toMatchObject({ cores: expect.any(Number), fdLimit: 20_000 })
  expect(machine.memoryBytes).toBeLessThanOrEqual(measureMachine(() => '', false).memoryBytes)
  expect(measureMachine(() => { throw new Error('no /proc') }, true).fdLimit).toBe(1_048_576)
})
