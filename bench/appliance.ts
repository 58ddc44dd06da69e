/**
 * The compose file with images present: time from `docker compose up` on empty volumes to a credential of the API that allocates, and what the idle
 * profile `minimal` takes of memory, coturn included: as `docker stats` counts it (the cgroup's memory without inactive page cache), and as PSS (where
 * processes share a page of a file, each has its part). On loopback and ports of its own; the domain leads nowhere, as at a first start without DNS.
 * Needs Docker with compose, as root.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { isRefusal, TurnClient } from '../src/stun/turn-client.ts'
import { median } from './processes.ts'

const ROUNDS = 5
const IDLE_MS = 60_000
const MB = 1e6
const PROJECT = `turnpike-bench-${process.pid}`
const API_KEY = 'bench-bench-bench-bench-bench'
const PORT = { http: '23750', relay: '23751', tls: '23752', alternate: '23753', alternateTls: '23754', edge: '23755', edgeHttp: '23756', status: '23757', agent: '23758', https: '23759', acme: '23760' }
const BASE = `http://127.0.0.1:${PORT.http}`
const ENV = {
  DOCKER_BUILDKIT: '0',
  TURNPIKE_DOMAIN: 'bench.invalid',
  TURNPIKE_API_KEY: API_KEY,
  TURNPIKE_HTTP_PORT: PORT.http,
  TURNPIKE_HTTPS_PORT: PORT.https,
  TURNPIKE_ACME_HTTP_PORT: PORT.acme,
  TURNPIKE_EDGE_PORT: PORT.edge,
  TURNPIKE_EDGE_AGENT_PORT: PORT.agent,
  EDGE_ADDRESS: '127.0.0.1',
  EDGE_HTTP_PORT: PORT.edgeHttp,
  EDGE_STATUS_PORT: PORT.status,
  TURNPIKE_RELAY_PORT: PORT.relay,
  TURNPIKE_RELAY_TLS_PORT: PORT.tls,
  TURNPIKE_RELAY_ALTERNATE_PORT: PORT.alternate,
  TURNPIKE_RELAY_ALTERNATE_TLS_PORT: PORT.alternateTls,
  TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1',
  TURNPIKE_RELAY_PEERS: 'loopback',
}

type Memory = { stats: number, pss: number }

function run (program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', env: { ...process.env, ...ENV }, stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}
const compose = (...args: string[]): string => run('docker', 'compose', '-f', 'compose/compose.yaml', '-p', PROJECT, ...args)
const down = (): string => compose('down', '-v', '--remove-orphans', '-t', '10')

/** Tells whether somebody with a credential of now gets an allocation. */
async function allocates (): Promise<boolean> {
  const answer = await fetch(`${BASE}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${API_KEY}` } })
  if (!answer.ok) return false
  const { username, credential } = await answer.json() as { username: string, credential: string }
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: Number(PORT.relay), timeoutMs: 500 })
  const outcome = await client.allocate({ username, password: credential })
  await client.close()
  return !isRefusal(outcome)
}

/** Resolves to the milliseconds until a credential allocates, and what of them `docker compose` itself took. */
async function startOnce (): Promise<{ took: number, compose: number }> {
  const began = performance.now()
  compose('up', '-d')
  const returned = performance.now() - began
  while (!await allocates().catch(() => false)) await wait(20)
  return { took: performance.now() - began, compose: returned }
}

const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

function statsOf (ids: readonly string[]): number[] {
  const lines = run('docker', 'stats', '--no-stream', '--format', '{{.MemUsage}}', ...ids).split('\n')
  return lines.map(line => {
    const [, amount = '', unit = ''] = /^([\d.]+)(\w+)/.exec(line) ?? []
    return Number(amount) * (UNITS[unit] ?? Number.NaN)
  })
}

function pssOf (id: string): number {
  const pids = run('docker', 'top', id, '-eo', 'pid').split('\n').slice(1)
  return pids.reduce((sum, pid) => sum + 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid.trim()}/smaps_rollup`, 'utf8'))?.[1] ?? 0), 0)
}

/** By service; a moment without a health check, which is a process of its own: the least of some looks. */
function memory (): Map<string, Memory> {
  const containers = run('docker', 'ps', '--filter', `label=com.docker.compose.project=${PROJECT}`, '--format', '{{.Label "com.docker.compose.service"}} {{.ID}}').split('\n').sort()
  const least = new Map<string, Memory>()
  for (let look = 0; look < 3; look++) {
    const all = statsOf(containers.map(line => line.split(' ')[1] ?? ''))
    for (const [i, line] of containers.entries()) {
      const [service = '', id = ''] = line.split(' ')
      const [stats, pss] = [all[i] ?? Number.NaN, pssOf(id)]
      const before = least.get(service) ?? { stats, pss }
      least.set(service, { stats: Math.min(stats, before.stats), pss: Math.min(pss, before.pss) })
    }
  }
  return least
}

const times: { took: number, compose: number }[] = []
try {
  compose('build')
  for (let i = 0; i < ROUNDS; i++) {
    if (i > 0) down()
    times.push(await startOnce())
  }
  const took = times.map(one => one.took / 1000)
  process.stdout.write(`docker compose up to a credential that allocates: ${median(took).toFixed(1)} s (${Math.min(...took).toFixed(1)}–${Math.max(...took).toFixed(1)})  goal ≤ 10 s; docker compose itself ${(median(times.map(one => one.compose)) / 1000).toFixed(1)} s\n`)
  await wait(IDLE_MS)
  const idle = memory()
  const sum = (of: keyof Memory): string => ([...idle.values()].reduce((all, one) => all + one[of], 0) / MB).toFixed(0)
  process.stdout.write(`the profile minimal, idle for a minute: ${sum('stats')} MB (docker stats), ${sum('pss')} MB (PSS)  goal ≤ 150 MB\n`)
  for (const [service, { stats, pss }] of idle) process.stdout.write(`  ${service.padEnd(10)} ${(stats / MB).toFixed(1).padStart(6)} ${(pss / MB).toFixed(1).padStart(6)}\n`)
} finally {
  down()
}
