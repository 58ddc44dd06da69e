/** Keeps a second process off a data directory: a lock file with the holder's pid and start time, so that a killed holder locks nobody out. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { TurnpikeError } from '../protocol/errors.ts'

/** Takes the lock; returns how to give it back. Throws data-dir-locked while its holder lives. */
export function takeLock (path: string): () => void {
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
