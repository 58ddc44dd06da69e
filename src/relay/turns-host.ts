/** The name in URLs of TURN over TLS. */
import type { RelayNeeds } from './needs.ts'

/**
 * Null where clients would refuse the certificate: it is still to be got, or is for other names. One that the operator brought is used
 * as it is; so is that of a relay which somebody else runs.
 */
export function turnsHostOf (host: string, driver: string, { config: { domain, publicHost, certificate }, certificates }: Pick<RelayNeeds, 'config' | 'certificates'>): string | null {
  if (certificate.acme === null || domain === undefined || driver === 'external') return host
  // A name of its own, so that one port can be shared with HTTPS by the name that is asked for.
  const names = host === publicHost ? [`turn.${domain}`, host] : [host]
  return names.find(name => certificates.isFor(name)) ?? null
}
