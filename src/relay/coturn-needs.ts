/** What one coturn of a relay needs. */
import type { Pair } from '../tls/pair.ts'
import type { ClientTransport } from './feed-events.ts'
import type { RelayNeeds } from './needs.ts'
import type { RelaySite, Slot } from './sites.ts'
import type { Status } from './supervisor.ts'

export type CoturnNeeds = Omit<RelayNeeds, 'config'> & {
  relay: string
  slot: Slot
  directory: string
  config: RelaySite['config']
  addressFile: string
  tls: () => Pair | null
  onStatus: (status: Status) => void
  onCount: (transport: ClientTransport, change: number) => void
  onProbing: () => void
  /** It has begun to report, or has stopped. */
  onFeed: () => void
}
