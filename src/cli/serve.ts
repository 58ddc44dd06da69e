/** `turnpike serve`: builds the app out of the process's world, starts it, says what a person needs, and ends it at a signal. */
import { rmSync, writeFileSync } from 'node:fs'
import { createApp, type App } from '../app.ts'
import type { Loaded } from '../config/load.ts'
import { controlFileOf, type ControlFile } from './api-client.ts'
import { firstKeysFile, keepFirstKeys } from './first-keys.ts'
import { createLogger } from './logger.ts'
import { stopSignal } from './stop-signal.ts'
import { renderSummary } from './summary.ts'
import { trimMemory } from './trim-memory.ts'

/** Everything must be gone 3 s after Ctrl-C; the rest is for the process itself. */
const STOP_DEADLINE_MS = 2500

const LEFT_MS = 200

export type ServeOptions = { env: Readonly<Record<string, string | undefined>>, version: string, installRelay: boolean }

/** Runs until SIGINT or SIGTERM; resolves to the exit code. */
export async function serve ({ config }: Loaded, { env, version, installRelay }: ServeOptions): Promise<number> {
  const log = createLogger(config.log.level, process.stderr.isTTY === true)
  // A reader that went away (`npm start | head`) is no reason to end.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  const asked = stopSignal()
  const app = createApp(config, {
    nowSeconds: () => Math.floor(Date.now() / 1000),
    log,
    version,
    programPath: (env['PATH'] ?? '').split(':').filter(directory => directory !== ''),
    dockerHost: env['DOCKER_HOST'],
    env,
    installRelay,
  })
  const atTerminal = process.stdout.isTTY === true
  // Before anything else can fail: they are made once.
  if (!atTerminal) keepFirstKeys(config.dataDir, app.firstKeys())
  // Before there is anybody who would have to wait.
  trimMemory()
  const started = app.start()
  const first = await Promise.race([started.then(() => 'started' as const), asked])
  if (first === 'started') {
    leaveControlFile(config.dataDir, { url: app.url(), key: app.lendAdminKey() })
    const publicHost = config.publicHost ?? app.relayHealth().publicAddress
    process.stdout.write(renderSummary(app, { callPage: config.callPage === 'open', publicHost, atTerminal, keysFile: firstKeysFile(config.dataDir) }))
    log.info({ signal: await asked }, 'stopping')
  }
  rmSync(controlFileOf(config.dataDir), { force: true })
  await stopApp(app, started)
  // Whatever is still open (an image that is being pulled) is nobody's any more.
  setTimeout(() => process.exit(0), LEFT_MS).unref()
  return 0
}

/** Lets the command line of whoever may read the data directory in. On a disk that is full it is done without. */
function leaveControlFile (dataDir: string, control: ControlFile): void {
  try {
    rmSync(controlFileOf(dataDir), { force: true })
    writeFileSync(controlFileOf(dataDir), JSON.stringify(control), { mode: 0o600 })
  } catch {
    process.stderr.write('turnpike: note: the data directory cannot be written; the command line needs --url and a key until the next start\n')
  }
}

async function stopApp (app: App, started: Promise<void>): Promise<void> {
  const forced = setTimeout(() => {
    process.stderr.write('turnpike: something did not end in time and was left\n')
    process.exit(1)
  }, STOP_DEADLINE_MS + 300)
  forced.unref()
  await Promise.race([started.catch(() => {}), new Promise(resolve => setTimeout(resolve, 500))])
  await app.stop(STOP_DEADLINE_MS - 500)
  clearTimeout(forced)
}
