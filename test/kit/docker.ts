/** A real Docker engine: the one that runs, or one started here; and the images that the tests need. */
import { execFileSync, spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { until } from './files.ts'

export const COTURN_IMAGE = 'coturn/coturn:4.18.0-r0'

/** Makes sure of an engine and of images. Fails with what to install. */
export async function requireDocker (...images: ('coturn' | 'debian' | 'node' | 'prometheus' | 'haproxy' | 'grafana' | 'systemd')[]): Promise<void> {
  if (!answers()) startEngine()
  await until('the Docker engine answers', answers, 30_000)
  if (images.length > 0) execFileSync('scripts/make-test-images.sh', images, { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** What docker prints. */
export function docker (...args: string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

function answers (): boolean {
  try {
    docker('info', '--format', '{{.ServerVersion}}')
    return true
  } catch {
    return false
  }
}

/** It stays when the tests end: the next run needs it again, and it does nothing meanwhile. */
function startEngine (): void {
  const log = openSync(`${tmpdir()}/turnpike-test-dockerd.log`, 'a')
  const child = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log] })
  child.on('error', () => {})
  if (child.pid === undefined) throw new Error('dockerd is missing: apt-get install docker.io (and run the tests as root)')
  child.unref()
}

/** Makes sure of `docker compose`. */
export function requireCompose (): void {
  execFileSync('scripts/get-docker-compose.sh', { stdio: ['ignore', 'ignore', 'inherit'] })
}
