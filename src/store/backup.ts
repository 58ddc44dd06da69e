/** Copies of the database: one before each change of its schema, one whenever somebody asks, and the way back. */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { TurnpikeError } from '../protocol/errors.ts'
import { isBusy, takeLock } from './lock.ts'

const KEPT = 3
const PREFIX = 'before-upgrade-'

/** A whole and consistent copy, while others read and write. Everything is in it, secrets too: its owner alone can read it. */
export function backUp (database: DatabaseSync, file: string): void {
  // Made beforehand, so that there is no moment in which others can read it: VACUUM INTO takes an empty file.
  closeSync(openSync(file, 'wx', 0o600))
  try {
    database.prepare('VACUUM INTO ?').run(file)
  } catch (error) {
    rmSync(file, { force: true })
    throw error
  }
}

/** Into backups/ next to the database; the newest three of these stay. */
export function backUpBefore (database: DatabaseSync, directory: string): void {
  const backups = `${directory}/backups`
  mkdirSync(backups, { recursive: true, mode: 0o700 })
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
  backUp(database, `${backups}/${PREFIX}${stamp}.db`)
  const old = readdirSync(backups).filter(name => name.startsWith(PREFIX)).sort().slice(0, -KEPT)
  for (const name of old) rmSync(`${backups}/${name}`, { force: true })
}

/**
 * Puts a copy in the place of the database of a data directory that no process uses; what was there is kept beside it.
 * Returns where that is, or null where there was none. Throws store-damaged, data-dir-locked or data-dir-unwritable.
 */
export function restore (file: string, directory: string): string | null {
  requireWhole(file)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const release = takeLock(`${directory}/turnpike.lock`)
  const target = `${directory}/turnpike.db`
  const incoming = `${target}.incoming`
  try {
    rmSync(incoming, { force: true })
    const source = new DatabaseSync(file, { readOnly: true })
    backUp(source, incoming)
    source.close()
    chmodSync(incoming, 0o600)
    const kept = existsSync(target) ? `${directory}/turnpike-before-restore-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.db` : null
    if (kept !== null) settle(target, kept)
    renameSync(incoming, target)
    return kept
  } finally {
    // Every secret is in it.
    rmSync(incoming, { force: true })
    release()
  }
}

/**
 * What stands in the write-ahead log goes into the file before it is put away: the log would be taken for that of the new one.
 * SQLite refuses that while anybody else has the file open: a server of an older version in another container, whose lock says nothing here.
 */
function settle (target: string, kept: string): void {
  const old = new DatabaseSync(target, { timeout: 0 })
  try {
    old.exec('PRAGMA journal_mode = DELETE')
  } catch (error) {
    if (isBusy(error)) throw new TurnpikeError('data-dir-locked', `${target} is open in another process`, { cause: error })
    // A damaged one is why people restore.
  } finally {
    old.close()
  }
  renameSync(target, kept)
  for (const suffix of ['-wal', '-shm']) if (existsSync(target + suffix)) renameSync(target + suffix, kept + suffix)
}

function requireWhole (file: string): void {
  if (!existsSync(file)) throw new TurnpikeError('store-damaged', `there is no file ${file}`)
  try {
    const database = new DatabaseSync(file, { readOnly: true })
    const [check] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[]
    const isOurs = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").get() !== undefined
    database.close()
    if (check?.quick_check === 'ok' && isOurs) return
    throw new TurnpikeError('store-damaged', `${file}: ${isOurs ? String(check?.quick_check) : 'is no backup of Turnpike'}`)
  } catch (error) {
    if (error instanceof TurnpikeError) throw error
    throw new TurnpikeError('store-damaged', `${file}: ${(error as Error).message}`, { cause: error })
  }
}
