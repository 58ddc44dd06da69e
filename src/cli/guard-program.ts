/** The process that `turnpike docker-guard` becomes: its only argument is what the settings said, so that nothing that reads settings is in memory. */
import { createGuard, type GuardNeeds } from '../guard/guard.ts'
import { describeFailure } from './failure.ts'
import { createLogger } from './logger.ts'
import { stopSignal } from './stop-signal.ts'
import { trimMemory } from './trim-memory.ts'

export type GuardTask = Omit<GuardNeeds, 'log'> & { logLevel: string }

const STOP_MS = 1000
const USAGE = 64

const { logLevel, ...needs } = JSON.parse(process.argv[2] ?? '') as GuardTask
const asked = stopSignal()
const log = createLogger(logLevel, process.stderr.isTTY === true)
const guard = createGuard({ ...needs, log })
process.on('uncaughtException', end)
process.on('unhandledRejection', end)

try {
  await guard.start()
} catch (error) {
  process.stderr.write(`turnpike: --listen ${needs.listen}: ${(error as Error).message}\n`)
  process.exit(USAGE)
}
trimMemory()
log.info({ signal: await asked }, 'stopping')
await guard.stop(STOP_MS)

function end (error: unknown): void {
  process.stderr.write(describeFailure(error))
  process.exit(70)
}
