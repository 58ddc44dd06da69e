/** Scratch directories, free ports and certificates for a test; everything goes with the test. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whenDone } from './cleanup.ts'

export function scratchDirectory (): string {
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-test-'))
  whenDone(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/**
 * Beside the relayed ports of all tests, and below those that the kernel gives to connections: thousands of which the tests
 * that run beside these make meanwhile, each on a port that was free a moment ago.
 */
const PORTS = { lowest: 23_000, count: 9_000 }

/** So many ports that nobody listens on now. */
export async function freePorts (count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers: Server[] = []
  while (servers.length < count) {
    const server = await listenOn(PORTS.lowest + Math.floor(Math.random() * PORTS.count), host)
    if (server !== null) servers.push(server)
  }
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Null where the port is taken. */
async function listenOn (port: number, host: string): Promise<Server | null> {
  return await new Promise((resolve, reject) => {
    const server = createServer().once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)))
    server.listen(port, host, () => resolve(server))
  })
}

/** A self-made certificate for localhost and 127.0.0.1, or for other names, and its key. */
export function selfMadeCertificate (directory: string, names = ['DNS:localhost', 'IP:127.0.0.1'], subject = '/CN=localhost'): { cert: string, key: string } {
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject, '-addext', `subjectAltName=${names.join()}`, '-days', '2', '-out', files.cert, '-keyout', files.key], { stdio: 'ignore' })
  return files
}

/** A root of the test's own, a chain for these names that it has signed, and a home in which Chromium trusts it. */
export function certificateChain (directory: string, names: readonly string[]): { cert: string, key: string, home: string } {
  const files = { cert: join(directory, 'chain.pem'), key: join(directory, 'chain.key') }
  execFileSync('sh', ['-ec', `cd ${directory}
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=Root of a test' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -days 2 -out root.pem -keyout root.key
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=${names[0]} -keyout chain.key -out chain.csr
    printf 'subjectAltName=${names.map(name => `DNS:${name}`).join()}\nextendedKeyUsage=serverAuth\n' >extensions
    openssl x509 -req -in chain.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile extensions -out leaf.pem
    cat leaf.pem root.pem >chain.pem`], { stdio: ['ignore', 'ignore', 'pipe'] })
  return { ...files, home: trustingHome(directory, join(directory, 'root.pem')) }
}

/** A home in which Chromium trusts what this root has signed. */
export function trustingHome (directory: string, root: string): string {
  const home = join(directory, 'home')
  execFileSync('sh', ['-ec', `mkdir -p ${home}/.pki/nssdb
    certutil -N -d sql:${home}/.pki/nssdb --empty-password
    certutil -A -d sql:${home}/.pki/nssdb -n root -t C,, -i ${root}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  return home
}

/** Waits until something holds; fails with what was waited for. */
export async function until (what: string, holds: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const endsAt = performance.now() + withinMs
  while (!await holds()) {
    if (performance.now() > endsAt) throw new Error(`${what}: not within ${withinMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
