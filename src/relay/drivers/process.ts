/** Runs coturn as a process of this machine, in a session of its own, so that it goes on relaying when we are killed. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, chownSync, closeSync, constants, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Log } from '../../lifecycle.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { parseVersion, refusalOf } from '../coturn-versions.ts'
import type { Driver, DriverEvents, Launch, Prepared, UserDatabaseHome } from '../driver.ts'
import { installCoturn, whyNotInstallable } from '../install-coturn.ts'
import { removeUserDatabase } from '../records.ts'
import { requireFreePorts } from './free-ports.ts'
import { followLog } from './log-file.ts'
import { pidsConfiguredBy, startTicksOf } from './process-table.ts'

export type ProcessNeeds = {
  /** Where coturn's files stand. */
  directory: string
  /** Directories that are searched for turnserver. */
  programPath: readonly string[]
  /** May coturn be installed where it is missing? */
  mayInstall: boolean
  log: Log
}
type Paths = Record<'conf' | 'cert' | 'key' | 'log' | 'state', string>
type Running = { pid: number, startTicks: string }

const POLL_MS = 50
/** From 4.6.2 on coturn takes seconds to end after SIGTERM, and saves nothing in them. */
const PATIENCE_MS = 800

export function createProcessDriver (needs: ProcessNeeds): Driver {
  return new ProcessDriver(needs)
}

class ProcessDriver implements Driver {
  readonly kind = 'process'
  readonly #needs: ProcessNeeds
  readonly #directory: string
  readonly #paths: Paths
  #program = ''
  #running: Running | null = null
  #stopWatching = (): void => {}

  constructor (needs: ProcessNeeds) {
    this.#needs = needs
    this.#directory = resolvePath(needs.directory)
    const at = (name: string): string => `${this.#directory}/${name}`
    // coturn reads the certificate again at SIGUSR2, when it is root no more: it stands where its user database does.
    const { directory: open } = userDatabaseOf(this.#directory)
    this.#paths = { conf: at('turnserver.conf'), cert: `${open}/cert.pem`, key: `${open}/key.pem`, log: at('turnserver.log'), state: at('turnserver.json') }
  }

  async prepare (): Promise<Prepared> {
    this.#program = findProgram(this.#needs.programPath) ?? install(this.#needs)
    return await inspect(this.#program, this.#paths, userDatabaseOf(this.#directory))
  }

  async start (launch: Launch, events: DriverEvents): Promise<{ adopted: boolean }> {
    const { adopted, ...found } = await takeOverOrStart(launch, this.#program, this.#directory, this.#paths)
    this.#watch(found, events)
    return { adopted }
  }

  async runsAnother (launch: Launch): Promise<boolean> {
    const found = findRunning(this.#paths)
    return found !== null && found.digest !== digestOf(launch, this.#program)
  }

  async takeOver (events: DriverEvents): Promise<Pick<Prepared, 'userDatabase'> | null> {
    const found = findRunning(this.#paths)
    if (found === null) return null
    this.#watch(found, events)
    const home = userDatabaseOf(this.#directory)
    return { userDatabase: { ...home, path: `${home.directory}/turndb` } }
  }

  async replaceTls (tls: NonNullable<Launch['tls']>): Promise<void> {
    if (this.#running === null) return
    writeTls(tls, this.#paths)
    process.kill(this.#running.pid, 'SIGUSR2')
  }

  async drain (): Promise<void> {
    if (this.#running !== null) process.kill(this.#running.pid, 'SIGUSR1')
  }

  async stop (deadlineMs: number): Promise<void> {
    this.#stopWatching()
    const pids = new Set([...(this.#running === null ? [] : [this.#running.pid]), ...pidsConfiguredBy(this.#paths.conf)])
    this.#running = null
    await Promise.all([...pids].map(pid => end(pid, Math.min(PATIENCE_MS, deadlineMs / 2))))
    rmSync(this.#paths.state, { force: true })
    removeUserDatabase(userDatabaseOf(this.#directory))
  }

  release (): void {
    this.#stopWatching()
  }

  #watch (found: Running, events: DriverEvents): void {
    this.#running = found
    const stopLog = followLog(this.#paths.log, events.onLogLine)
    const timer = setInterval(() => {
      if (startTicksOf(found.pid) === found.startTicks) return
      this.#stopWatching()
      this.#running = null
      events.onExit(new TurnpikeError('relay-stopped', `turnserver (pid ${found.pid}) has ended`))
    }, POLL_MS)
    this.#stopWatching = () => {
      clearInterval(timer)
      stopLog()
      this.#stopWatching = () => {}
    }
  }
}

async function takeOverOrStart (launch: Launch, program: string, directory: string, paths: Paths): Promise<Running & { adopted: boolean }> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const digest = digestOf(launch, program)
  const found = findRunning(paths)
  if (found?.digest === digest) {
    if (launch.tls !== null) {
      writeTls(launch.tls, paths)
      process.kill(found.pid, 'SIGUSR2')
    }
    return { pid: found.pid, startTicks: found.startTicks, adopted: true }
  }
  for (const pid of pidsConfiguredBy(paths.conf)) await end(pid, PATIENCE_MS)
  await requireFreePorts(launch.listen)
  writeFiles(launch, paths)
  const started = launchProgram(program, paths)
  writeFileSync(paths.state, JSON.stringify({ ...started, digest }), { mode: 0o600 })
  return { ...started, adopted: false }
}

function findProgram (programPath: readonly string[]): string | null {
  return programPath.map(directory => `${directory}/turnserver`).find(path => {
    try {
      accessSync(path, constants.X_OK)
      return statSync(path).isFile()
    } catch {
      return false
    }
  }) ?? null
}

function install ({ programPath, mayInstall, log }: ProcessNeeds): string {
  const missing = `turnserver is not in ${programPath.join(':') || 'an empty PATH'}`
  if (!mayInstall) throw new TurnpikeError('relay-program-missing', missing)
  const reason = whyNotInstallable()
  if (reason !== null) throw new TurnpikeError('relay-program-missing', `${missing}, and it is not installed by itself because ${reason}`)
  installCoturn(log)
  const program = findProgram(programPath)
  if (program === null) throw new TurnpikeError('relay-program-missing', `${missing}, although the package coturn is installed`)
  return program
}

async function inspect (program: string, { cert, key }: Paths, home: UserDatabaseHome): Promise<Prepared> {
  const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 5000 })
    .catch((error: unknown) => { throw new TurnpikeError('relay-program-missing', `${program} --version failed: ${(error as Error).message}`, { cause: error }) })
  const version = parseVersion(stdout)
  if (version === null) throw new TurnpikeError('relay-program-refused', `${program} does not tell a version`)
  const refusal = refusalOf(version)
  if (refusal !== null) throw new TurnpikeError('relay-program-refused', `coturn ${version.join('.')}: ${refusal}`)
  return { version: version.join('.'), certPath: cert, keyPath: key, userDatabase: { ...home, path: `${home.directory}/turndb` }, runAs: lesserUser()?.names ?? null }
}

/**
 * Started as root, coturn opens its user database as another user, to whom the way to our data directory is closed (it may be in /root).
 * /run is open to all and gone with the machine's memory; the secrets are written there anew at each start.
 */
function userDatabaseOf (directory: string): UserDatabaseHome {
  const lesser = lesserUser()
  if (lesser === null) return { directory: `${directory}/userdb`, owner: null }
  return { directory: `/run/turnpike-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`, owner: { uid: lesser.uid, gid: lesser.gid } }
}

/** Debian's package makes the user turnserver; every system has nobody. */
function lesserUser (): { names: { user: string, group: string }, uid: number, gid: number } | null {
  if (process.getuid?.() !== 0) return null
  const lines = (file: string): string[][] => readFileSync(file, 'utf8').split('\n').map(line => line.split(':'))
  const [users, groups] = [lines('/etc/passwd'), lines('/etc/group')]
  for (const name of ['turnserver', 'nobody']) {
    const user = users.find(columns => columns[0] === name)
    const group = groups.find(columns => columns[2] === user?.[3])
    if (user !== undefined && group !== undefined) return { names: { user: name, group: group[0] ?? name }, uid: Number(user[2]), gid: Number(user[3]) }
  }
  return null
}

function writeFiles ({ conf, tls }: Launch, paths: Paths): void {
  write(paths.conf, conf)
  if (tls !== null) writeTls(tls, paths)
}

function writeTls ({ cert, key }: NonNullable<Launch['tls']>, paths: Paths): void {
  write(paths.cert, cert)
  write(paths.key, key)
  const lesser = lesserUser()
  if (lesser !== null) [paths.cert, paths.key].forEach(path => chownSync(path, lesser.uid, lesser.gid))
}

function write (path: string, text: string): void {
  // A file keeps the mode that it has, so an older one with another mode goes first.
  rmSync(path, { force: true })
  writeFileSync(path, text, { mode: 0o600 })
}

function launchProgram (program: string, paths: Paths): Running {
  // A file, because a pipe would break with us and take coturn with it; for appending, because followLog empties it.
  const output = openSync(paths.log, 'a', 0o600)
  const child = spawn(program, ['-c', paths.conf], { detached: true, stdio: ['ignore', output, output], cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
  closeSync(output)
  child.on('error', () => {})
  child.unref()
  if (child.pid === undefined) throw new TurnpikeError('relay-program-missing', `${program} could not be started`)
  return { pid: child.pid, startTicks: startTicksOf(child.pid) ?? '' }
}

function findRunning (paths: Paths): (Running & { digest: string }) | null {
  try {
    const state = JSON.parse(readFileSync(paths.state, 'utf8')) as Running & { digest: string }
    const isSame = startTicksOf(state.pid) === state.startTicks && pidsConfiguredBy(paths.conf).includes(state.pid)
    return isSame ? state : null
  } catch {
    return null
  }
}

/** Without the certificate, which changes while coturn runs. */
function digestOf ({ conf, listen }: Launch, program: string): string {
  const { mtimeMs } = statSync(program)
  return createHash('sha256').update(JSON.stringify([conf, listen, program, mtimeMs])).digest('hex')
}

/** Ends a process: asks, waits, and then does not ask any more. */
async function end (pid: number, patienceMs: number): Promise<void> {
  const startTicks = startTicksOf(pid)
  const isGone = (): boolean => startTicksOf(pid) !== startTicks || startTicks === null
  const send = (signal: 'SIGTERM' | 'SIGKILL' | 'SIGCONT'): void => {
    if (!isGone()) process.kill(pid, signal)
  }
  send('SIGTERM')
  // A process that was stopped (SIGSTOP) hears SIGTERM only when it goes on.
  send('SIGCONT')
  const endsAt = performance.now() + patienceMs
  while (!isGone() && performance.now() < endsAt) await wait(POLL_MS / 5)
  send('SIGKILL')
  while (!isGone()) await wait(POLL_MS / 5)
}
