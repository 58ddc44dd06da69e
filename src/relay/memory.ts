/** How much memory coturn's container may use: beyond it the kernel ends coturn, instead of whatever else runs on the machine. */
import type { Config } from '../config/schema.ts'

const MIB = 2 ** 20
/** Measured: 17 MiB with 100 sessions, so 174 KiB each (docs/sizing.md). Four times what is planned with, because the kernel's own buffers of slow clients count too. */
const BYTES_PER_PORT = MIB
/** Without a session, and for connections that never authenticate. */
const BYTES_AT_REST = 256 * MIB
/** Of all memory: half of it is planned for sessions. */
const MOST_SHARE = 0.75
const LEAST_BYTES = 128 * MIB

/** What is set, else enough for a session on each relay port, and never so much that the machine has nothing left. */
export function memoryFor ({ memoryBytes, minPort, maxPort }: Pick<Config['relay'], 'memoryBytes' | 'minPort' | 'maxPort'>, machineBytes: number): number {
  if (memoryBytes !== undefined) return memoryBytes
  const wanted = BYTES_AT_REST + (maxPort - minPort + 1) * BYTES_PER_PORT
  // In whole steps: what the machine says of itself varies a little from kernel to kernel, and another limit is another container.
  const most = Math.floor(machineBytes * MOST_SHARE / (64 * MIB)) * 64 * MIB
  return Math.max(LEAST_BYTES, Math.min(wanted, most))
}
