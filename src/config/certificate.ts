/** Where certificates come from: files of the operator's, or ACME for the domain; and whether HTTPS is served therefore. */
import { resolve } from 'node:path'
import type { Config } from './schema.ts'

/** As they are in the settings, before what follows from them is known. */
type Settings = Pick<Config, 'dataDir' | 'domain' | 'tls'> & { acme: Pick<Config['acme'], 'directory' | 'extraNames'> }

const DIRECTORIES: Readonly<Record<string, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
}

export function certificateOf ({ dataDir, domain, tls, acme }: Settings): Config['certificate'] {
  const { cert, key } = tls
  if (cert !== undefined && key !== undefined) return { files: { cert, key }, acme: null }
  if (cert !== undefined || key !== undefined || domain === undefined || acme.directory === 'off') return { files: null, acme: null }
  const { extraNames = [`turn.${domain}`] } = acme
  const names = [...new Set([domain, ...extraNames].map(name => name.toLowerCase()))]
  // One file, so that there is never a certificate with the key of another.
  const file = resolve(dataDir, 'certificates/current.pem')
  return { files: { cert: file, key: file }, acme: { directory: DIRECTORIES[acme.directory] ?? acme.directory, names } }
}

/** The port of HTTPS where none is set. */
export function httpsPortFor ({ domain, certificate, edge }: Pick<Config, 'certificate' | 'edge'> & { domain?: string }): number {
  if (domain === undefined || certificate.files === null) return 0
  return edge.port === 0 ? 443 : 8443
}
