/** The door of certificates by ACME (RFC 8555): the first one, its renewal, and what is in the way of either. */
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../config/schema.ts'
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { errorEntry, isTurnpikeError, TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import { finding, type Finding } from '../protocol/findings.ts'
import { isFor, isPlaceholder, lifetimeOf, PLACEHOLDER } from '../tls/pair.ts'
import { callDnsHook } from './dns-hook.ts'
import { CertificateFile, readAccountKey, replaceFile } from './files.ts'
import { HttpChallenge } from './http-challenge.ts'
import { chooseNames, lookUp } from './names.ts'
import type { Challenge } from './order-messages.ts'
import { runTask } from './order.ts'
import { renewAt, waitAfter } from './schedule.ts'

export type AcmeNeeds = {
  config: Pick<Config, 'domain' | 'acme' | 'https' | 'edge' | 'certificate'>
  log: Log
  metrics: Pick<Metrics, 'add' | 'set'>
  nowSeconds: () => number
  /** What others reach this machine at; '' while it is not known. */
  publicAddress: () => string
  /** The addresses of a name; asked of this machine where it is not given. */
  resolve?: ((name: string) => Promise<readonly string[]>) | undefined
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
export type Acme = Part & {
  /** Null where no certificates are got by ACME. */
  status (): AcmeStatus | null
  examine (): Finding[]
  firewall (): { protocol: string, ports: string, what: string }[]
}

const MOST_REFUSALS = 2
const SOON_SECONDS = 5
/** Names in DNS are looked at so often. */
const LOOK_SECONDS = 3600
/** Longest that a timer of Node's can wait is 24 days. */
const LONGEST_WAIT_SECONDS = 6 * 3600

export function createAcme (needs: AcmeNeeds): Acme {
  const { acme: wanted, files } = needs.config.certificate
  if (wanted === null || files === null) return { name: 'acme', start: async () => {}, stop: async () => {}, status: () => null, examine: () => [], firewall: () => [] }
  return new Authority(needs, wanted, files.cert)
}

class Authority implements Acme {
  readonly name = 'acme'
  readonly #needs: AcmeNeeds
  readonly #directory: string
  readonly #names: readonly string[]
  readonly #domain: string
  readonly #file: CertificateFile
  readonly #accountFile: string
  /** Until when the authority wants to hear nothing, also from the next process. */
  readonly #silenceFile: string
  readonly #challenge: HttpChallenge | null
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #wake: (() => void) | undefined
  #failures = 0
  /** What the authority said of the orders that it refused, since it last issued one for several names. */
  #refusals: string[] = []
  #problem: AcmeStatus['problem'] = null
  #leftOut: readonly string[] = []
  #nextTryAt: number | null = null

  constructor (needs: AcmeNeeds, { directory, names }: { directory: string, names: readonly string[] }, file: string) {
    const { acme, https } = needs.config
    this.#needs = needs
    this.#directory = directory
    this.#names = names
    this.#domain = names[0] ?? ''
    this.#file = new CertificateFile(file)
    this.#accountFile = `${dirname(file)}/account.pem`
    this.#silenceFile = `${dirname(file)}/not-before`
    const elsewhere = https.port === 0 ? null : https.publicPort === 443 ? this.#domain : `${this.#domain}:${https.publicPort}`
    this.#challenge = acme.challenge === 'http-01' ? new HttpChallenge({ host: acme.httpHost, port: acme.httpPort }, elsewhere) : null
  }

  /** There is something to serve afterwards; the order goes on by itself. */
  async start (): Promise<void> {
    const { metrics } = this.#needs
    for (const result of ['issued', 'failed']) metrics.add('turnpike_acme_orders_total', { result }, 0)
    const current = this.#file.read()
    if (current === null) this.#file.write(await runTask({ placeholder: { organisation: PLACEHOLDER } }, async () => {}, this.#stopping.signal), 'none')
    metrics.set('turnpike_acme_last_success_timestamp_seconds', { domain: this.#domain }, current === null || isPlaceholder(current.pair) ? 0 : lifetimeOf(current.pair).begins)
    this.#running = this.#run()
  }

  async stop (): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await Promise.all([this.#running, this.#challenge?.close()])
  }

  status (): AcmeStatus {
    const current = this.#file.read()
    return { ready: current !== null && isFor(current.pair, this.#domain), domain: this.#domain, problem: this.#problem, nextTryAt: this.#nextTryAt }
  }

  examine (): Finding[] {
    const about = `certificate for ${this.#domain}`
    const current = this.#file.read()
    if (this.#problem !== null) {
      const { code, reason } = this.#problem
      const { ready } = this.status()
      return [finding('certificate-order', about, ready ? 'warning' : 'failed', `${ready ? 'It could not be renewed' : 'There is none yet'}: ${reason}.`, `${errorEntry(code).cure} It is tried again by itself.`)]
    }
    if (current === null || !isFor(current.pair, this.#domain)) return [finding('certificate-order', about, 'warning', 'It is being got for the first time.', 'Wait a minute, and look again.')]
    const renewed = new Date(renewAt(lifetimeOf(current.pair)) * 1000).toISOString().slice(0, 10)
    return [finding('certificate-order', about, 'ok', `It is renewed by itself on ${renewed}.${this.#leftOut.map(sentence => ` Not for another name: ${sentence}.`).join('')}`)]
  }

  firewall (): { protocol: string, ports: string, what: string }[] {
    const { acme, edge } = this.#needs.config
    return this.#challenge === null ? [] : [{ protocol: 'tcp', ports: edge.port === 0 ? String(acme.httpPort) : '80', what: 'questions of the certificate authority; everybody else is sent to https' }]
  }

  async #run (): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const seconds = await this.#turn()
      if (signal.aborted) return
      await this.#wait(Math.min(Math.max(seconds, 1), LONGEST_WAIT_SECONDS))
    }
  }

  async #wait (seconds: number): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, seconds * 1000).unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Does what is due; resolves to the seconds until something may be due again. Never throws. */
  async #turn (): Promise<number> {
    const now = this.#needs.nowSeconds()
    const silentUntil = this.#problem === null ? readSilence(this.#silenceFile) : 0
    if (this.#nextTryAt === null && silentUntil > now) this.#nextTryAt = silentUntil
    if (this.#nextTryAt !== null && this.#nextTryAt > now) return this.#nextTryAt - now
    try {
      await this.#challenge?.listen()
      const names = await this.#choose()
      if (this.#dueAt(names) <= this.#needs.nowSeconds()) await this.#order(names)
      this.#problem = null
      this.#failures = 0
      this.#nextTryAt = null
      return Math.min(LOOK_SECONDS, Math.max(0, this.#dueAt(names) - this.#needs.nowSeconds()))
    } catch (error) {
      return this.#stopping.signal.aborted ? 0 : this.#failed(error)
    }
  }

  /** The names that lead here; the domain alone where the authority has twice refused them together. */
  async #choose (): Promise<string[]> {
    const { names, leftOut } = await chooseNames(this.#names, { publicAddress: this.#needs.publicAddress, resolve: this.#needs.resolve ?? lookUp, challenge: this.#challenge })
    const isAlone = this.#refusals.length >= MOST_REFUSALS && names.length > 1
    this.#tellLeftOut(isAlone ? [...leftOut, `${names.slice(1).join(', ')}: left out until the next start, because the authority said: ${this.#refusals.at(-1) ?? ''}`] : leftOut)
    return isAlone ? names.slice(0, 1) : names
  }

  /** When a certificate for these names is to be ordered; 0: now. */
  #dueAt (names: readonly string[]): number {
    const current = this.#file.read()
    if (current === null || isPlaceholder(current.pair) || current.authority !== this.#directory) return 0
    return names.every(name => isFor(current.pair, name)) ? renewAt(lifetimeOf(current.pair)) : 0
  }

  async #order (names: readonly string[]): Promise<void> {
    const { config: { acme }, log, metrics, onIssued, nowSeconds } = this.#needs
    log.info({ names, authority: this.#directory }, 'a certificate is ordered')
    const order = { directory: this.#directory, ca: acme.caFile === undefined ? null : readFileSync(acme.caFile, 'utf8'), accountKey: this.#accountKey(), email: acme.email ?? null, names, challenge: acme.challenge }
    const pair = await runTask({ order }, async (present, challenge) => { await this.#show(present, challenge) }, this.#stopping.signal)
    this.#file.write(pair, this.#directory)
    if (names.length > 1) this.#refusals = []
    this.#problem = null
    metrics.add('turnpike_acme_orders_total', { result: 'issued' })
    metrics.set('turnpike_acme_last_success_timestamp_seconds', { domain: this.#domain }, nowSeconds())
    log.info({ names, expiresAt: lifetimeOf(pair).ends }, 'the certificate authority has issued a certificate')
    await onIssued()
  }

  /** One that was lost is made anew: a new account. */
  #accountKey (): string {
    const kept = readAccountKey(this.#accountFile)
    if (kept !== null) return kept
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
    replaceFile(this.#accountFile, privateKey)
    return privateKey
  }

  async #show (present: boolean, { name, token, value }: Challenge): Promise<void> {
    const { dnsHook } = this.#needs.config.acme
    if (this.#challenge === null) await callDnsHook(dnsHook ?? '', present ? 'add' : 'remove', `_acme-challenge.${name}`, value, this.#stopping.signal)
    else if (present) this.#challenge.set(token, value)
    else this.#challenge.remove(token)
  }

  #failed (error: unknown): number {
    const { log, metrics, nowSeconds, config } = this.#needs
    const problem = isTurnpikeError(error) ? error : new TurnpikeError('internal', (error as Error).message, { cause: error })
    const wasSaid = this.#problem?.reason === problem.message
    this.#failures++
    this.#problem = { code: problem.code, reason: problem.message }
    if (problem.code === 'acme-refused' || problem.code === 'acme-challenge-failed') this.#refusals = [...this.#refusals, problem.message].slice(-MOST_REFUSALS)
    // The relay is still finding out which address to name.
    const { retrySeconds } = config.acme
    const isSoon = problem.code === 'acme-name-elsewhere' && this.#needs.publicAddress() === ''
    const seconds = waitAfter(this.#failures, problem, isSoon ? Math.min(retrySeconds, SOON_SECONDS) : retrySeconds)
    this.#nextTryAt = nowSeconds() + seconds
    if (problem.code === 'acme-rate-limited') replaceFile(this.#silenceFile, String(this.#nextTryAt))
    if (problem.code !== 'acme-name-elsewhere') metrics.add('turnpike_acme_orders_total', { result: 'failed' })
    const { title, cure } = errorEntry(problem.code)
    if (!wasSaid || problem.code !== 'acme-name-elsewhere') log.warn({ code: problem.code, reason: problem.message, cure, nextTryInSeconds: seconds }, `no certificate: ${title.toLowerCase()}`)
    return seconds
  }

  #tellLeftOut (leftOut: readonly string[]): void {
    for (const sentence of leftOut.filter(text => !this.#leftOut.includes(text))) this.#needs.log.info({ why: sentence }, 'the certificate is not for another name')
    this.#leftOut = leftOut
  }
}

function readSilence (file: string): number {
  const until = Number(readAccountKey(file) ?? 0)
  return Number.isFinite(until) ? until : 0
}
