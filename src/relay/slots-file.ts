/** Which of a relay's two coturns serves, what is being drained, and what an operator said: kept, because they outlive this process. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Slot } from './sites.ts'

export type Slots = {
  serving: Slot
  /** The other one, which is being drained: when it is ended at the latest (Unix seconds), and its version, which decides how it is drained. */
  leaving: { until: number, version: string | null } | null
  /** The serving one is being drained, to be out of service then, or to be started again. */
  pending: { kind: 'drain' | 'restart', until: number, version: string | null } | null
  /** Taken out of service by an operator. */
  isDrained: boolean
  /** The image that an upgrade brought, and the setting that it was brought in place of: another setting counts again. */
  image: { name: string, insteadOf: string } | null
}

const NONE: Slots = { serving: 'main', leaving: null, pending: null, isDrained: false, image: null }

export function readSlots (directory: string): Slots {
  try {
    return { ...NONE, ...JSON.parse(readFileSync(pathOf(directory), 'utf8')) as Partial<Slots> }
  } catch {
    // None yet, or one that cannot be read: then the main one serves.
    return NONE
  }
}

/** Throws what the file system says. */
export function writeSlots (directory: string, slots: Slots): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  writeFileSync(`${pathOf(directory)}.new`, JSON.stringify(slots), { mode: 0o600 })
  renameSync(`${pathOf(directory)}.new`, pathOf(directory))
}

function pathOf (directory: string): string {
  return `${directory}/slots.json`
}
