/** A certificate chain with its key: read from files, looked at before it is used. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'

/** PEM texts: the chain, leaf first, and its key. Or where they stand. */
export type Pair = { cert: string, key: string }

/** Stands in the certificate that is served until the first real one is there. */
export const PLACEHOLDER = 'Turnpike placeholder'

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g
const KEYS = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----\n?/g

/** The pair in the files (or in one file that holds both), or what is wrong with it, without a word of the key. */
export async function readPair (files: Pair): Promise<Pair | { problem: string }> {
  try {
    const pair = await readTexts(files)
    const problem = problemOf(pair)
    return problem === null ? pair : { problem }
  } catch (error) {
    return { problem: `the files cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}` }
  }
}

/** Whatever stands there. Throws where a file cannot be read. */
export async function readTexts (files: Pair): Promise<Pair> {
  if (files.cert !== files.key) {
    const [cert, key] = await Promise.all([readFile(files.cert, 'utf8'), readFile(files.key, 'utf8')])
    return { cert, key }
  }
  // Read once: it may be replaced at any time.
  const both = await readFile(files.cert, 'utf8')
  return { cert: (both.match(CERTIFICATES) ?? []).join(''), key: (both.match(KEYS) ?? []).join('') }
}

/** Why this pair must not be served, or null. */
export function problemOf ({ cert, key }: Pair): string | null {
  const leaf = attempt(() => new X509Certificate(cert))
  const privateKey = attempt(() => createPrivateKey(key))
  if (leaf === null) return 'the certificate is none in PEM'
  if (privateKey === null) return 'the key is none in PEM, or it has a passphrase'
  if (!leaf.checkPrivateKey(privateKey)) return 'the key does not belong to the certificate'
  return refusalOfTls({ cert, key })
}

/** What OpenSSL does not serve, though it can be read: a key that is too short for it, a signature of MD5. */
function refusalOfTls (pair: Pair): string | null {
  try {
    // No roots: they would be read for nothing.
    createSecureContext({ ...pair, ca: [] })
    return null
  } catch (error) {
    const { reason, code = 'unknown' } = error as NodeJS.ErrnoException & { reason?: string }
    return `TLS does not take it: ${reason ?? code}`
  }
}

/** Is it the one that is served until the first real one is there? */
export function isPlaceholder ({ cert }: Pick<Pair, 'cert'>): boolean {
  return attempt(() => new X509Certificate(cert).subject.includes(`O=${PLACEHOLDER}`)) === true
}

/** Asked for each credential: to read a certificate takes longer than to make one of those. */
const answers = new WeakMap<Pick<Pair, 'cert'>, Map<string, boolean>>()

/** Would a client that asks for this name take it? */
export function isFor (pair: Pick<Pair, 'cert'>, name: string): boolean {
  const known = answers.get(pair) ?? new Map<string, boolean>()
  answers.set(pair, known)
  const answer = known.get(name) ?? (attempt(() => new X509Certificate(pair.cert).checkHost(name)) !== undefined && !isPlaceholder(pair))
  known.set(name, answer)
  return answer
}

/** In Unix seconds. */
export function lifetimeOf ({ cert }: Pick<Pair, 'cert'>): { begins: number, ends: number } {
  const { validFrom, validTo } = new X509Certificate(cert)
  return { begins: Math.floor(new Date(validFrom).getTime() / 1000), ends: Math.floor(new Date(validTo).getTime() / 1000) }
}

export function hasEnded (pair: Pair): boolean {
  return lifetimeOf(pair).ends < Date.now() / 1000
}

function attempt<T> (work: () => T): T | null {
  try {
    return work()
  } catch {
    return null
  }
}
