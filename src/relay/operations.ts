/** What an operator may ask of a relay: out of service, the same coturn again, or another one in its place without a dropped call. */
import { setTimeout as wait } from 'node:timers/promises'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import type { Coturn } from './coturn.ts'
import type { CoturnPair } from './coturn-pair.ts'
import type { RelayNeeds } from './needs.ts'
import { isReady } from './relay-states.ts'
import type { RelaySite } from './sites.ts'

export type OperationKind = 'drain' | 'restart' | 'upgrade'
export type OperationPhase = 'starting' | 'handing-over' | 'draining' | 'ending' | 'done' | 'failed'
export type Operation = {
  kind: OperationKind
  phase: OperationPhase
  /** Unix seconds. */
  since: number
  /** When what is left is cut, unix seconds; null before the draining. */
  deadline: number | null
  /** Plain words. */
  detail: string
  /** Live allocations on the coturn that is being drained. */
  left: number
  /** Allocations that were cut at the deadline. */
  cut: number
}
export type OperationRequest = {
  /** Seconds that calls are given to end; of the settings where not given, 0 for a restart. */
  drainSeconds?: number | undefined
  /** Seconds in which the coturn that goes still takes new allocations. */
  handOverSeconds?: number | undefined
  /** Of an upgrade: the image to change to (driver docker). */
  image?: string | undefined
}
export type OperationsNeeds = Pick<RelayNeeds, 'log' | 'metrics' | 'nowSeconds' | 'onUrlsChanged'> & { site: RelaySite, pair: CoturnPair, /** Something of it is to be shown. */ onProgress: () => void }

/** A new coturn is proved well within it, or something is wrong with it. */
const PROOF_MS = 15_000
const END_MS = 3000
const POLL_MS = 100

export class Operations {
  readonly #needs: OperationsNeeds
  #current: Operation | null = null
  #working: Promise<void> = Promise.resolve()
  /** Seconds that were asked for while it went on: they count for what is still to come of it. */
  #hurriedTo: number | null = null
  #isStopping = false

  constructor (needs: OperationsNeeds) {
    this.#needs = needs
  }

  /** The last that was asked for, which may have ended. */
  current (): Operation | null {
    return this.#current
  }

  isUnderWay (): boolean {
    return this.#current !== null && this.#current.phase !== 'done' && this.#current.phase !== 'failed'
  }

  /** Does it take the relay out of service meanwhile? */
  withholds (): boolean {
    return this.isUnderWay() && this.#current?.kind !== 'upgrade'
  }

  /** Begins, and goes on by itself. Throws relay-busy, relay-drained, relay-not-ours or invalid-request. */
  begin (kind: OperationKind, request: OperationRequest): Operation {
    const { site, pair, log, nowSeconds } = this.#needs
    if (this.#isStopping) throw new TurnpikeError('shutting-down', 'no more is begun')
    if (this.#current !== null && this.isUnderWay()) return this.#hurry(this.#current, kind, request)
    if (site.config.relay.driver === 'external' && kind === 'upgrade') throw new TurnpikeError('relay-not-ours', `${site.id} is run by somebody else; here it can only be taken out of service (drain) and back (restart)`)
    if (pair.leaving() !== null) throw new TurnpikeError('relay-busy', `${site.id}: a coturn of an earlier upgrade has not ended yet`)
    if (kind === 'upgrade') this.#requireUpgradable(request)
    log.info({ relay: site.id, kind }, 'an operation has begun')
    const work = { drain: () => this.#drain(request), restart: () => this.#restart(request), upgrade: () => this.#upgrade(request) }[kind]
    return this.#run({ kind, phase: 'starting', since: nowSeconds(), deadline: null, detail: 'begun', left: 0, cut: 0 }, work)
  }

  #requireUpgradable ({ image }: OperationRequest): void {
    const { site, pair } = this.#needs
    const { driver } = pair.serving().launcher.describe()
    if (pair.isDrained()) throw new TurnpikeError('relay-drained', `${site.id} is drained; restart brings it back, with what is configured now`)
    if (image !== undefined && driver !== 'docker') throw new TurnpikeError('invalid-request', `image is for the driver docker; ${site.id} is run as ${driver}`, { fields: [{ field: 'image', message: `must not be given where the driver is ${driver}` }] })
  }

  /**
   * Goes on with an upgrade that a restart of ours broke off: with the drain of the first coturn, and with the way back to its ports.
   * `isAnother`: the one that serves has another configuration than it should have, and is replaced too.
   */
  resume (leaving: Coturn | null, until: number, isAnother: boolean): void {
    const { pair, nowSeconds } = this.#needs
    const detail = isAnother ? 'a coturn with another configuration and calls runs, and is replaced' : 'taken up again'
    this.#run({ kind: 'upgrade', phase: leaving === null ? 'starting' : 'draining', since: nowSeconds(), deadline: leaving === null ? null : until, detail, left: leaving?.count() ?? 0, cut: 0 }, async () => {
      if (leaving !== null) {
        await this.#empty(leaving, { drainSeconds: Math.max(0, until - nowSeconds()) })
        await this.#endLeaving(leaving)
      }
      if (isAnother) await this.#hop({}, pair.image())
      if (pair.serving().slot === 'alternate') await this.#hop({}, pair.image())
    })
  }

  /** Goes on with a drain, or a restart after one, of the coturn that serves. */
  resumeOut (kind: 'drain' | 'restart', until: number): void {
    const { pair, nowSeconds } = this.#needs
    this.#run({ kind, phase: 'draining', since: nowSeconds(), deadline: until, detail: 'taken up again', left: pair.serving().count(), cut: 0 }, async () => {
      await this.#empty(pair.serving(), { drainSeconds: Math.max(0, until - nowSeconds()) })
      await pair.serving().end(END_MS)
      if (kind === 'drain') pair.setDrained(true)
      else await this.#backIntoService()
    })
  }

  /** Nothing more is begun, and what is under way breaks off; the next start goes on with it. */
  halt (): void {
    this.#isStopping = true
  }

  /** Resolves when what was broken off has let go, or after so long. */
  async settled (withinMs: number): Promise<void> {
    await Promise.race([this.#working, wait(withinMs, undefined, { ref: false })])
  }

  /** The same asked for again while it goes on: other seconds from now on. */
  #hurry (current: Operation, kind: OperationKind, { drainSeconds }: OperationRequest): Operation {
    const { site, pair, nowSeconds } = this.#needs
    if (current.kind !== kind) throw new TurnpikeError('relay-busy', `${site.id}: ${current.kind} is under way (${current.detail})`)
    if (drainSeconds === undefined) return current
    this.#hurriedTo = drainSeconds
    if (current.deadline === null) return current
    current.deadline = nowSeconds() + drainSeconds
    pair.endBy(current.deadline)
    return current
  }

  #run (operation: Operation, work: () => Promise<void>): Operation {
    this.#current = operation
    this.#hurriedTo = null
    this.#working = this.#carryOut(operation, work)
    return operation
  }

  async #carryOut (operation: Operation, work: () => Promise<void>): Promise<void> {
    const { log, metrics, site: { id: relay } } = this.#needs
    const { kind } = operation
    try {
      await work()
      this.#progress('done', `${kind} is done`)
      log.info({ relay, kind, cut: operation.cut }, 'the operation is done')
    } catch (error) {
      if (this.#isStopping) return
      const reason = isTurnpikeError(error) ? error.message : String(error)
      this.#progress('failed', reason)
      log.warn({ relay, kind, reason }, 'the operation has failed')
    }
    if (kind === 'upgrade') metrics.add('turnpike_relay_upgrades_total', { relay, result: operation.phase === 'done' ? 'done' : 'rolled_back' })
  }

  /** Nobody is sent here any more, and coturn is ended when its last call is, or at the deadline. */
  async #drain (request: OperationRequest): Promise<void> {
    const { pair, site, onUrlsChanged } = this.#needs
    onUrlsChanged()
    if (!pair.isDrained() && site.config.relay.driver !== 'external') await this.#letEnd('drain', request)
    pair.setDrained(true)
  }

  /** The same coturn again, on the same ports; or one that was drained back into service. */
  async #restart ({ drainSeconds = 0, handOverSeconds = 0 }: OperationRequest): Promise<void> {
    const { pair, site, onUrlsChanged } = this.#needs
    if (!pair.isDrained() && site.config.relay.driver !== 'external') {
      onUrlsChanged()
      await this.#letEnd('restart', { drainSeconds, handOverSeconds })
    }
    await this.#backIntoService()
  }

  async #letEnd (kind: 'drain' | 'restart', request: OperationRequest): Promise<void> {
    const { pair } = this.#needs
    pair.setPending(kind, this.#deadlineOf(request))
    await this.#handOver(pair.serving(), request)
    await this.#empty(pair.serving(), request)
    await pair.serving().end(END_MS)
  }

  async #backIntoService (): Promise<void> {
    const { pair, site, metrics, onUrlsChanged } = this.#needs
    const isOurs = site.config.relay.driver !== 'external'
    if (this.#isStopping) throw new TurnpikeError('shutting-down', 'the next start goes on with it')
    pair.setDrained(false)
    this.#progress('starting', 'coturn is being started')
    // One that somebody else runs was only not sent to; it may still be watched.
    if (isOurs || pair.serving().status().state === 'stopped') await pair.renew().start(PROOF_MS)
    metrics.add('turnpike_relay_restarts_total', { relay: site.id, reason: 'asked' })
    const { state, reason } = pair.serving().status()
    onUrlsChanged()
    if (!isReady(state)) throw new TurnpikeError('relay-unproven', reason)
  }

  /** A second coturn takes over on the other ports; when the first has gone, a third one on its ports: clients behind strict firewalls know those. */
  async #upgrade (request: OperationRequest): Promise<void> {
    const { pair } = this.#needs
    const image = request.image ?? pair.image()
    await this.#hop(request, image)
    if (pair.serving().slot === 'alternate') await this.#hop(request, image)
  }

  async #hop (request: OperationRequest, image: string): Promise<void> {
    const { pair, onUrlsChanged } = this.#needs
    const old = pair.serving()
    this.#progress('starting', 'a second coturn is being started beside the first')
    const next = await this.#prove(image)
    pair.switchTo(next, image, this.#deadlineOf(request))
    onUrlsChanged()
    await this.#handOver(old, request)
    await this.#empty(old, request)
    await this.#endLeaving(old)
  }

  /** Throws where it cannot be proved; then it has been ended. */
  async #prove (image: string): Promise<Coturn> {
    const { pair } = this.#needs
    if (this.#isStopping) throw new TurnpikeError('shutting-down', 'the next start goes on with it')
    const next = pair.bring(image)
    try {
      await next.start(PROOF_MS)
      const { state, code, reason } = next.status()
      if (!isReady(state) || this.#isStopping) throw new TurnpikeError(code ?? 'relay-unproven', `the new coturn is not well and was ended, the old one serves on: ${reason}`)
      return next
    } catch (error) {
      await next.end(END_MS).catch(() => {})
      pair.forgetComing()
      throw error
    }
  }

  async #endLeaving (old: Coturn): Promise<void> {
    await old.end(END_MS)
    this.#needs.pair.forgetLeaving()
  }

  /** For a while the coturn that goes still takes new allocations: clients were just given its URLs. */
  async #handOver (old: Coturn, { handOverSeconds = this.#needs.site.config.relay.handOverSeconds }: OperationRequest): Promise<void> {
    this.#progress('handing-over', `nobody is sent to it any more; for ${handOverSeconds} s it takes those who were`)
    const endsAt = performance.now() + handOverSeconds * 1000
    while (performance.now() < endsAt && !old.isGone()) {
      if (this.#isStopping) throw new TurnpikeError('shutting-down', 'the next start goes on with it')
      await wait(POLL_MS, undefined, { ref: false })
    }
  }

  async #empty (old: Coturn, request: OperationRequest): Promise<void> {
    const { log, site, nowSeconds, onProgress } = this.#needs
    const operation = this.#current
    if (operation === null) return
    await old.drain().catch((error: unknown) => log.warn({ relay: site.id, reason: (error as Error).message }, 'coturn could not be told to drain; it is ended all the same'))
    operation.deadline = this.#deadlineOf(request)
    this.#needs.pair.endBy(operation.deadline)
    this.#progress('draining', 'it takes nothing new and waits for its calls to end')
    const isEmpty = await old.emptied(() => {
      operation.left = old.count()
      onProgress()
      return this.#isStopping || nowSeconds() >= (operation.deadline ?? 0)
    })
    if (this.#isStopping) throw new TurnpikeError('shutting-down', 'the next start goes on with it')
    operation.left = isEmpty ? 0 : old.count()
    this.#progress('ending', isEmpty ? 'its last call has ended' : `${operation.left} allocations are left at the deadline, and are cut`)
    if (!isEmpty) operation.cut += await old.cutAll('drained')
    operation.left = 0
  }

  #deadlineOf ({ drainSeconds = this.#needs.site.config.relay.drainSeconds }: OperationRequest): number {
    return this.#needs.nowSeconds() + (this.#hurriedTo ?? drainSeconds)
  }

  #progress (phase: OperationPhase, detail: string): void {
    if (this.#current !== null) Object.assign(this.#current, { phase, detail })
    this.#needs.onProgress()
  }
}
