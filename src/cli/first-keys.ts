/** The keys that the first start makes: shown at a terminal, else kept in a file for whoever may read the data directory, because what is printed elsewhere stays in a log. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { ERRORS, TurnpikeError } from '../protocol/errors.ts'
import type { Input, World } from './command.ts'
import { loadOrComplain } from './settings.ts'

export type FirstKeys = { adminKey: string | null, apiKey: string | null }

const fileOf = (dataDir: string): string => `${dataDir}/first-keys`

/** Writes them down as variables, readable by their owner alone. */
export function keepFirstKeys (dataDir: string, { adminKey, apiKey }: FirstKeys): void {
  const lines = [['TURNPIKE_API_KEY', apiKey], ['TURNPIKE_ADMIN_KEY', adminKey]].filter(([, key]) => key !== null).map(([name, key]) => `${name}=${key}\n`)
  if (lines.length === 0) return
  rmSync(fileOf(dataDir), { force: true })
  writeFileSync(fileOf(dataDir), lines.join(''), { mode: 0o600, flag: 'wx' })
}

/** Where they stand, if they do. */
export function firstKeysFile (dataDir: string): string | null {
  const file = fileOf(dataDir)
  return existsSync(file) ? file : null
}

/** Throws file-unusable where they are there and cannot be read. */
function keptFirstKeys (dataDir: string): { file: string, text: string } | null {
  const file = fileOf(dataDir)
  try {
    return { file, text: readFileSync(file, 'utf8') }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new TurnpikeError('file-unusable', `${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/** `turnpike keys first`: prints them, and with --delete takes the file away. */
export function firstKeys ({ switches }: Input, { env }: World): number {
  const loaded = loadOrComplain(env)
  if (loaded === null) return ERRORS['config-invalid'].exit
  const kept = keptFirstKeys(loaded.config.dataDir)
  if (kept === null) throw new TurnpikeError('not-found', `there is no ${fileOf(loaded.config.dataDir)}: the first keys were shown at a terminal, set by you, or deleted`)
  process.stdout.write(kept.text)
  if (switches.has('delete')) rmSync(kept.file)
  else process.stderr.write(`turnpike: note: they stand in ${kept.file} until turnpike keys first --delete\n`)
  return 0
}
