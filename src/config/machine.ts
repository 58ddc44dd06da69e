/** What this machine has for a relay: processors, memory and open files, as far as this process may use them. */
import { availableParallelism, totalmem } from 'node:os'

export type Machine = {
  cores: number
  memoryBytes: number
  /** Most files that one process may open: the hard limit, which coturn raises its own to. */
  fdLimit: number
}

/** What the kernel gives where nothing is said. */
const USUAL_FD_LIMIT = 1024 * 1024

/** `isOwn`: coturn runs within the limits of this process. As a container of its own it does not. */
export function measureMachine (readFile: (path: string) => string, isOwn: boolean): Machine {
  // A container may have less than the machine; where it has not, the number is 0 or beyond any machine.
  const memoryBytes = Math.min(totalmem(), isOwn ? process.constrainedMemory() || Infinity : Infinity)
  return { cores: availableParallelism(), memoryBytes, fdLimit: hardFileLimit(readFile) }
}

function hardFileLimit (readFile: (path: string) => string): number {
  try {
    const [, , hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFile('/proc/self/limits')) ?? []
    return /^\d+$/.test(hard) ? Number(hard) : USUAL_FD_LIMIT
  } catch {
    return USUAL_FD_LIMIT
  }
}
