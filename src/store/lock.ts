/**
 * Keeps a second process off a data directory. Two marks, because neither is enough: a lock of the kernel, which also holds between containers,
 * where a pid of the other one means nothing; and a file with the holder's pid and start time, which tells who it is, and which versions before read.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { TurnpikeError } from '../protocol/errors.ts'

/** SQLITE_BUSY */
const BUSY = 5

/** Takes the lock; returns how to give it back. Throws data-dir-locked while its holder lives. */
export function takeLock (path: string): () => void {
  const letGo = lockInKernel(path)
  try {
    const remove = markWith(path)
    return () => {
      remove()
      letGo()
    }
  } catch (error) {
    letGo()
    throw error
  }
}

/** SQLite's own lock on an empty database: it goes with the process that holds it, however that ends, and pids play no part. */
function lockInKernel (path: string): () => void {
  const file = `${path}.held`
  make(file)
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (!isBusy(error)) throw error
    throw new TurnpikeError('data-dir-locked', `${path} is held by ${holderInWords(path)}`, { cause: error })
  }
  return () => database.close()
}

/** One that is there is never opened by us and closed again: the kernel would take that for the end of a lock that this process has. */
function make (file: string): void {
  try {
    writeFileSync(file, '', { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

export function isBusy (error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === BUSY
}

function holderInWords (path: string): string {
  try {
    const pid = readHolder(path)
    return pid === null ? 'another process, in another container' : `pid ${pid}`
  } catch {
    return 'another process'
  }
}

function markWith (path: string): () => void {
  const mine = `${process.pid} ${startedAt(process.pid)}`
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(path, mine, { flag: 'wx', mode: 0o600 })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const holder = readHolder(path)
      if (holder !== null) throw new TurnpikeError('data-dir-locked', `${path} is held by pid ${holder}`)
      rmSync(path, { force: true })
    }
  }
  throw new TurnpikeError('data-dir-locked', `${path} is being taken by another process`)
}

/** The pid of the process that holds the lock, or null where it has ended. */
function readHolder (path: string): number | null {
  const [pid = '', since = ''] = readFileSync(path, 'utf8').split(' ')
  return since !== '' && startedAt(Number(pid)) === since ? Number(pid) : null
}

/** When a process started (proc(5), stat field 22), so that a pid that was given away again is told apart; elsewhere than on Linux whether it lives. */
function startedAt (pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? '' : rest[18] ?? ''
  } catch {
    return process.platform === 'linux' ? '' : livesElsewhere(pid)
  }
}

function livesElsewhere (pid: number): string {
  try {
    process.kill(pid, 0)
    return 'alive'
  } catch {
    return ''
  }
}
