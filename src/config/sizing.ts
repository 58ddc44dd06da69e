/** How many calls a machine carries, and how many relay ports it should open. Pure: figures in, figures out. */
import type { Machine } from './machine.ts'

export type Assumptions = {
  /** Media of one party, one way. */
  kbpsPerDirection: number
  packetBytes: number
  /** Allocations that the parties of a call make together, on this relay. */
  allocationsPerCall: number
}
export type SizingNeeds = Machine & {
  /** How many relay ports there are. */
  portRange: number
  /** Between clients and the relay, both ways together; null where nobody has said. */
  capacityBytesPerSecond: number | null
  assumptions?: Partial<Assumptions>
}
export type LimitName = 'processors' | 'memory' | 'open files' | 'relay ports' | 'bandwidth'
export type Limit = { name: LimitName, calls: number, why: string }
export type Sizing = { calls: number, limitedBy: LimitName, limits: Limit[], assumptions: Assumptions }

export const ASSUMED: Assumptions = { kbpsPerDirection: 1500, packetBytes: 1000, allocationsPerCall: 2 }

/**
 * Measured: coturn relays about 260,000 packets a second with one core, at saturation, with short sessions and nothing beside it.
 * A third of that is planned with, because at saturation packets wait and are lost; video comes in bursts of two or three times its mean
 * when pictures change; and the kernel, which has nine tenths of the work, is slower with a firewall, with connection tracking, with TLS
 * and on a machine that is shared. Packets cost, not bytes: 172 and 1200 bytes measured alike.
 */
const PACKETS_PER_SECOND_AND_CORE = Math.floor(260_000 / 3)
/** Measured: 17 MiB with 100 sessions, so 174 KiB each. The rest is for what waits in the kernel, and for TLS. */
const BYTES_PER_ALLOCATION = 256 * 1024
/** Of all memory; the other half is for the control plane, the system and its file cache. */
const SHARE_OF_MEMORY = 0.5
/** One socket toward the client, one toward the peers. */
const FILES_PER_ALLOCATION = 2
/** Listeners, log, database, command line, and connections that never authenticate. */
const RESERVED_FILES = 500
/** A relayed packet passes the relay once for each allocation on its way: that of the sender, that of the receiver. There is no third. */
const MOST_ALLOCATIONS_ON_THE_WAY = 2

const PORTS_PER_CORE = 1000
const LEAST_PORTS = 200
const MOST_PORTS = 16_384

export function sizeOf ({ cores, memoryBytes, fdLimit, portRange, capacityBytesPerSecond, assumptions }: SizingNeeds): Sizing {
  const assumed = { ...ASSUMED, ...assumptions }
  const { kbpsPerDirection, packetBytes, allocationsPerCall } = assumed
  const bytesPerSecond = kbpsPerDirection * 1000 / 8
  const passes = 2 * Math.min(MOST_ALLOCATIONS_ON_THE_WAY, allocationsPerCall)
  const packets = passes * bytesPerSecond / packetBytes
  const limit = (name: LimitName, calls: number, why: string): Limit => ({ name, calls: Math.max(0, Math.floor(calls)), why })
  const limits = [
    limit('processors', cores * PACKETS_PER_SECOND_AND_CORE / packets, `${cores} of them, ${figure(PACKETS_PER_SECOND_AND_CORE)} packets/s each (a third of what was measured); a call passes ${figure(Math.ceil(packets))} packets/s`),
    limit('memory', allocationsIn(memoryBytes) / allocationsPerCall, `half of ${figure(Math.floor(memoryBytes / 2 ** 20))} MiB, 0.25 MiB for an allocation`),
    limit('open files', allocationsWith(fdLimit) / allocationsPerCall, `${figure(fdLimit)} for a process, ${RESERVED_FILES} kept back, 2 for an allocation`),
    limit('relay ports', portRange / allocationsPerCall, `${figure(portRange)}, 1 for an allocation`),
    // Each pass is from a client or to one.
    ...(capacityBytesPerSecond === null ? [] : [limit('bandwidth', capacityBytesPerSecond / (passes * bytesPerSecond), `${figure(Math.floor(capacityBytesPerSecond / 1000))} kB/s both ways; a call takes ${figure(Math.ceil(passes * bytesPerSecond / 1000))} kB/s`)]),
  ]
  const least = limits.reduce((a, b) => (b.calls < a.calls ? b : a))
  return { calls: least.calls, limitedBy: least.name, limits, assumptions: assumed }
}

/** How many relay ports a machine opens where nobody has said: as many allocations as it can hold, and no more holes in the firewall than that. */
export function portRangeFor ({ cores, memoryBytes, fdLimit }: Machine): number {
  const most = Math.min(PORTS_PER_CORE * cores, allocationsIn(memoryBytes), allocationsWith(fdLimit), MOST_PORTS)
  return Math.max(LEAST_PORTS, Math.floor(most))
}

/** The last relay port where nobody has said: as many as the machine can use, and short of a port that something else listens on. */
export function lastRelayPort (minPort: number, machine: Machine, taken: readonly number[]): number {
  const wanted = Math.min(65_535, minPort + portRangeFor(machine) - 1)
  return Math.min(wanted, ...taken.filter(port => port > minPort).map(port => port - 1))
}

function allocationsIn (memoryBytes: number): number {
  return memoryBytes * SHARE_OF_MEMORY / BYTES_PER_ALLOCATION
}

function allocationsWith (fdLimit: number): number {
  return (fdLimit - RESERVED_FILES) / FILES_PER_ALLOCATION
}

function figure (amount: number): string {
  return amount.toLocaleString('en-US')
}
