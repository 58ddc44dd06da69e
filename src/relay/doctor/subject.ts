/** What the doctor is told of a relay and of the world, as plain data and a few readers, so that every branch can be tried. */
import type { ErrorCode } from '../../protocol/errors.ts'
import type { ReachTools } from '../../stun/reach.ts'
import type { observeMapping } from '../../stun/nat-mapping.ts'
import type { Login } from '../../stun/turn-client.ts'
import type { PeerPolicy } from '../denied-peers.ts'
import type { Driver, RelayCheck } from '../driver.ts'
import type { RelayState } from '../relay-states.ts'

export type DoctorSubject = {
  id: string
  state: RelayState
  code: ErrorCode | null
  /** Of the state, in plain words. */
  reason: string
  driver: Driver['kind'] | 'none'
  version: string | null
  /** Of the process of coturn, where we see it. */
  pid: number | null
  /** What URLs name; '' where it is not known yet. */
  host: string
  port: number
  /** Null where TLS is not served. */
  tlsPort: number | null
  /** Null where it is not known yet; so for publicIp. */
  listenIp: string | null
  publicIp: string | null
  /** Was the public address set by somebody, and not found? */
  isPublicIpConfigured: boolean
  listenIp6: string | null
  publicIp6: string | null
  minPort: number
  maxPort: number
  peers: PeerPolicy
  stunServers: readonly string[]
  /** PEM texts. */
  tls: { cert: string, key: string } | null
  /** Of the last probe. */
  checks: readonly RelayCheck[]
  /** A credential that lives for a minute or so; null where none is to be tried. */
  login: Login | null
}

export type DoctorWorld = ReachTools & {
  nowSeconds: () => number
  dataDir: string
  /** host or host:port; none are asked where there are none. */
  timeServers: readonly string[]
  /** Asks DNS; rejects with ENOTFOUND, ENODATA and others. */
  resolve4: (name: string) => Promise<string[]>
  resolve6: (name: string) => Promise<string[]>
  /** What this machine itself takes the name for, its own files included. */
  lookUp: (name: string) => Promise<string[]>
  /** The addresses of this machine. */
  ownAddresses: () => string[]
  observeMapping: typeof observeMapping
  /** How far our clock is behind that of the server, in seconds. */
  askTime: (server: string, timeoutMs: number) => Promise<number>
  /** Throws where it cannot be read. */
  readFile: (path: string) => string
  space: (path: string) => Promise<{ freeBytes: number, totalBytes: number }>
  /** Of the Docker engine; rejects where it does not answer. */
  dockerVersion: () => Promise<string>
  /** Of one question to somebody. */
  timeoutMs: number
  /** Of one group of checks. */
  deadlineMs: number
}
