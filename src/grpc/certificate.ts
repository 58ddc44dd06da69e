/** The certificate of the gRPC port, as grpc-js asks for it. */
import type { experimental } from '@grpc/grpc-js'
import type { Certificates } from '../tls/certificates.ts'
import type { Pair } from '../tls/pair.ts'

type Provider = experimental.CertificateProvider
type Listener = experimental.IdentityCertificateUpdateListener

/** Tells those who listen of the certificate that is served, and of each new one. */
export class ServedCertificate implements Provider {
  readonly #certificates: Pick<Certificates, 'served'>
  readonly #listeners = new Set<Listener>()
  #told: Pair | null

  constructor (certificates: Pick<Certificates, 'served' | 'use'>) {
    this.#certificates = certificates
    this.#told = certificates.served()
    certificates.use('grpc', pair => this.#tell(pair))
  }

  addIdentityCertificateListener (listener: Listener): void {
    this.#listeners.add(listener)
    // Whoever asks listens to its own watchers only after this.
    process.nextTick(() => listener(bytesOf(this.#certificates.served())))
  }

  removeIdentityCertificateListener (listener: Listener): void {
    this.#listeners.delete(listener)
  }

  #tell (pair: Pair): void {
    if (pair === this.#told) return
    this.#told = pair
    for (const listener of this.#listeners) listener(bytesOf(pair))
  }

  /** No client has to show a certificate. */
  addCaCertificateListener (): void {}

  removeCaCertificateListener (): void {}
}

function bytesOf (pair: Pair | null): { certificate: Buffer, privateKey: Buffer } | null {
  return pair === null ? null : { certificate: Buffer.from(pair.cert), privateKey: Buffer.from(pair.key) }
}
