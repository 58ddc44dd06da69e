/** The name in URLs of TURN over TLS. */
import type { RelayNeeds } from './needs.ts'

type Needs = Pick<RelayNeeds, 'config'>
/** The relay that they lead to. `serves`: is the certificate that it is known to serve for this name? */
type Led = { host: string, driver: string, serves: (name: string) => boolean }

/**
 * Null where clients would refuse the certificate: it is still to be got, has not reached the relay yet, or is for other names. One that
 * the operator brought is used as it is; so is that of a relay which somebody else runs.
 */
export function turnsHostOf ({ host, driver, serves }: Led, { config: { domain, publicHost, certificate, edge } }: Needs): string | null {
  if (domain === undefined || driver === 'external' || (certificate.acme === null && edge.port === 0)) return host
  // A name of its own, so that one port can be shared with HTTPS by the name that is asked for.
  const names = host === publicHost ? [`turn.${domain}`, host] : [host]
  return names.find(serves) ?? (certificate.acme === null ? host : null)
}

/** The port of the edge, where it tells such a client from one of HTTPS: browsers name what they want, and say nothing else. */
export function edgePortFor (tlsHost: string | null, { config: { domain, edge } }: Needs): number | null {
  return edge.port !== 0 && domain !== undefined && tlsHost === `turn.${domain}` ? edge.port : null
}
