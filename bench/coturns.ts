/** What the benchmarks of the relay share: the app with a coturn of its own, a coturn that is started by hand, and what a process has used of a core. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { createApp, type App } from '../src/app.ts'
import { createLogger } from '../src/cli/logger.ts'
import { loadConfig } from '../src/config/load.ts'

const PROJECTS = 20
export const ADMIN_KEY = 'bench-bench-bench-bench-admin'
const API_KEY = 'bench-bench-bench-bench-bench'
const FLAGS = ['--disable-warning=ExperimentalWarning']

export type BenchApp = App & { dataDir: string, ask (method: string, path: string, body?: object, key?: string): Promise<Record<string, unknown>> }

/** The whole app in this process, with a relay on loopback; started. */
export async function startBenchApp (env: Record<string, string>): Promise<BenchApp> {
  const dataDir = mkdtempSync(`${tmpdir()}/turnpike-bench-`)
  const { config, problems } = loadConfig({
    env: {
      TURNPIKE_DATA_DIR: dataDir,
      TURNPIKE_HTTP_HOST: '127.0.0.1',
      TURNPIKE_HTTP_PORT: '0',
      TURNPIKE_METRICS_PORT: '0',
      TURNPIKE_RELAY_DRIVER: 'process',
      TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1',
      TURNPIKE_RELAY_PEERS: 'loopback',
      TURNPIKE_RELAY_USER_QUOTA: '2000',
      TURNPIKE_API_KEY: API_KEY,
      TURNPIKE_ADMIN_KEY: ADMIN_KEY,
      TURNPIKE_LOG_LEVEL: 'silent',
      ...env,
    },
    readFile: () => '',
  })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  const app = createApp(config, { nowSeconds: () => Math.floor(Date.now() / 1000), log: createLogger('silent', false), version: 'bench', programPath: (process.env['PATH'] ?? '').split(':'), dockerHost: undefined, installRelay: false })
  await app.start()
  return {
    ...app,
    dataDir,
    ask: async (method, path, body, key = API_KEY) => {
      const headers = { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
      const answer = await fetch(app.url() + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
      return await answer.json() as Record<string, unknown>
    },
  }
}

/** The app with quotas in each of 20 projects, a relay that somebody else runs, and somebody who tells of allocations on it in coturn's stead. */
export async function startFedApp (): Promise<{ app: BenchApp, source: Awaited<ReturnType<typeof startHelper>> }> {
  const app = await startBenchApp({ TURNPIKE_RELAY_DRIVER: 'external', TURNPIKE_RELAY_SECRET: 'secret-of-a-relay-that-is-not', TURNPIKE_PUBLIC_HOST: '127.0.0.1', TURNPIKE_RELAY_PORT: '23720' })
  for (let i = 0; i < PROJECTS; i++) await app.ask('POST', '/v1/projects', { id: `bench-${i}`, quotas: { bytesPerDay: 1e15, bytesPerMonth: 5e15, allocations: 100_000, allocationsPerUser: 1000 } }, ADMIN_KEY)
  const { port, password } = JSON.parse(readFileSync(`${app.dataDir}/relay/feed.json`, 'utf8')) as { port: number, password: string }
  return { app, source: await startHelper('feed-source.ts', [String(port), password, String(PROJECTS)]) }
}

/** The configuration that the app has written for its coturn, and that coturn's pid. */
export function managedCoturn ({ dataDir }: BenchApp): { pid: number, conf: string[] } {
  const { pid } = JSON.parse(readFileSync(`${dataDir}/relay/turnserver.json`, 'utf8')) as { pid: number }
  return { pid, conf: readFileSync(`${dataDir}/relay/turnserver.conf`, 'utf8').trim().split('\n') }
}

/** A coturn with this configuration; ended with the benchmark. Resolves when it has had time to listen. */
export async function startCoturn (conf: readonly string[]): Promise<{ pid: number }> {
  const file = `${mkdtempSync(`${tmpdir()}/turnpike-bench-`)}/turnserver.conf`
  writeFileSync(file, `${conf.join('\n')}\n`)
  const child = spawn('turnserver', ['-c', file], { stdio: 'ignore' })
  process.on('exit', () => child.kill('SIGKILL'))
  await new Promise(resolve => setTimeout(resolve, 1500))
  if (child.pid === undefined || child.exitCode !== null) throw new Error('turnserver could not be started: apt-get install coturn')
  return { pid: child.pid }
}

/** Keeps all threads of a process on one core. */
export function pin (pid: number, core: number): void {
  execFileSync('taskset', ['-a', '-c', '-p', String(core), String(pid)], { stdio: 'ignore' })
}

/** CPU seconds that the threads of a process have used, to the nanosecond: the hundredths of /proc/<pid>/stat would hide what is to be seen in a short round. */
export function cpuSeconds (pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0)
}

/** A script on core 1 that answers each line with a line of JSON; resolves when it has printed its first. */
export async function startHelper (script: string, args: readonly string[]): Promise<{ child: ChildProcess, say<T> (line: string): Promise<T> }> {
  const child = spawn('taskset', ['-c', '1', process.execPath, ...FLAGS, `bench/${script}`, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  process.on('exit', () => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const nextLine = async (): Promise<string> => await new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error(`${script} has ended`))
    child.once('exit', ended)
    lines.once('line', line => {
      child.off('exit', ended)
      resolve(line)
    })
  })
  await nextLine()
  return {
    child,
    say: async <T>(line: string) => {
      const answer = nextLine()
      child.stdin.write(`${line}\n`)
      return JSON.parse(await answer) as T
    },
  }
}
