/** Time from `npm start`, installed, to a green /readyz with the process driver. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { median } from './processes.ts'

const ROUNDS = 5

async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

async function startOnce (): Promise<number> {
  const [httpPort, relayPort] = [await freePort(), await freePort()]
  const dataDir = mkdtempSync(`${tmpdir()}/turnpike-bench-`)
  const env = { ...process.env, TURNPIKE_DATA_DIR: dataDir, TURNPIKE_HTTP_HOST: '127.0.0.1', TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_METRICS_PORT: '0', TURNPIKE_RELAY_DRIVER: 'process', TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1', TURNPIKE_RELAY_PEERS: 'loopback', TURNPIKE_RELAY_PORT: String(relayPort) }
  const started = performance.now()
  const child = spawn('npm', ['start'], { env, stdio: 'ignore' })
  while (!await fetch(`http://127.0.0.1:${httpPort}/readyz`).then(({ ok }) => ok, () => false)) await new Promise(resolve => setTimeout(resolve, 10))
  const took = performance.now() - started
  child.kill('SIGTERM')
  await new Promise(resolve => child.on('exit', resolve))
  rmSync(dataDir, { recursive: true, force: true })
  return took
}

const times: number[] = []
for (let i = 0; i < ROUNDS; i++) times.push(await startOnce())
process.stdout.write(`npm start to a green /readyz, process driver: ${Math.round(median(times))} ms (${Math.round(Math.min(...times))}–${Math.round(Math.max(...times))})  goal ≤ 3000 ms\n`)
process.exit(0)
