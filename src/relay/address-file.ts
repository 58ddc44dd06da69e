/** The addresses that were found last, in a file: at the next start nobody may be there to ask, and other addresses would be another coturn. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Addresses } from './public-address.ts'

export function readAddresses (file: string): Addresses | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Addresses
  } catch {
    // None yet, or one that cannot be read: they are found anew.
    return null
  }
}

/** Not what was only guessed. On a disk that is full it is done without. */
export function writeAddresses (file: string, addresses: Addresses): void {
  if (addresses.isGuess) return
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, JSON.stringify(addresses), { mode: 0o600 })
  } catch {
    // The next start asks again.
  }
}
