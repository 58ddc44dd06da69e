/** What starting a coturn takes. */
import type { Pair } from '../tls/pair.ts'
import type { ControlAddress } from './control.ts'
import type { RelayNeeds } from './needs.ts'
import type { RelaySite } from './sites.ts'

export type LauncherNeeds = Omit<RelayNeeds, 'config'> & {
  config: RelaySite['config']
  relay: string
  /** Where the files of this coturn stand. */
  directory: string
  /** Where the addresses that were found are kept: nobody may be there to ask at the next start. */
  addressFile: string
  /** The certificate that is served, or null where none is. */
  tls: () => Pair | null
  feed: { host: string, port: number, password: string }
  /** coturn's command line. */
  control: ControlAddress
  /** coturn runs: started, or taken over with what it has. */
  onStarted: (adopted: boolean) => void
}
