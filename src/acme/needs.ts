/** What certificates by ACME take from the rest of the house, and tell it. */
import type { Config } from '../config/schema.ts'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import type { Environment } from './environment.ts'

export type AcmeNeeds = {
  config: Pick<Config, 'domain' | 'acme' | 'https' | 'edge' | 'certificate'>
  log: Log
  metrics: Pick<Metrics, 'add' | 'set'>
  nowSeconds: () => number
  /** What others reach this machine at; '' while it is not known. */
  publicAddress: () => string
  /** The addresses of a name; asked of this machine where it is not given. */
  resolve?: ((name: string) => Promise<readonly string[]>) | undefined
  /** The environment of this process. */
  env?: Environment
  /** There is another certificate. */
  onIssued: () => Promise<void>
}
export type AcmeStatus = {
  /** Is there a certificate of the authority for the domain? */
  ready: boolean
  domain: string
  /** What is in the way of the next one. */
  problem: { code: ErrorCode, reason: string } | null
  /** Unix seconds. */
  nextTryAt: number | null
}
