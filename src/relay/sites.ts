/** The relays that there are to be: the one that the settings describe, and those that the settings file declares beside it. */
import type { Config } from '../config/schema.ts'
import { FIRST_RELAY } from '../protocol/relay-names.ts'

export type RelaySite = {
  id: string
  region: string
  weight: number
  /** Where the files of its main coturn stand. */
  directory: string
  config: { publicHost: string | undefined, relay: Config['relay'], servesTls: boolean, dtls: boolean, /** An edge on this machine passes connections on to it. */ behindEdge: boolean, /** Addresses of all relays, as far as they are configured: clients of one may meet those of another. */ served: (string | undefined)[] }
}
/** A relay has two places for a coturn, each with ports of its own: one takes over from the other. */
export type Slot = 'main' | 'alternate'

export function sitesOf ({ dataDir, publicHost, relay, relays, tls, certificate, edge }: Pick<Config, 'dataDir' | 'publicHost' | 'relay' | 'relays' | 'tls' | 'certificate' | 'edge'>): RelaySite[] {
  const hasTls = certificate.files !== null
  const dtls = tls.dtls === 'on'
  const served = [relay, ...Object.values(relays)].flatMap(({ listenIp, externalIp }) => [listenIp, externalIp])
  return [
    { id: FIRST_RELAY, region: relay.region, weight: relay.weight, directory: `${dataDir}/relay`, config: { publicHost, relay, servesTls: hasTls, dtls, behindEdge: edge.port !== 0, served } },
    ...Object.entries(relays).map(([id, { host = publicHost, ...differences }]) => {
      const own = { ...relay, ...differences } as Config['relay']
      // Of a relay that somebody else runs only its own words count: TLS is served where its port is named.
      const servesTls = own.driver === 'external' ? differences.tlsPort !== undefined : hasTls
      return { id, region: own.region, weight: own.weight, directory: `${dataDir}/relays/${id}`, config: { publicHost: host, relay: own, servesTls, dtls, behindEdge: false, served } }
    }),
  ]
}

/** The settings of one of its two coturns. */
export function inSlot ({ config }: RelaySite, slot: Slot, image: string, driver = config.relay.driver): RelaySite['config'] {
  const { relay } = config
  return { ...config, relay: { ...relay, ...(slot === 'main' ? {} : { port: relay.alternatePort, tlsPort: relay.alternateTlsPort }), image, driver } }
}

export function directoryOf ({ directory }: RelaySite, slot: Slot): string {
  return slot === 'main' ? directory : `${directory}/alternate`
}
