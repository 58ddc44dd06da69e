/** What the relay needs from the rest of the house. */
import type { Config } from '../config/schema.ts'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Allocation, Crowd, TrafficEvent } from './allocations.ts'

export type RelayNeeds = {
  config: Pick<Config, 'dataDir' | 'publicHost' | 'relay' | 'tls'>
  /** The shared secrets of coturn's REST scheme that are to be accepted, the one that credentials are signed with first. The argument: does this coturn bear user names that others make up? */
  secrets: (takesAnyUserName: boolean) => readonly string[]
  log: Log
  metrics: Pick<Metrics, 'add' | 'set'>
  nowSeconds: () => number
  programPath: readonly string[]
  dockerHost: string | undefined
  installRelay: boolean
  onTraffic: (event: TrafficEvent) => void
  /** An allocation was made. */
  onBegun: (allocation: { relay: string, project: string, user: string }) => void
  /** Why an allocation must not live, in a few words for the log, or null. Asked when it begins, and every second of all that live (without a crowd). */
  reasonToCut: (allocation: Allocation, crowd: Crowd | null) => string | null
}
