/** The one SQLite file (node:sqlite): opened safely, migrated forward, and told apart from a damaged, newer or occupied one. */
import { chmodSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import { backUp, backUpBefore } from './backup.ts'
import { takeLock } from './lock.ts'

/** One step of the schema. Steps run once, in the order in which they are listed, and never change once they have shipped. */
export type Migration = { name: string, sql: string }

/** Every method throws store-unwritable where something must be written and cannot be: a full disk, a read-only file. */
export type Store = {
  all<T> (sql: string, ...values: SQLInputValue[]): T[]
  get<T> (sql: string, ...values: SQLInputValue[]): T | undefined
  run (sql: string, ...values: SQLInputValue[]): void
  transaction<T> (work: () => T): T
  /** Can something be written now? Tried for real: false on a full disk or a read-only file system. */
  isWritable (): boolean
  /** Writes a whole copy to a file that does not exist yet, readable by its owner alone. */
  backUpTo (file: string): void
  close (): void
}

const RETRY_AFTER_SECONDS = 5
const OWN_MIGRATIONS: readonly Migration[] = [
  { name: 'store: write check', sql: 'CREATE TABLE write_check (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT' },
]

/** Opens (or makes) the database. Throws data-dir-unwritable, data-dir-locked or store-damaged. */
export function openStore (file: string, migrations: readonly Migration[]): Store {
  const directory = dirname(file)
  const releaseLock = explaining(directory, () => {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    return takeLock(`${directory}/turnpike.lock`)
  })
  try {
    return explaining(directory, () => {
      const isNew = !existsSync(file)
      const database = openDatabase(file)
      migrate(database, [...OWN_MIGRATIONS, ...migrations], () => { if (!isNew) backUpBefore(database, directory) })
      return storeOver(database, releaseLock)
    })
  } catch (error) {
    releaseLock()
    throw error
  }
}

function storeOver (database: DatabaseSync, releaseLock: () => void): Store {
  const prepared = new Map<string, StatementSync>()
  const statement = (sql: string): StatementSync => {
    const found = prepared.get(sql) ?? database.prepare(sql)
    prepared.set(sql, found)
    return found
  }
  const transaction: Store['transaction'] = work => writing(() => {
    // A part of a greater transaction is one with it.
    if (database.isTransaction) return work()
    database.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      database.exec('COMMIT')
      return result
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  })
  return {
    all: <T>(sql: string, ...values: SQLInputValue[]) => statement(sql).all(...values) as T[],
    get: <T>(sql: string, ...values: SQLInputValue[]) => statement(sql).get(...values) as T | undefined,
    run: (sql, ...values) => { writing(() => statement(sql).run(...values)) },
    transaction,
    isWritable: () => tryWriting(database, statement),
    backUpTo: path => writing(() => backUp(database, path)),
    close: () => {
      database.close()
      releaseLock()
    },
  }
}

/** SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: nothing is wrong with what was asked, only with where it is to be written. */
const UNWRITABLE: ReadonlySet<number> = new Set([5, 6, 8, 10, 13, 14])

function writing<T> (work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { errcode, message } = error as Error & { errcode?: number }
    if (errcode === undefined || !UNWRITABLE.has(errcode & 0xFF)) throw error
    throw new TurnpikeError('store-unwritable', `the database says: ${message}`, { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS })
  }
}

function tryWriting (database: DatabaseSync, statement: (sql: string) => StatementSync): boolean {
  try {
    statement('INSERT INTO write_check (id, text) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET text = excluded.text').run(String(performance.now()).padEnd(4096, '.'))
    return true
  } catch {
    if (database.isTransaction) database.exec('ROLLBACK')
    return false
  }
}

function openDatabase (file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 500, enableForeignKeyConstraints: true })
  chmodSync(file, 0o600)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  const [check] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[]
  if (check?.quick_check !== 'ok') throw new TurnpikeError('store-damaged', `${file}: ${check?.quick_check}`)
  return database
}

/** `beforeFirst` is done before the first step that is new to a database that exists. */
function migrate (database: DatabaseSync, migrations: readonly Migration[], beforeFirst: () => void): void {
  database.exec('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT')
  const done = new Set((database.prepare('SELECT name FROM migrations').all() as { name: string }[]).map(({ name }) => name))
  const known = new Set(migrations.map(({ name }) => name))
  const unknown = [...done].find(name => !known.has(name))
  if (unknown !== undefined) throw new TurnpikeError('store-damaged', `the database was written by a newer version (it has '${unknown}')`)
  if (migrations.some(({ name }) => !done.has(name))) beforeFirst()
  for (const [position, { name, sql }] of migrations.entries()) {
    if (done.has(name)) continue
    database.exec('BEGIN IMMEDIATE')
    database.exec(sql)
    database.prepare('INSERT INTO migrations (name, position) VALUES (?, ?)').run(name, position)
    database.exec('COMMIT')
  }
}

/** Turns what the file system and SQLite say into errors with a cure. */
function explaining<T> (directory: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isTurnpikeError(error)) throw error
    const { message, code = '', errcode } = error as NodeJS.ErrnoException & { errcode?: number }
    const owner = code === 'EACCES' || (errcode !== undefined && [8, 14].includes(errcode & 0xFF)) ? strangeOwner(directory) : ''
    // SQLITE_CORRUPT and SQLITE_NOTADB; everything else that stops an open or a first write is about writing.
    const isDamaged = errcode !== undefined && ((errcode & 0xFF) === 11 || (errcode & 0xFF) === 26)
    throw new TurnpikeError(isDamaged ? 'store-damaged' : 'data-dir-unwritable', `${directory}: ${message}${code === '' || message.includes(code) ? '' : ` (${code})`}${owner}`, { cause: error })
  }
}

/** A volume of an earlier version, which ran as root, is the usual reason. */
function strangeOwner (directory: string): string {
  const [mine, its] = [process.getuid?.(), statSync(directory, { throwIfNoEntry: false })?.uid]
  return mine === undefined || its === undefined || mine === its ? '' : `; it belongs to user ${its}, and this is user ${mine}: give it to that one once, as root (chown -R ${mine}:${process.getgid?.()}; docs/operations.md has the line for Docker)`
}
