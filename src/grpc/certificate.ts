/** The certificate of the gRPC port: files that are looked at again and again; a pair that does not fit together is passed over, and the old one is served on. */
import type { experimental } from '@grpc/grpc-js'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Log } from '../lifecycle.ts'

type Provider = experimental.CertificateProvider
type Listener = experimental.IdentityCertificateUpdateListener
type Files = { cert: string, key: string, checkSeconds: number }
type Pair = { certificate: Buffer, privateKey: Buffer }

/** What grpc-js asks for the certificate. It is looked at for as long as somebody listens. */
export class CertificateFiles implements Provider {
  readonly #files: Files
  readonly #log: Log
  readonly #listeners = new Set<Listener>()
  #pair: Pair | null
  #timer: NodeJS.Timeout | undefined

  constructor (files: Files, log: Log) {
    this.#files = files
    this.#log = log
    this.#pair = this.#read()
  }

  addIdentityCertificateListener (listener: Listener): void {
    this.#listeners.add(listener)
    // Whoever asks listens to its own watchers only after this.
    process.nextTick(() => listener(this.#pair))
    this.#timer ??= setInterval(() => this.#look(), this.#files.checkSeconds * 1000).unref()
  }

  removeIdentityCertificateListener (listener: Listener): void {
    this.#listeners.delete(listener)
    if (this.#listeners.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** No client has to show a certificate. */
  addCaCertificateListener (): void {}

  removeCaCertificateListener (): void {}

  #look (): void {
    const pair = this.#read()
    if (pair === null || (this.#pair !== null && pair.certificate.equals(this.#pair.certificate) && pair.privateKey.equals(this.#pair.privateKey))) return
    this.#pair = pair
    for (const listener of this.#listeners) listener(pair)
    this.#log.info({ certificate: this.#files.cert }, 'gRPC serves a new certificate')
  }

  #read (): Pair | null {
    try {
      const pair = { certificate: readFileSync(this.#files.cert), privateKey: readFileSync(this.#files.key) }
      return new X509Certificate(pair.certificate).checkPrivateKey(createPrivateKey(pair.privateKey)) ? pair : null
    } catch {
      return null
    }
  }
}
