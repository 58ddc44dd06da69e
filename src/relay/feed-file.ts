/** Where the feed and coturn's command line listen and their passwords: kept across restarts, because a coturn that goes on relaying goes on reporting there. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isLoopback } from './denied-peers.ts'
import type { RelaySite } from './sites.ts'

/** `isNew`: nothing was kept, so that a coturn that runs can neither report to us nor be commanded. */
type Kept = { isNew: boolean, port: number, password: string, controlPort: number, controlPassword: string }

/** What an earlier start has kept, or new passwords and port 0. */
export function readFeedFile (directory: string): Kept {
  try {
    const { port = 0, password = '', controlPort = 0, controlPassword = '' } = JSON.parse(readFileSync(pathOf(directory), 'utf8')) as Partial<Kept>
    if (Number.isInteger(port) && Number.isInteger(controlPort) && password !== '' && controlPassword !== '') return { isNew: false, port, password, controlPort, controlPassword }
  } catch {
    // None yet, or one that cannot be read: coturn is started anew, with another password.
  }
  return { isNew: true, port: 0, password: newPassword(), controlPort: 0, controlPassword: newPassword() }
}

export function writeFeedFile (directory: string, { isNew: _, ...kept }: Kept): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Whole or not at all: half a file would cost a running coturn its calls.
  const draft = `${pathOf(directory)}.new`
  writeFileSync(draft, JSON.stringify(kept), { mode: 0o600 })
  renameSync(draft, pathOf(directory))
}

/** From 4.13.1 on coturn refuses the host of its statistics database as a peer; on loopback that must not be the relay itself. */
export function feedHost ({ relay, publicHost }: RelaySite['config']): string {
  return isLoopback(relay.listenIp ?? publicHost ?? '') ? '127.0.0.2' : '127.0.0.1'
}

/** A TCP port that nobody has now. */
export async function freePort (host: string): Promise<number> {
  const server = createServer()
  return await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port: 0 }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

function newPassword (): string {
  return randomBytes(18).toString('base64url')
}

function pathOf (directory: string): string {
  return `${directory}/feed.json`
}
