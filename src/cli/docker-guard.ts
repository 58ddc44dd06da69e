/** `turnpike docker-guard`: stays between Turnpike and the Docker engine until a signal ends it. */
import { resolve as resolvePath } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Config } from '../config/schema.ts'
import type { Input } from './command.ts'
import type { GuardTask } from './guard-program.ts'

const ENGINE = '/var/run/docker.sock'
const LISTEN = '/guard/docker.sock'
const PROGRAM = fileURLToPath(new URL('./guard-program.ts', import.meta.url))

/** Becomes the guard; this process is replaced by one that has a third of the memory, under the same id. */
export function dockerGuard ({ options: { engine = ENGINE, listen = LISTEN } }: Input, config: Config): never {
  const task: GuardTask = { engine, listen, dataDir: resolvePath(config.dataDir), images: imagesOf(config), logLevel: config.log.level }
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, PROGRAM, JSON.stringify(task)])
  throw new TurnpikeError('internal', 'this system has no execve')
}

/** Every image that the settings name. */
function imagesOf ({ relay, relays, guard }: Config): string[] {
  return [...new Set([relay.image, ...Object.values(relays).flatMap(({ image }) => image ?? []), ...guard.images])]
}
