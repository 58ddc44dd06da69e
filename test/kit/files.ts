/** Scratch directories, free ports and certificates for a test; everything goes with the test. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whenDone } from './cleanup.ts'

export function scratchDirectory (): string {
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-test-'))
  whenDone(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** So many ports that nobody listens on now. */
export async function freePorts (count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, host, () => resolve(server))
  })))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** A self-made certificate for localhost and 127.0.0.1, and its key. */
export function selfMadeCertificate (directory: string): { cert: string, key: string } {
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2', '-out', files.cert, '-keyout', files.key], { stdio: 'ignore' })
  return files
}

/** Waits until something holds; fails with what was waited for. */
export async function until (what: string, holds: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const endsAt = performance.now() + withinMs
  while (!await holds()) {
    if (performance.now() > endsAt) throw new Error(`${what}: not within ${withinMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
