/** What is in use once everything that nobody holds is gone: objects, and the bytes of buffers, which are not among them. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const collect = ((): () => void => {
  setFlagsFromString('--expose-gc')
  // Compiled code that is not used for a while would go, and hide as much that stays.
  setFlagsFromString('--no-flush-bytecode')
  return runInNewContext('gc') as () => void
})()

export function memoryInUse (): number {
  // What the first finds in buffers is given back by the second.
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
