import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { ApiKeys } from '../../../src/access/api-keys.ts'
import { Projects } from '../../../src/access/projects.ts'
import { DEFAULT_PROJECT_SETTINGS } from '../../../src/protocol/project-settings.ts'
import { restore } from '../../../src/store/backup.ts'
import { openStore } from '../../../src/store/store.ts'
import { scratchDirectory } from '../../kit/files.ts'
import { ALL_MIGRATIONS, scratchStore } from '../../kit/store.ts'

const FIRST = { name: 'first', sql: 'CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT' }
const SECOND = { name: 'second', sql: 'ALTER TABLE things ADD COLUMN colour TEXT' }

test('before the schema of a database that exists is changed, a copy is made; the newest three stay, for their owner alone', () => {
  const directory = scratchDirectory()
  const file = `${directory}/turnpike.db`
  const open = (migrations: { name: string, sql: string }[]): void => openStore(file, migrations).close()
  open([FIRST])
  expect(readdirSync(directory)).not.toContain('backups')
  open([FIRST])
  expect(readdirSync(directory)).not.toContain('backups')
  open([FIRST, SECOND])
  const [copy = ''] = readdirSync(`${directory}/backups`)
  expect(statSync(`${directory}/backups/${copy}`).mode & 0o777).toBe(0o600)
  const database = new DatabaseSync(`${directory}/backups/${copy}`, { readOnly: true })
  expect(database.prepare('SELECT name FROM migrations WHERE name = ?').get('first')).toBeDefined()
  expect(database.prepare('SELECT name FROM migrations WHERE name = ?').get('second')).toBeUndefined()
  database.close()
  for (let i = 3; i < 7; i++) open([FIRST, SECOND, ...Array.from({ length: i - 2 }, (_, n) => ({ name: `more ${n}`, sql: `CREATE TABLE more_${n} (id INTEGER) STRICT` }))])
  expect(readdirSync(`${directory}/backups`)).toHaveLength(3)
})

test('what cannot be written now is told as that, and nothing is half done', () => {
  const store = scratchStore()
  const other = new DatabaseSync(`${store.directory}/turnpike.db`)
  onTestFinished(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  expect(() => store.run("INSERT INTO projects (id, created_at) VALUES ('a', 1)")).toThrow(expect.objectContaining({ code: 'store-unwritable', retryAfterSeconds: 5 }))
  expect(() => store.transaction(() => 1)).toThrow(expect.objectContaining({ code: 'store-unwritable' }))
  expect(store.isWritable()).toBe(false)
  other.exec('ROLLBACK')
  expect(() => store.transaction(() => {
    store.run("INSERT INTO projects (id, created_at) VALUES ('a', 1)")
    throw new Error('no')
  })).toThrow('no')
  expect(store.all('SELECT id FROM projects')).toEqual([])
}, 30_000)

test('a backup is whole and private, goes back into another directory, and what was there is kept', () => {
  const store = scratchStore()
  store.run("INSERT INTO projects (id, created_at) VALUES ('kept', 1)")
  const file = `${scratchDirectory()}/copy.db`
  store.backUpTo(file)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(() => store.backUpTo(file)).toThrow(expect.objectContaining({ code: 'EEXIST' }))
  const elsewhere = scratchDirectory()
  expect(restore(file, elsewhere)).toBeNull()
  const second = scratchStore(elsewhere)
  expect(second.all('SELECT id FROM projects')).toEqual([{ id: 'kept' }])
  second.run("INSERT INTO projects (id, created_at) VALUES ('lost', 1)")
  expect(() => restore(file, elsewhere)).toThrow(expect.objectContaining({ code: 'data-dir-locked' }))
  second.close()
  const kept = restore(file, elsewhere) ?? ''
  expect(new DatabaseSync(kept, { readOnly: true }).prepare('SELECT id FROM projects ORDER BY id').all()).toEqual([{ id: 'kept' }, { id: 'lost' }])
  expect(scratchStore(elsewhere).all('SELECT id FROM projects')).toEqual([{ id: 'kept' }])
})

test('nothing is put back under a server in another container, whose pid means nothing here', () => {
  const directory = scratchDirectory()
  const store = scratchStore(directory)
  const file = `${scratchDirectory()}/copy.db`
  store.backUpTo(file)
  // As the lock of a holder in another PID namespace reads.
  writeFileSync(`${directory}/turnpike.lock`, '7 1')
  expect(() => restore(file, directory)).toThrow(expect.objectContaining({ code: 'data-dir-locked', message: expect.stringContaining('another container') }))
  expect(() => scratchStore(directory)).toThrow(expect.objectContaining({ code: 'data-dir-locked' }))
  store.close()
  // An older version holds no lock but that file, and has the database open.
  const older = new DatabaseSync(`${directory}/turnpike.db`)
  older.prepare('SELECT id FROM projects').all()
  expect(() => restore(file, directory)).toThrow(expect.objectContaining({ code: 'data-dir-locked' }))
  expect(readdirSync(directory).filter(name => name.includes('incoming'))).toEqual([])
  older.close()
  expect(restore(file, directory)).not.toBeNull()
})

test('what is no backup is not put back', () => {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/text`, 'no database at all, but long enough to be looked at')
  new DatabaseSync(`${directory}/foreign.db`).exec('CREATE TABLE a (b)')
  for (const name of ['missing', 'text', 'foreign.db']) expect(() => restore(`${directory}/${name}`, scratchDirectory()), name).toThrow(expect.objectContaining({ code: 'store-damaged' }))
})

test('a database of version 0.1 is brought forward: its keys, its secret and its project go on', () => {
  const directory = scratchDirectory()
  const of01 = ALL_MIGRATIONS.filter(({ name }) => name === 'access: projects and keys' || name === 'credentials: secrets')
  const old = openStore(`${directory}/turnpike.db`, of01)
  const text = 'tpk_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  old.run("INSERT INTO projects (id, created_at) VALUES ('default', 1)")
  old.run('INSERT INTO api_keys (id, project, digest, created_at) VALUES (?, ?, ?, 1)', '0123456789ab', 'default', createHash('sha256').update(text).digest())
  old.run("INSERT INTO turn_secrets (secret, created_at) VALUES ('the-secret-of-before', 1)")
  old.close()
  const store = scratchStore(directory)
  expect(new ApiKeys(store, {}, () => 2).callerOf(text)).toEqual({ kind: 'project', project: 'default', keyId: '0123456789ab', scopes: ['turn:issue', 'turn:revoke', 'rooms:token', 'rooms:admin', 'usage:read'], publishable: false })
  expect(store.all('SELECT secret, state, integration FROM turn_secrets')).toEqual([{ secret: 'the-secret-of-before', state: 'current', integration: null }])
  expect(new Projects(store, {}, () => 2).require('default').settings).toEqual(DEFAULT_PROJECT_SETTINGS)
  expect(readdirSync(`${directory}/backups`)).toHaveLength(1)
})

test('the audit log takes no change and no deletion, not even from us', () => {
  const store = scratchStore()
  store.run("INSERT INTO audit (at, actor, address, action, project, target, detail, request) VALUES (1, 'a', '', 'b', NULL, 'c', '{}', 'd')")
  expect(() => store.run("UPDATE audit SET actor = 'x'")).toThrow('only added to')
  expect(() => store.run('DELETE FROM audit')).toThrow('only added to')
})
