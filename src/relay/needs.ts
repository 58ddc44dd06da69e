/** What the relay needs from the rest of the house. */
import type { Config } from '../config/schema.ts'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { TrafficEvent } from './allocations.ts'

export type RelayNeeds = {
  config: Pick<Config, 'dataDir' | 'publicHost' | 'relay' | 'tls'>
  /** The shared secret of coturn's REST scheme. */
  secret: string
  log: Log
  metrics: Pick<Metrics, 'add' | 'set'>
  nowSeconds: () => number
  programPath: readonly string[]
  dockerHost: string | undefined
  installRelay: boolean
  onTraffic: (event: TrafficEvent) => void
}
