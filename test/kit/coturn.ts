/** A real coturn with a configuration of the test's own; answers STUN before it is handed out, and ends with the test. */
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { TurnClient, type Login } from '../../src/stun/turn-client.ts'
import { freePorts, scratchDirectory, selfMadeCertificate, until } from './files.ts'

export const SECRET = 'secret-of-the-test-relay'
/** Credentials of the REST scheme, and a few peers that are refused. */
export const PLAIN = ['use-auth-secret', `static-auth-secret=${SECRET}`, 'allow-loopback-peers', 'denied-peer-ip=169.254.0.0-169.254.255.255', 'denied-peer-ip=10.0.0.0-10.255.255.255']
export type Coturn = { pid: number, port: number, tlsPort: number, log (): string, loginFor (lifetimeSeconds: number, user?: string): Login }

export function requireTurnserver (): string {
  const program = ['/usr/bin/turnserver', '/usr/local/bin/turnserver'].find(existsSync)
  if (program === undefined) throw new Error('turnserver is missing: apt-get install coturn')
  return program
}

/** A login as Turnpike mints it. */
export function mintLogin (secret: string, lifetimeSeconds: number, user = 'default.test.0', nowSeconds = Math.floor(Date.now() / 1000)): Login {
  const username = `${nowSeconds + lifetimeSeconds}:${user}`
  return { username, password: createHmac('sha1', secret).update(username).digest('base64') }
}

/** Starts it with these lines instead of, or beside, a plain configuration on loopback. */
export async function startCoturn ({ lines = PLAIN }: { lines?: string[] } = {}): Promise<Coturn> {
  const directory = scratchDirectory()
  const [port = 0, tlsPort = 0] = await freePorts(2)
  const { cert, key } = selfMadeCertificate(directory)
  const conf = ['listening-ip=127.0.0.1', 'relay-ip=127.0.0.1', `listening-port=${port}`, `tls-listening-port=${tlsPort}`, 'min-port=21000', 'max-port=21499', 'realm=test', `cert=${cert}`, `pkey=${key}`, 'no-dtls', 'no-cli', 'log-file=stdout', 'simple-log', 'pidfile=', ...lines]
  writeFileSync(`${directory}/turnserver.conf`, conf.join('\n') + '\n')
  const child = spawn(requireTurnserver(), ['-c', `${directory}/turnserver.conf`], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => output.push(bytes))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await until('coturn ends', () => child.exitCode !== null || child.signalCode !== null)
  })
  await until('coturn answers', async () => await answersStun(port))
  return { pid: child.pid ?? 0, port, tlsPort, log: () => Buffer.concat(output).toString('utf8'), loginFor: (lifetimeSeconds, user) => mintLogin(SECRET, lifetimeSeconds, user) }
}

export async function answersStun (port: number, host = '127.0.0.1'): Promise<boolean> {
  try {
    const client = await TurnClient.open({ transport: 'udp', host, port, timeoutMs: 300 })
    try {
      await client.binding()
      return true
    } finally {
      await client.close()
    }
  } catch {
    return false
  }
}

/** A directory with a turnserver that also logs what it counts. */
export function verboseTurnserver (): string {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/turnserver`, `#!/bin/sh\n[ "$1" = --version ] || echo verbose >> "$2"\nexec ${requireTurnserver()} "$@"\n`)
  chmodSync(`${directory}/turnserver`, 0o755)
  return directory
}
