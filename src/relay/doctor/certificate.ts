/** The certificate of TURN over TLS: would a browser take it, and for how long? No word of the key is told. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { finding, type Finding } from '../../protocol/findings.ts'
import { isPlaceholder } from '../../tls/pair.ts'

export type CertificateSubject = { id: string, host: string, tls: { cert: string, key: string } | null }

const DAY_SECONDS = 86_400
const SOON_DAYS = 14
const VERY_SOON_DAYS = 2
const RENEW = 'Where it is got by itself, see certificate-order. Else renew it (certbot renew), and see that TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY name the new files.'

export function examineCertificate ({ id, host, tls }: CertificateSubject, nowSeconds: number): Finding[] {
  const about = `relay ${id}, certificate`
  if (tls === null) return [finding('tls-served', about, 'warning', 'TURN over TLS is not served.', 'Set TURNPIKE_DOMAIN, by which a certificate is got by itself, or name the files of one in TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY.')]
  if (isPlaceholder(tls)) return [finding('tls-served', about, 'warning', 'TURN over TLS waits for the first certificate.', 'See certificate-order, which says what is in the way.')]
  const chain = chainOf(tls.cert)
  const [leaf] = chain
  if (leaf === undefined) return [finding('certificate-chain', about, 'failed', 'TURNPIKE_TLS_CERT names a file without a certificate in PEM.', 'Name the file with the whole chain (fullchain.pem).')]
  return [chainFinding(about, chain, leaf), nameFinding(about, leaf, host), expiryFinding(about, chain, nowSeconds), keyFinding(about, leaf, tls.key)]
}

function chainOf (pem: string): X509Certificate[] {
  try {
    return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(block => new X509Certificate(block))
  } catch {
    return []
  }
}

function chainFinding (about: string, chain: X509Certificate[], leaf: X509Certificate): Finding {
  if (isSelfMade(leaf)) return finding('certificate-chain', about, 'warning', 'The certificate is self-made: only clients that were told to trust it take it.', 'Get one of a public authority (Let\'s Encrypt), and name its files in TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY.')
  const broken = chain.findIndex((certificate, i) => i > 0 && !isIssuedBy(chain[i - 1] as X509Certificate, certificate))
  if (broken > 0) return finding('certificate-chain', about, 'failed', `Certificate ${broken + 1} in the file is not the issuer of the one before it.`, 'Put them in order: the certificate of the name first, then its issuer, and so on (fullchain.pem is so).')
  const last = chain.at(-1) as X509Certificate
  if (chain.length === 1 && !isIssuedByAPublicRoot(last)) return finding('certificate-chain', about, 'failed', `The file holds the certificate alone; its issuer (${oneLine(leaf.issuer)}) is not in it.`, 'Name the file with the whole chain in TURNPIKE_TLS_CERT (fullchain.pem, not cert.pem).')
  return finding('certificate-chain', about, 'ok', `The file holds ${chain.length === 1 ? 'the certificate, which a public authority has issued itself' : `the certificate and ${chain.length - 1} above it`}.`)
}

function nameFinding (about: string, leaf: X509Certificate, host: string): Finding {
  if (host === '') return finding('certificate-name', about, 'unknown', 'The public name is not known yet.')
  const fits = isIP(host) === 0 ? leaf.checkHost(host) !== undefined : leaf.checkIP(host) !== undefined
  if (fits) return finding('certificate-name', about, 'ok', `It is for ${host}.`)
  const names = (leaf.subjectAltName ?? oneLine(leaf.subject)).replaceAll('DNS:', '').replaceAll('IP Address:', '')
  return finding('certificate-name', about, 'failed', `It is for ${names.slice(0, 200)}, and URLs say ${host}.`, `Get a certificate for ${host}, or set TURNPIKE_PUBLIC_HOST to a name that it is for.`)
}

function expiryFinding (about: string, chain: X509Certificate[], nowSeconds: number): Finding {
  // A chain holds as long as the first of it that ends.
  const ends = Math.min(...chain.map(({ validTo }) => Date.parse(validTo) / 1000))
  const begins = Math.max(...chain.map(({ validFrom }) => Date.parse(validFrom) / 1000))
  const day = new Date(ends * 1000).toISOString().slice(0, 10)
  const days = (ends - nowSeconds) / DAY_SECONDS
  if (begins > nowSeconds) return finding('certificate-expiry', about, 'failed', `It holds only from ${new Date(begins * 1000).toISOString().slice(0, 10)} on.`, 'Set the clock of this machine, or get a certificate that holds now.')
  if (days <= 0) return finding('certificate-expiry', about, 'failed', `It expired on ${day}.`, RENEW)
  const left = days < 1 ? 'in less than a day' : days < 2 ? 'in a day' : `in ${Math.floor(days)} days`
  if (days < VERY_SOON_DAYS) return finding('certificate-expiry', about, 'failed', `It expires ${left}, on ${day}.`, RENEW)
  if (days < SOON_DAYS) return finding('certificate-expiry', about, 'warning', `It expires ${left}, on ${day}.`, RENEW)
  return finding('certificate-expiry', about, 'ok', `It holds until ${day}.`)
}

function keyFinding (about: string, leaf: X509Certificate, key: string): Finding {
  try {
    if (leaf.checkPrivateKey(createPrivateKey(key))) return finding('certificate-key', about, 'ok', 'The key belongs to the certificate.')
  } catch {
    // What is wrong with a key is not told: it might hold some of it.
    return finding('certificate-key', about, 'failed', 'TURNPIKE_TLS_KEY names a file without a key that can be read.', 'Name the private key in PEM, without a passphrase (privkey.pem).')
  }
  return finding('certificate-key', about, 'failed', 'The key does not belong to the certificate.', 'Name two files that were made together in TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY.')
}

function isSelfMade (certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate)
}

function isIssuedBy (certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function isIssuedByAPublicRoot (certificate: X509Certificate): boolean {
  return rootCertificates.some(root => certificate.checkIssued(new X509Certificate(root)))
}

function oneLine (name: string): string {
  return name.replaceAll('\n', ', ')
}
