/**
 * Follows the file that coturn writes its log to. The file is a spool: what was read goes on to our log, and the file is emptied again,
 * so that it neither grows nor keeps what coturn tells of its configuration.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'

const POLL_MS = 100
const MOST_BYTES_AT_ONCE = 1_048_576

/** Calls back for each line; returns how to stop. coturn holds the file open for appending, so that emptying it loses no place. */
export function followLog (path: string, onLine: (line: string) => void): () => void {
  const file = openSync(path, 'r+')
  let rest = ''
  const poll = (): void => {
    const size = fstatSync(file).size
    if (size === 0) return
    const bytes = Buffer.alloc(Math.min(size, MOST_BYTES_AT_ONCE))
    const count = readSync(file, bytes, 0, bytes.length, 0)
    ftruncateSync(file, 0)
    const lines = (rest + bytes.toString('utf8', 0, count)).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(onLine)
  }
  const timer = setInterval(poll, POLL_MS)
  return () => {
    clearInterval(timer)
    poll()
    closeSync(file)
  }
}
