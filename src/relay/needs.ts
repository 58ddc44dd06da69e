/** What the relay needs from the rest of the house. */
import type { Config } from '../config/schema.ts'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Certificates } from '../tls/certificates.ts'
import type { Allocation, BegunEvent, Crowd, Remembered, TrafficEvent } from './allocation.ts'

export type RelayNeeds = {
  config: Pick<Config, 'dataDir' | 'domain' | 'publicHost' | 'relay' | 'relays' | 'tls' | 'certificate' | 'edge'>
  /** What TURN over TLS is served with. */
  certificates: Pick<Certificates, 'served' | 'onDisk' | 'use'>
  /** The shared secrets of coturn's REST scheme that are to be accepted, the one that credentials are signed with first. The argument: does this coturn bear user names that others make up? */
  secrets: (takesAnyUserName: boolean) => readonly string[]
  log: Log
  metrics: Pick<Metrics, 'add' | 'set' | 'remove'>
  nowSeconds: () => number
  programPath: readonly string[]
  dockerHost: string | undefined
  installRelay: boolean
  onTraffic: (event: TrafficEvent) => void
  /** An allocation has begun. */
  onBegun: (event: BegunEvent) => void
  /** Nothing more will be told of it. */
  onEnded: (of: { coturn: string, session: string }) => void
  /** A coturn has ended, and whatever lived on it. */
  onForgotten: (coturn: string) => void
  /** What an earlier process knew of the allocations of a coturn. */
  remembered: (coturn: string) => readonly Remembered[]
  /** Is there such a project? */
  knowsProject: (project: string) => boolean
  /** Other URLs are handed out than before: whoever holds credentials may be given new ones. */
  onUrlsChanged: () => void
  /** Why an allocation must not live, in a few words for the log, or null. Asked when it begins, and every second of all that live (without a crowd). */
  reasonToCut: (allocation: Allocation, crowd: Crowd | null) => string | null
}
