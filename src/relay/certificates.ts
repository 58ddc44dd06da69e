/** The certificate that TURN over TLS is served with: watched, looked at before it is used, and seen to be served. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:tls'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'

/** PEM texts: the chain, leaf first, and its key. */
export type Pair = { cert: string, key: string }
export type CertificatesNeeds = {
  /** Where the files stand; null where TLS is not served. */
  files: Pair | null
  checkSeconds: number
  log: Log
  metrics: Pick<Metrics, 'add' | 'set'>
  nowSeconds: () => number
  /** Has every coturn serve it. */
  install: (pair: Pair) => Promise<void>
}

const USE = 'relay'

export class Certificates {
  readonly #needs: CertificatesNeeds
  /** What is served. */
  #served: Pair | null = null
  /** What was refused last: told once. */
  #refused = ''
  #unserved = ''
  #timer: NodeJS.Timeout | undefined
  #last: Promise<void> = Promise.resolve()

  constructor (needs: CertificatesNeeds) {
    this.#needs = needs
  }

  /** Reads the files. A pair that is broken is not served; the settings were refused then already. One that has ended is: without it no coturn would serve TLS at all. */
  async start (): Promise<void> {
    const { files, checkSeconds, log } = this.#needs
    if (files === null) return
    for (const result of ['installed', 'refused']) this.#needs.metrics.add('turnpike_certificate_reloads_total', { use: USE, result }, 0)
    const read = await readPair(files)
    if (!('problem' in read)) this.#serve(read)
    if (!('problem' in read) && hasEnded(read)) log.warn({}, 'the certificate has ended: clients will refuse TURN over TLS')
    this.#timer = setInterval(() => { this.#last = this.#last.then(() => this.check()) }, checkSeconds * 1000).unref()
  }

  /** A check that is under way is not waited for. */
  stop (): void {
    clearInterval(this.#timer)
  }

  served (): Pair | null {
    return this.#served
  }

  /** The files as they are, whatever is in them; null where TLS is not served. A file that cannot be read is an empty one. */
  async onDisk (): Promise<Pair | null> {
    const { files } = this.#needs
    if (files === null) return null
    const [cert, key] = await Promise.all([files.cert, files.key].map(file => readFile(file, 'utf8').catch(() => '')))
    return { cert: cert ?? '', key: key ?? '' }
  }

  /** Looks at the files now, and has every coturn serve what is in them. Never throws. */
  async check (): Promise<void> {
    const { files, log, metrics, install } = this.#needs
    if (files === null) return
    const read = await readPair(files)
    if ('problem' in read) this.#refuse(read.problem)
    else if (read.cert !== this.#served?.cert || read.key !== this.#served.key) {
      if (hasEnded(read)) this.#refuse('it has ended')
      else {
        this.#refused = ''
        this.#serve(read)
        metrics.add('turnpike_certificate_reloads_total', { use: USE, result: 'installed' })
        log.info({ expiresAt: expiryOf(read) }, 'a new certificate is installed')
      }
    }
    if (this.#served === null) return
    // One that was being started, or did not take it, is asked again.
    await install(this.#served).then(() => { this.#unserved = '' }, (error: unknown) => this.#complain((error as Error).message))
  }

  #complain (problem: string): void {
    if (problem !== this.#unserved) this.#needs.log.warn({ problem }, 'a relay does not serve the new certificate; tried again')
    this.#unserved = problem
  }

  #refuse (problem: string): void {
    if (problem === this.#refused) return
    this.#refused = problem
    this.#needs.metrics.add('turnpike_certificate_reloads_total', { use: USE, result: 'refused' })
    this.#needs.log.warn({ problem }, 'a new certificate is refused; the one before is served on')
  }

  #serve (pair: Pair): void {
    this.#served = pair
    this.#needs.metrics.set('turnpike_certificate_expiry_timestamp_seconds', { use: USE }, expiryOf(pair))
  }
}

/** The pair in the files, or what is wrong with it, without a word of the key. */
async function readPair (files: Pair): Promise<Pair | { problem: string }> {
  try {
    const [cert, key] = await Promise.all([readFile(files.cert, 'utf8'), readFile(files.key, 'utf8')])
    const problem = problemOf({ cert, key })
    return problem === null ? { cert, key } : { problem }
  } catch (error) {
    return { problem: `the files cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}` }
  }
}

/** Why this pair must not be served, or null. */
export function problemOf ({ cert, key }: Pair): string | null {
  const leaf = attempt(() => new X509Certificate(cert))
  const privateKey = attempt(() => createPrivateKey(key))
  if (leaf === null) return 'the certificate is none in PEM'
  if (privateKey === null) return 'the key is none in PEM, or it has a passphrase'
  if (!leaf.checkPrivateKey(privateKey)) return 'the key does not belong to the certificate'
  return null
}

/** Resolves when the relay at this address serves the certificate. Throws where it does not within the time. */
export async function requireServed ({ host, port }: { host: string, port: number }, { cert }: Pair, withinMs: number): Promise<void> {
  const wanted = new X509Certificate(cert).fingerprint256
  const endsAt = performance.now() + withinMs
  for (;;) {
    const seen = await fingerprintAt(host, port).catch((error: unknown) => `nothing (${(error as Error).message})`)
    if (seen === wanted) return
    if (performance.now() > endsAt) throw new Error(`port ${port} shows ${seen}`)
    await new Promise(resolve => setTimeout(resolve, 100).unref())
  }
}

async function fingerprintAt (host: string, port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    // What it is worth is not the question here: which one it is.
    const socket = connect({ host, port, rejectUnauthorized: false, timeout: 2000 }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? 'no certificate')
      socket.destroy()
    })
    // Nobody stays for it.
    socket.unref()
    socket.once('error', reject)
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
  })
}

function hasEnded (pair: Pair): boolean {
  return expiryOf(pair) < Date.now() / 1000
}

function expiryOf ({ cert }: Pair): number {
  return Math.floor(new Date(new X509Certificate(cert).validTo).getTime() / 1000)
}

function attempt<T> (work: () => T): T | null {
  try {
    return work()
  } catch {
    return null
  }
}
