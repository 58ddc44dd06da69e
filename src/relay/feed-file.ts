/** Where the feed listens and its password: kept across restarts, because a coturn that goes on relaying goes on reporting there. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isLoopback } from './denied-peers.ts'
import type { RelayNeeds } from './needs.ts'

type Kept = { port: number, password: string }

/** What an earlier start has kept, or a new password and port 0. */
export function readFeedFile (dataDir: string): Kept {
  try {
    const { port, password } = JSON.parse(readFileSync(pathOf(dataDir), 'utf8')) as Partial<Kept>
    if (Number.isInteger(port) && typeof password === 'string' && password.length > 0) return { port: port ?? 0, password }
  } catch {
    // None yet, or one that cannot be read: coturn is started anew, with another password.
  }
  return { port: 0, password: randomBytes(18).toString('base64url') }
}

export function writeFeedFile (dataDir: string, kept: Kept): void {
  mkdirSync(`${dataDir}/relay`, { recursive: true, mode: 0o700 })
  // Whole or not at all: half a file would cost a running coturn its calls.
  const draft = `${pathOf(dataDir)}.new`
  writeFileSync(draft, JSON.stringify(kept), { mode: 0o600 })
  renameSync(draft, pathOf(dataDir))
}

/** From 4.13.1 on coturn refuses the host of its statistics database as a peer; on loopback that must not be the relay itself. */
export function feedHost ({ relay, publicHost }: RelayNeeds['config']): string {
  return isLoopback(relay.listenIp ?? publicHost ?? '') ? '127.0.0.2' : '127.0.0.1'
}

function pathOf (dataDir: string): string {
  return `${dataDir}/relay/feed.json`
}
