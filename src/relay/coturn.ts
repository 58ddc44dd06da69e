/** One coturn: what it reports to, what commands it, what keeps it running, and what lives on it. */
import { setTimeout as wait } from 'node:timers/promises'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Allocation } from './allocation.ts'
import { Allocations } from './allocations.ts'
import type { Pair } from '../tls/pair.ts'
import { Control } from './control.ts'
import { Cutter } from './cutter.ts'
import { Feed } from './feed.ts'
import { feedHost, freePort, readFeedFile, writeFeedFile } from './feed-file.ts'
import { Launcher } from './launcher.ts'
import type { CoturnNeeds } from './coturn-needs.ts'
import { isProbeUser, probeOf, proveSecret } from './probe-target.ts'
import { countProbes } from './relay-report.ts'
import type { Slot } from './sites.ts'
import { Supervisor, type Status } from './supervisor.ts'

const START_DEADLINE_MS = 10_000
/** Totals arrive within milliseconds of the end. */
const TOTALS_WITHIN_MS = 1000

export class Coturn {
  readonly slot: Slot
  readonly launcher: Launcher
  readonly #name: string
  readonly #needs: CoturnNeeds
  readonly #allocations: Allocations
  readonly #feed: Feed
  readonly #kept: ReturnType<typeof readFeedFile>
  readonly #controlAddress: { host: string, port: number, password: string }
  readonly #control: Control
  readonly #cutter: Cutter
  readonly #supervisor: Supervisor
  /** Has it ended without being told to? One that is drained does, with its last call. */
  #isGone = false
  #isOpen = false
  /** Was it told to end, or let go of? */
  #isOver = false
  #keepsWhatRuns = false

  constructor (needs: CoturnNeeds) {
    const { config, log, relay, slot, directory } = needs
    const host = feedHost(config)
    this.slot = slot
    this.#name = `${relay}.${slot}`
    this.#needs = needs
    this.#kept = readFeedFile(directory)
    const { port, password, controlPort, controlPassword } = this.#kept
    this.#allocations = this.#tableFor(needs)
    this.#feed = new Feed({ host, password, log, onEvent: event => this.#allocations.take(event), onConnected: needs.onFeed, onBack: () => this.#cutter.reconcileSoon(true) })
    this.#controlAddress = { host, port: controlPort, password: controlPassword }
    this.#control = new Control(this.#controlAddress)
    this.#cutter = new Cutter({ ...needs, isExternal: config.relay.driver === 'external', control: this.#control, allocations: this.#allocations })
    this.launcher = new Launcher({ ...needs, feed: { host, port, password }, control: this.#controlAddress, onStarted: adopted => this.#started(adopted) })
    this.#supervisor = this.#supervise(needs)
  }

  /** Begins; resolves when it is proved, has failed for the first time, or after the deadline (ms). Does not throw for a coturn that is not well. */
  async start (deadlineMs = START_DEADLINE_MS): Promise<void> {
    await this.#open()
    // Ended before it was begun.
    if (this.#isOver) return await this.close()
    await this.#supervisor.start(deadlineMs)
  }

  /** Does one run here that an earlier process started with something else, and that we can command? */
  async runsAnother (): Promise<boolean> {
    await this.#open()
    return !this.#kept.isNew && await this.launcher.runsAnother().catch(() => false)
  }

  /** The start to come takes that one over as it is, with its calls; it is started with what is configured when it has ended. */
  keepWhatRuns (): void {
    this.#keepsWhatRuns = true
  }

  /** Has it ended without being told to? */
  isGone (): boolean {
    return this.#isGone
  }

  /** Takes over one that an earlier process was draining; false where it has ended. Throws where that cannot be found out. */
  async resumeDrain (version: string | null): Promise<boolean> {
    try {
      await this.#open()
      if (await this.launcher.takeOver(version, () => { this.#isGone = true })) return true
    } catch (error) {
      this.launcher.release()
      await this.close()
      throw error
    }
    await this.close()
    return false
  }

  /** Takes nothing new from now on, and is no longer probed or started again; whatever lives goes on. */
  async drain (): Promise<void> {
    await this.#supervisor.stop()
    await this.launcher.drain()
  }

  /** Resolves when nothing lives on it, it has ended, or at the deadline. True where nothing is left. */
  async emptied (isOver: () => boolean): Promise<boolean> {
    for (;;) {
      // The table may not know yet what has just begun: before an empty one is believed, coturn is asked.
      const isKnown = this.#isGone || (this.#allocations.count() === 0 && await this.hasTold())
      if (this.#isGone || (isKnown && this.#allocations.count() === 0)) return true
      if (isOver()) return false
      await wait(100, undefined, { ref: false })
    }
  }

  /** Asks coturn for its own list; false where it does not answer. */
  async hasTold (): Promise<boolean> {
    return await this.reconcile().then(() => true, () => false)
  }

  /** Ends coturn, and what lives on it. */
  async end (deadlineMs: number): Promise<void> {
    this.#isOver = true
    const endsAt = performance.now() + deadlineMs
    // A launch that is under way is waited for, because what it starts must be ended; one that takes long comes to nothing.
    await Promise.race([this.#supervisor.stop(), wait(deadlineMs / 2, undefined, { ref: false })])
    await this.#end(Math.max(0, endsAt - performance.now()))
    await this.close()
  }

  /** Cuts what lives, so that its totals are told before coturn ends. Never throws. */
  async cutAll (reason: string): Promise<number> {
    const live = this.#allocations.list().map(({ session }) => session)
    const ended = await this.#cutter.cut(live, reason).catch((error: unknown) => {
      this.#needs.log.warn({ relay: this.#needs.relay, allocations: live.length, reason: (error as Error).message }, 'allocations could not be cut before coturn is ended: what they relayed since their last report is not counted')
      return 0
    })
    if (ended > 0) await wait(Math.min(TOTALS_WITHIN_MS, 100 + ended), undefined, { ref: false })
    return ended
  }

  /** Lets go of coturn without ending it. */
  async release (): Promise<void> {
    this.#isOver = true
    this.launcher.release()
    await this.#supervisor.stop()
    this.launcher.release()
    await this.close()
  }

  status (): Status {
    return this.#supervisor.status()
  }

  /** Does it report? */
  isFed (): boolean {
    return this.#feed.isConnected()
  }

  allocations (): readonly Allocation[] {
    return this.#allocations.list()
  }

  count (): number {
    return this.#allocations.count()
  }

  /** Both ways, of all that lives on it. */
  bytesPerSecond (): number {
    return this.#allocations.bytesPerSecond()
  }

  rateOf (session: string): number {
    return this.#allocations.rateOf(session)
  }

  async cut (sessions: readonly string[], reason: string): Promise<number> {
    return await this.#cutter.cut(sessions, reason)
  }

  /** Compares our table with coturn's own list now. Throws relay-control-lost. */
  async reconcile (): Promise<void> {
    await this.#cutter.compare()
  }

  async proveSecret (secret: string): Promise<void> {
    await proveSecret(this.launcher.target(), secret, this.#needs.nowSeconds)
  }

  /** Has it serve this certificate, and sees that it does; false where it is being started, perhaps with the one before. Throws where it does not. */
  async installTls (pair: Pair): Promise<boolean> {
    // One that is not there takes what is served when it is.
    const isDone = this.launcher.target().tlsPort === null || this.launcher.hasTls(pair) || this.#isGone
    if (isDone || this.#supervisor.status().state === 'starting') return isDone
    await this.launcher.replaceTls(pair)
    return true
  }

  async #open (): Promise<void> {
    const { directory } = this.#needs
    if (this.#isOpen) return
    this.#isOpen = true
    this.#allocations.remember(this.#needs.remembered(this.#name))
    const port = await this.#feed.listen(this.#kept.port)
    this.launcher.setFeedPort(port)
    if (this.#controlAddress.port === 0) this.#controlAddress.port = await freePort(this.#controlAddress.host)
    const kept = { ...this.#kept, port, controlPort: this.#controlAddress.port }
    // What stands there already needs no room on the disk.
    if (kept.isNew || kept.port !== this.#kept.port || kept.controlPort !== this.#kept.controlPort) writeFeedFile(directory, kept)
    this.#cutter.start()
  }

  async #launch (onExit: (reason: TurnpikeError) => void): Promise<void> {
    if (this.#keepsWhatRuns && !this.#isGone) {
      this.launcher.release()
      if (await this.launcher.takeOver(null, onExit)) return
    }
    this.#keepsWhatRuns = false
    await this.launcher.launch(onExit)
  }

  async #end (deadlineMs: number): Promise<void> {
    this.#control.close()
    await this.launcher.end(deadlineMs)
    this.#feed.disconnect()
    this.#begunAnew()
  }

  async close (): Promise<void> {
    this.#isOpen = false
    this.#cutter.stop()
    this.#control.close()
    await this.#feed.close()
  }

  #started (adopted: boolean): void {
    this.#isGone = false
    if (adopted) this.#cutter.reconcile()
    // One of an earlier control plane, with another configuration, may have reported here before it was ended.
    else if (this.#supervisor.status().restarts === 0) this.#begunAnew()
  }

  #begunAnew (): void {
    this.#allocations.restart()
    this.#cutter.forget()
    this.#needs.onForgotten(this.#name)
  }

  #tableFor ({ relay, metrics, nowSeconds, onTraffic, onBegun, onEnded, onCount, knowsProject }: CoturnNeeds): Allocations {
    const coturn = this.#name
    return new Allocations({
      relay,
      coturn,
      metrics,
      nowSeconds,
      onTraffic,
      onBegun,
      onCount,
      onEnded: session => onEnded({ coturn, session }),
      onListed: (allocation, crowd) => {
        this.#cutter.judge(allocation, crowd)
        this.#cutter.reconcileSoon()
      },
      isOwn: isProbeUser,
      knowsProject,
    })
  }

  #supervise ({ config, metrics, relay, nowSeconds, onStatus, onProbing, secrets }: CoturnNeeds): Supervisor {
    return new Supervisor({
      launch: onExit => this.#launch(reason => {
        this.#isGone = true
        onExit(reason)
      }),
      // A launch that came to nothing has started nothing: what an earlier process left has calls.
      end: async deadlineMs => { if (this.launcher.hasReachedStart()) await this.#end(deadlineMs) },
      // One with another configuration may not be found by its probe, and has calls all the same.
      mayRestart: () => config.relay.driver !== 'external' && (!this.#keepsWhatRuns || this.#isGone),
      probe: async isAbandoned => {
        onProbing()
        const [ours = ''] = secrets(this.launcher.takesAnyUserName())
        const checks = await probeOf(this.launcher.target(), this.ownSecret() ?? ours, nowSeconds, isAbandoned)
        countProbes(relay, metrics, checks)
        return checks
      },
      onChange: onStatus,
      onRestart: reason => metrics.add('turnpike_relay_restarts_total', { relay, reason }),
      nowSeconds,
      probeSeconds: config.relay.probeSeconds,
    })
  }

  /** The secret of a relay that somebody else runs. */
  ownSecret (): string | null {
    const { driver, secret } = this.#needs.config.relay
    if (driver !== 'external') return null
    if (secret === undefined) throw new TurnpikeError('internal', 'an external relay without a secret')
    return secret
  }
}
