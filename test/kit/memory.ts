/** What is in use once everything that nobody holds is gone. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export function heapInUse (): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
