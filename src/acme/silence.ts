/** Until when an authority wants to hear nothing, written down for the next process. */
import { readText, replaceFile } from './files.ts'
import { LONGEST_SECONDS } from './schedule.ts'

export type Silence = { /** The directory of the authority that asked for it. */ authority: string, /** Unix seconds. */ until: number, /** Its words. */ reason: string }

/** Null where this authority has asked for none that still lasts, or only a clock that went wrong says so. */
export function readSilence (file: string, authority: string, now: number): Silence | null {
  const silence = parse(readText(file) ?? 'null')
  return silence !== null && silence.authority === authority && silence.until > now && silence.until <= now + LONGEST_SECONDS ? silence : null
}

/** Throws data-dir-unwritable. */
export function writeSilence (file: string, silence: Silence): void {
  replaceFile(file, JSON.stringify(silence))
}

function parse (text: string): Silence | null {
  try {
    const { authority, until, reason } = JSON.parse(text) as Partial<Silence>
    return typeof authority === 'string' && typeof until === 'number' && typeof reason === 'string' ? { authority, until, reason } : null
  } catch {
    return null
  }
}
