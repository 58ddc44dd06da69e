/** The door of certificates by ACME (RFC 8555): the first one, its renewal, and what is in the way of either. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Part } from '../lifecycle.ts'
import { errorEntry, isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import type { Finding } from '../protocol/findings.ts'
import { isFor, isPlaceholder, lifetimeOf, PLACEHOLDER, problemOf, type Pair } from '../tls/pair.ts'
import { callDnsHook } from './dns-hook.ts'
import { accountKeyIn, CertificateFile } from './files.ts'
import { findingsOf } from './findings.ts'
import { HttpChallenge } from './http-challenge.ts'
import { chooseNames, lookUp } from './names.ts'
import type { AcmeNeeds, AcmeStatus } from './needs.ts'
import type { Challenge } from './order-messages.ts'
import { runTask } from './order.ts'
import { isFoundHere, orderAt, renewAt, waitAfter } from './schedule.ts'
import { readSilence, writeSilence, type Silence } from './silence.ts'

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
/** About three minutes. */
const POLLS = 40

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
  /** One that was issued and is not on the disk yet. */
  #unwritten: Pair | null = null
  #failures = 0
  /** What the authority said of the orders that it refused, since it last issued one for several names. */
  #refusals: string[] = []
  #problem: AcmeStatus['problem'] = null
  #leftOut: readonly string[] = []
  #doubts: readonly string[] = []
  /** By performance.now(): the clock of the machine may be set meanwhile. */
  #nextTryMs: number | null = null

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
    if (current === null) this.#file.write({ pair: await runTask({ placeholder: { organisation: PLACEHOLDER } }, async () => {}, { env: this.#needs.env ?? {}, signal: this.#stopping.signal }), authority: 'none', issuedAt: 0 })
    metrics.set('turnpike_acme_last_success_timestamp_seconds', { domain: this.#domain }, current === null || isPlaceholder(current.pair) ? 0 : lifetimeOf(current.pair).begins)
    this.#keepSilence()
    this.#running = this.#run()
  }

  async stop (): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await Promise.all([this.#running, this.#challenge?.close()])
  }

  status (): AcmeStatus {
    const seconds = this.#untilNextTry()
    return { ready: this.#isReady(), domain: this.#domain, problem: this.#problem, nextTryAt: seconds === null ? null : Math.round(this.#needs.nowSeconds() + seconds) }
  }

  examine (): Finding[] {
    return findingsOf({ domain: this.#domain, current: this.#file.read(), problem: this.#problem, leftOut: this.#leftOut, doubts: this.#doubts, now: this.#needs.nowSeconds() })
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
    const seconds = this.#untilNextTry() ?? 0
    if (seconds > 0) return seconds
    try {
      if (this.#unwritten !== null) await this.#keep(this.#unwritten)
      await this.#challenge?.listen()
      const names = await this.#choose()
      if (this.#dueAt(names) <= this.#needs.nowSeconds()) await this.#order(names)
      this.#problem = null
      this.#failures = 0
      this.#nextTryMs = null
      return Math.min(LOOK_SECONDS, Math.max(0, this.#dueAt(names) - this.#needs.nowSeconds()))
    } catch (error) {
      return this.#stopping.signal.aborted ? 0 : this.#failed(error)
    }
  }

  /** Null where the last one succeeded. */
  #untilNextTry (): number | null {
    return this.#nextTryMs === null ? null : (this.#nextTryMs - performance.now()) / 1000
  }

  /** What the authority has asked of the process before. */
  #keepSilence (): void {
    const now = this.#needs.nowSeconds()
    const silence = readSilence(this.#silenceFile, this.#directory, now)
    if (silence === null) return
    this.#problem = { code: 'acme-rate-limited', reason: silence.reason }
    this.#nextTryMs = performance.now() + (silence.until - now) * 1000
    this.#needs.log.warn({ reason: silence.reason, nextTryInSeconds: silence.until - now }, 'the certificate authority wanted to hear nothing until then')
  }

  /** The names that lead here; the domain alone where the authority has twice refused them together, or where a certificate for it is good for a while yet. */
  async #choose (): Promise<string[]> {
    try {
      const { names, leftOut, doubts } = await chooseNames(this.#names, { publicAddress: this.#needs.publicAddress, resolve: this.#needs.resolve ?? lookUp, challenge: this.#challenge })
      const isAlone = this.#refusals.length >= MOST_REFUSALS && names.length > 1
      this.#tell(isAlone ? [...leftOut, `${names.slice(1).join(', ')}: left out until the next start, because the authority said: ${this.#refusals.at(-1) ?? ''}`] : leftOut, doubts)
      return isAlone ? names.slice(0, 1) : names
    } catch (error) {
      if (this.#dueAt([this.#domain]) <= this.#needs.nowSeconds()) throw error
      this.#tell([], [`It could not be renewed today: ${(error as Error).message}`])
      return [this.#domain]
    }
  }

  /** When a certificate for these names is to be ordered; 0: now. */
  #dueAt (names: readonly string[]): number {
    const current = this.#file.read()
    if (current === null || isPlaceholder(current.pair) || current.authority !== this.#directory) return 0
    return names.every(name => isFor(current.pair, name)) ? orderAt(lifetimeOf(current.pair), current.issuedAt, this.#needs.nowSeconds()) : 0
  }

  async #order (names: readonly string[]): Promise<void> {
    const { config: { acme }, env = {}, log, metrics } = this.#needs
    log.info({ names, authority: this.#directory }, 'a certificate is ordered')
    const order = { directory: this.#directory, ca: acme.caFile === undefined ? null : readFileSync(acme.caFile, 'utf8'), accountKey: accountKeyIn(this.#accountFile), email: acme.email ?? null, names, challenge: acme.challenge, polls: POLLS }
    const pair = await runTask({ order }, async (present, challenge) => { await this.#show(present, challenge) }, { env, signal: this.#stopping.signal })
    const missing = names.find(name => !isFor(pair, name))
    // It would be ordered again at once, and again.
    if (problemOf(pair) !== null || missing !== undefined) throw new TurnpikeError('acme-not-understood', `the certificate that was issued cannot be used: ${problemOf(pair) ?? `it is not for ${missing}`}`)
    if (names.length > 1) this.#refusals = []
    metrics.add('turnpike_acme_orders_total', { result: 'issued' })
    await this.#keep(pair)
  }

  /** Where the disk takes nothing, this alone is tried again: authorities issue few for the same names. */
  async #keep (pair: Pair): Promise<void> {
    const { log, metrics, nowSeconds, onIssued } = this.#needs
    this.#unwritten = pair
    this.#file.write({ pair, authority: this.#directory, issuedAt: nowSeconds() })
    this.#unwritten = null
    this.#problem = null
    metrics.set('turnpike_acme_last_success_timestamp_seconds', { domain: this.#domain }, nowSeconds())
    const lifetime = lifetimeOf(pair)
    log.info({ expiresAt: lifetime.ends }, 'the certificate authority has issued a certificate')
    if (renewAt(lifetime) <= nowSeconds()) log.warn({ expiresAt: lifetime.ends, clock: nowSeconds() }, 'a new certificate is to be renewed already, by the clock of this machine: set it right')
    await onIssued()
  }

  async #show (present: boolean, { name, token, value }: Challenge): Promise<void> {
    if (this.#challenge === null) await this.#callHook(present, name, value)
    else if (present) this.#challenge.set(token, value)
    else this.#challenge.remove(token)
  }

  /** A record that stays is in nobody's way: that is said, and the order goes on. */
  async #callHook (present: boolean, name: string, value: string): Promise<void> {
    const { config: { acme: { dnsHook = '' } }, env = {}, log } = this.#needs
    const { signal } = this.#stopping
    try {
      await callDnsHook(dnsHook, present ? 'add' : 'remove', `_acme-challenge.${name}`, value, { env, signal })
    } catch (error) {
      if (present) throw error
      if (!signal.aborted) log.warn({ reason: (error as Error).message }, 'a record in DNS was not removed')
    }
  }

  /** Never throws. */
  #failed (error: unknown): number {
    const { log, metrics, nowSeconds, config } = this.#needs
    const problem = isTurnpikeError(error) ? error : new TurnpikeError('internal', (error as Error).message, { cause: error })
    const wasSaid = this.#problem?.reason === problem.message
    if (!isFoundHere(problem.code)) this.#failures++
    this.#problem = { code: problem.code, reason: problem.message }
    if (problem.code === 'acme-refused' || problem.code === 'acme-challenge-failed') this.#refusals = [...this.#refusals, problem.message].slice(-MOST_REFUSALS)
    // The relay is still finding out which address to name.
    const { retrySeconds } = config.acme
    const isSoon = problem.code === 'acme-name-elsewhere' && this.#needs.publicAddress() === ''
    const seconds = waitAfter(this.#failures, problem, isSoon ? Math.min(retrySeconds, SOON_SECONDS) : retrySeconds)
    this.#nextTryMs = performance.now() + seconds * 1000
    if (!isFoundHere(problem.code)) metrics.add('turnpike_acme_orders_total', { result: 'failed' })
    const { title, cure } = errorEntry(problem.code)
    if (!wasSaid || !isFoundHere(problem.code)) log.warn({ code: problem.code, reason: problem.message, cure, nextTryInSeconds: seconds }, `${this.#isReady() ? 'the certificate could not be renewed' : 'no certificate'}: ${title.toLowerCase()}`)
    if (problem.code === 'acme-rate-limited') this.#writeSilence({ authority: this.#directory, until: nowSeconds() + seconds, reason: problem.message })
    return seconds
  }

  #writeSilence (silence: Silence): void {
    try {
      writeSilence(this.#silenceFile, silence)
    } catch (error) {
      this.#needs.log.warn({ reason: (error as Error).message }, 'the next process will not know that the certificate authority wants to hear nothing')
    }
  }

  #isReady (): boolean {
    const current = this.#file.read()
    return current !== null && isFor(current.pair, this.#domain)
  }

  /** What is new of it. */
  #tell (leftOut: readonly string[], doubts: readonly string[]): void {
    for (const why of leftOut.filter(text => !this.#leftOut.includes(text))) this.#needs.log.info({ why }, 'the certificate is not for another name')
    for (const why of doubts.filter(text => !this.#doubts.includes(text))) this.#needs.log.warn({ why }, 'the next certificate may not be got')
    this.#leftOut = leftOut
    this.#doubts = doubts
  }
}
