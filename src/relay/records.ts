/**
 * coturn's own SQLite user database (`userdb`): the secrets it accepts, read by it at each authentication, written by us alone.
 * Tables as coturn's dbd_sqlite.c makes them, 4.6.1 to 4.18.0.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { UserDatabaseHome } from './driver.ts'

const FILE = 'turndb'
/** A write waits for nobody but another write of ours. */
const BUSY_MS = 2000

export class UserDatabase {
  readonly #database: DatabaseSync
  readonly #realm: string

  /** Opens or makes it so that coturn's user can read it. Throws what the file system says. */
  constructor ({ directory, owner }: UserDatabaseHome, realm: string) {
    this.#realm = realm
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const file = `${directory}/${FILE}`
    this.#database = new DatabaseSync(file, { timeout: BUSY_MS })
    // A log of its own (WAL): a reader is never turned away while we write, and coturn takes being turned away for a wrong password.
    this.#database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS turn_secret (realm varchar(127) default '', value varchar(256), primary key (realm, value));
    `)
    const paths = [directory, ...['', '-wal', '-shm'].map(end => `${file}${end}`)].filter(existsSync)
    for (const path of paths) handOver(path, path === directory, owner)
  }

  /** Replaces all secrets at once. coturn takes the new ones from its next authentication on; live allocations notice nothing. */
  write (secrets: readonly string[]): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      this.#database.prepare('DELETE FROM turn_secret').run()
      const insert = this.#database.prepare('INSERT INTO turn_secret (realm, value) VALUES (?, ?)')
      for (const secret of new Set(secrets)) insert.run(this.#realm, secret)
      this.#database.exec('COMMIT')
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  close (): void {
    this.#database.close()
  }
}

/** Where coturn has ended for good, its copy of the secrets goes too. */
export function removeUserDatabase ({ directory }: Pick<UserDatabaseHome, 'directory'>): void {
  rmSync(directory, { recursive: true, force: true })
}

/** coturn's user must be able to write there too: reading a database with a log takes its lock file. */
function handOver (path: string, isDirectory: boolean, owner: UserDatabaseHome['owner']): void {
  if (owner === null) return
  try {
    chownSync(path, owner.uid, owner.gid)
    chmodSync(path, isDirectory ? 0o700 : 0o600)
  } catch {
    // Root in a container without the right to give files away. The directory above is closed to everybody else.
    chmodSync(path, isDirectory ? 0o777 : 0o666)
  }
}
