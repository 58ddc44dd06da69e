/** A stretch of work that must not be left half done: neither Ctrl-C nor a lost terminal ends it. Signals and streams belong to the process, so this is said once for all of it. */
import { createServer } from 'node:net'
import { TurnpikeError } from '../../protocol/errors.ts'

const SIGNALS = ['SIGINT', 'SIGHUP'] as const
/** What is written to a terminal that is gone fails, and would end us. */
const unheard = (): void => {}
let underWay = 0

/** Other programs get a session of their own meanwhile: the terminal tells its whole group. */
export const isUndisturbed = (): boolean => underWay > 0

export async function undisturbed<T> (say: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const goOn = (signal: string): void => say(`${signal} is not heard now: stopping half way would leave nothing running. It ends by itself`)
  for (const signal of SIGNALS) process.on(signal, goOn)
  for (const stream of [process.stdout, process.stderr]) if (!stream.listeners('error').includes(unheard)) stream.on('error', unheard)
  underWay++
  try {
    return await work()
  } finally {
    underWay--
    for (const signal of SIGNALS) process.off(signal, goOn)
  }
}

/** One at a time of this name on this machine. The kernel holds it, and lets go when this process has ended, however that was. Throws deployment-failed. */
export async function oneAtATime<T> (name: string, work: () => Promise<T>): Promise<T> {
  if (process.platform !== 'linux') return await work()
  const holder = createServer()
  await new Promise<void>((resolve, reject) => {
    holder.once('error', error => reject(new TurnpikeError('deployment-failed', (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'another upgrade is under way; wait until it has ended' : error.message, { cause: error })))
    // The abstract namespace: no file, so none is left behind.
    holder.listen(`\0turnpike-${name}`, resolve)
  })
  try {
    return await work()
  } finally {
    holder.close()
  }
}
