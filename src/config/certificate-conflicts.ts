/** Settings of certificates, ACME and HTTPS that are right one by one and wrong together, and the files that they name. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Config } from './schema.ts'

type ReadFile = (path: string) => string
type Problem = (where: string, message: string) => void

export function checkTls (tls: Config['tls'], readFile: ReadFile, problem: Problem, warnings: string[]): void {
  if (tls.cert === undefined && tls.key === undefined) return
  if (tls.cert === undefined) return problem('TURNPIKE_TLS_CERT', 'is not set, but TURNPIKE_TLS_KEY is; expected both or neither')
  if (tls.key === undefined) return problem('TURNPIKE_TLS_KEY', 'is not set, but TURNPIKE_TLS_CERT is; expected both or neither')
  const certificate = attempt(() => new X509Certificate(readFile(tls.cert ?? '')))
  const key = attempt(() => createPrivateKey(readFile(tls.key ?? '')))
  if (certificate === null) problem('TURNPIKE_TLS_CERT', `is ${JSON.stringify(tls.cert)}; expected a readable file with a certificate chain in PEM`)
  if (key === null) problem('TURNPIKE_TLS_KEY', `is ${JSON.stringify(tls.key)}; expected a readable file with a private key in PEM, without a passphrase`)
  if (certificate === null || key === null) return
  if (!certificate.checkPrivateKey(key)) problem('TURNPIKE_TLS_KEY', `is ${JSON.stringify(tls.key)}, which does not belong to the certificate in TURNPIKE_TLS_CERT`)
  if (new Date(certificate.validTo).getTime() < Date.now()) warnings.push(`the certificate in TURNPIKE_TLS_CERT expired on ${certificate.validTo}: browsers will refuse TURN over TLS`)
}

export function checkHttps ({ http, https, edge, certificate }: Config, problem: Problem, warnings: string[]): void {
  if (https.port === 0) {
    // Set for an edge, it waits for a domain.
    if (https.proxyProtocolFrom.length > 0 && edge.port === 0) warnings.push('TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM is not used: TURNPIKE_HTTPS_PORT is 0')
    return
  }
  if (certificate.files === null) problem('TURNPIKE_HTTPS_PORT', `is ${https.port}, and there is no certificate; expected TURNPIKE_DOMAIN (one is got by ACME) or TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY with it, or 0`)
  if (https.port === http.port) problem('TURNPIKE_HTTPS_PORT', `is ${https.port}, the same as TURNPIKE_HTTP_PORT; expected another port`)
  if (https.port === edge.port) problem('TURNPIKE_HTTPS_PORT', `is ${https.port}, the same as TURNPIKE_EDGE_PORT; expected another port, to which the edge passes on`)
}

export function checkAcme ({ domain, tls, acme, http, https, certificate }: Config, readFile: ReadFile, problem: Problem, warnings: string[]): void {
  if (certificate.acme === null) {
    const why = domain === undefined ? 'TURNPIKE_DOMAIN is not set' : tls.cert === undefined ? 'TURNPIKE_ACME_DIRECTORY is off' : 'TURNPIKE_TLS_CERT is set'
    const unused = Object.entries({ EMAIL: acme.email, CA_FILE: acme.caFile, DNS_HOOK: acme.dnsHook, EXTRA_NAMES: acme.extraNames }).filter(([, value]) => value !== undefined).map(([name]) => `TURNPIKE_ACME_${name}`)
    if (unused.length > 0) warnings.push(`not used, because ${why}: ${unused.join(', ')}`)
    return
  }
  if (acme.caFile !== undefined && attempt(() => new X509Certificate(readFile(acme.caFile ?? ''))) === null) problem('TURNPIKE_ACME_CA_FILE', `is ${JSON.stringify(acme.caFile)}; expected a readable file with certificates in PEM`)
  if (acme.challenge === 'dns-01') {
    if (acme.dnsHook === undefined) problem('TURNPIKE_ACME_DNS_HOOK', 'is not set; expected the program that sets records in DNS, because TURNPIKE_ACME_CHALLENGE is dns-01')
    return
  }
  if (acme.dnsHook !== undefined) warnings.push('TURNPIKE_ACME_DNS_HOOK is not used: TURNPIKE_ACME_CHALLENGE is http-01')
  const taken = acme.httpPort === http.port ? 'TURNPIKE_HTTP_PORT' : acme.httpPort === https.port ? 'TURNPIKE_HTTPS_PORT' : null
  if (taken !== null) problem(taken, `is ${acme.httpPort}, the same as TURNPIKE_ACME_HTTP_PORT, where the authority's questions are answered; expected another port`)
}

function attempt<T> (work: () => T): T | null {
  try {
    return work()
  } catch {
    return null
  }
}
