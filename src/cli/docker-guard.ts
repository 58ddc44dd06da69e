/** `turnpike docker-guard`: stays between Turnpike and the Docker engine until a signal ends it. */
import { resolve as resolvePath } from 'node:path'
import type { Config } from '../config/schema.ts'
import { createGuard } from '../guard/guard.ts'
import { UsageError, type Input } from './command.ts'
import { createLogger } from './logger.ts'
import { stopSignal } from './stop-signal.ts'

const ENGINE = '/var/run/docker.sock'
const LISTEN = '/guard/docker.sock'
const STOP_MS = 1000

/** Resolves to the exit code. */
export async function dockerGuard ({ options: { engine = ENGINE, listen = LISTEN } }: Input, config: Config): Promise<number> {
  const asked = stopSignal()
  const log = createLogger(config.log.level, process.stderr.isTTY === true)
  const guard = createGuard({ engine, listen, dataDir: resolvePath(config.dataDir), images: imagesOf(config), log })
  await guard.start().catch((error: unknown) => { throw new UsageError(`--listen ${listen}: ${(error as Error).message}`) })
  log.info({ signal: await asked }, 'stopping')
  await guard.stop(STOP_MS)
  return 0
}

/** Every image that the settings name. */
function imagesOf ({ relay, relays, guard }: Config): string[] {
  return [...new Set([relay.image, ...Object.values(relays).flatMap(({ image }) => image ?? []), ...guard.images])]
}
