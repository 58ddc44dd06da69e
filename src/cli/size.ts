/** `turnpike size`: how many calls this machine carries, which limit binds, and the kernel settings to change. */
import { readFileSync } from 'node:fs'
import { measureMachine } from '../config/machine.ts'
import type { Config } from '../config/schema.ts'
import { ASSUMED, sizeOf, type Assumptions, type Sizing } from '../config/sizing.ts'
import { conntrackSetting, kernelFileOf, socketBufferSettings, sysctlLines, type KernelSetting } from '../protocol/kernel-settings.ts'
import { UsageError, type Input } from './command.ts'
import { table } from './tables.ts'

type Raise = KernelSetting & { now: number }
export type SizeReport = Sizing & { machine: ReturnType<typeof measureMachine>, ports: { first: number, last: number }, kernel: Raise[] }

/** What is printed. Reads only this machine. */
export function size ({ options, switches }: Input, { relay }: Config): string {
  const machine = measureMachine(readText, relay.driver !== 'docker')
  const portRange = relay.maxPort - relay.minPort + 1
  const sizing = sizeOf({ ...machine, portRange, capacityBytesPerSecond: relay.capacityBytesPerSecond === 0 ? null : relay.capacityBytesPerSecond, assumptions: assumptionsOf(options) })
  const kernel = settingsToRaise([...socketBufferSettings(), conntrackSetting(portRange)], readText)
  const report = { ...sizing, machine, ports: { first: relay.minPort, last: relay.maxPort }, kernel }
  return switches.has('json') ? `${JSON.stringify(report, null, 2)}\n` : renderSize(report)
}

export function renderSize ({ calls, limitedBy, limits, assumptions, kernel }: SizeReport): string {
  const { kbpsPerDirection, packetBytes, allocationsPerCall } = assumptions
  const rows = limits.map(({ name, calls: most, why }) => [name === limitedBy ? '*' : ' ', name, most, why])
  const lines = sysctlLines(kernel)
  return [
    `This machine carries about ${calls} relayed calls at a time; the limit: ${limitedBy}.\n`,
    `Reckoned with calls of two that are both relayed: ${kbpsPerDirection} kbit/s each way, packets of ${packetBytes} bytes, ${allocationsPerCall} allocations.\n\n`,
    table([' ', 'LIMIT', 'CALLS', 'WHY'], rows),
    ...(kernel.length === 0
      ? ['\nThe kernel settings suffice.\n']
      : [`\nKernel settings that are too low (as root):\n  ${lines.now}\nand to keep them over a restart of the machine:\n  ${lines.lasting}\n`]),
  ].join('')
}

/** Those that can be read here and are below what is needed. */
export function settingsToRaise (wanted: readonly KernelSetting[], readFile: (path: string) => string): Raise[] {
  return wanted.flatMap(({ name, value }) => {
    try {
      const now = Number(readFile(kernelFileOf(name)).trim())
      return now < value ? [{ name, value, now }] : []
    } catch {
      // Connections are not tracked, or this is a container that does not see the setting.
      return []
    }
  })
}

/** Throws UsageError. */
export function assumptionsOf (options: Input['options']): Assumptions {
  const number = (name: string, fallback: number, least: number, most: number): number => {
    const text = options[name]
    if (text === undefined) return fallback
    const value = Number(text)
    if (!/^\d{1,7}$/.test(text) || value < least || value > most) throw new UsageError(`--${name} ${text} is no number from ${least} to ${most}`)
    return value
  }
  return {
    kbpsPerDirection: number('kbps', ASSUMED.kbpsPerDirection, 1, 1_000_000),
    packetBytes: number('packet-bytes', ASSUMED.packetBytes, 40, 1500),
    allocationsPerCall: number('allocations-per-call', ASSUMED.allocationsPerCall, 1, 100),
  }
}

function readText (path: string): string {
  return readFileSync(path, 'utf8')
}
