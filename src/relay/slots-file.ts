/** Which of a relay's two coturns serves, which one is being drained, and what an operator said: kept, because they outlive this process. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Slot } from './sites.ts'

export type Slots = {
  serving: Slot
  /** When the other one, which is being drained, is ended at the latest (Unix seconds); null where there is none. */
  leavingUntil: number | null
  /** Taken out of service by an operator. */
  isDrained: boolean
  /** The image that an upgrade brought, and the setting that it was brought in place of: another setting counts again. */
  image: { name: string, insteadOf: string } | null
}

const NONE: Slots = { serving: 'main', leavingUntil: null, isDrained: false, image: null }

export function readSlots (directory: string): Slots {
  try {
    const { serving = 'main', leavingUntil = null, isDrained = false, image = null } = JSON.parse(readFileSync(pathOf(directory), 'utf8')) as Partial<Slots>
    return { serving, leavingUntil, isDrained, image }
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
