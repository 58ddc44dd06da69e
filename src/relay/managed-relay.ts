/** One relay as the rest of the house sees it: may clients be sent there, who relays through it, how it is. */
import { setTimeout as wait } from 'node:timers/promises'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Allocation } from './allocation.ts'
import { AddressWatch } from './address-watch.ts'
import type { Pair } from '../tls/pair.ts'
import { Coturn } from './coturn.ts'
import { CoturnPair } from './coturn-pair.ts'
import type { DoctorSubject } from './doctor/subject.ts'
import type { ClientTransport } from './feed-events.ts'
import type { RelayNeeds } from './needs.ts'
import { Operations, type Operation, type OperationKind, type OperationRequest } from './operations.ts'
import { briefLogin } from './probe-target.ts'
import { healthOf, type RelayHealth } from './relay-health.ts'
import { beginCounting, clockWatch, statusReport } from './relay-report.ts'
import { isReady } from './relay-states.ts'
import { directoryOf, inSlot, type RelaySite, type Slot } from './sites.ts'

/** How long a relay that was ready is still handed out while it is started again: clients repeat for longer than that. */
const HAND_OUT_SECONDS = 30
/** One that was just taken over may not answer at once. */
const LIST_TRIES = 4
const LIST_PAUSE_MS = 300
const END_MS = 3000
const TRANSPORTS: readonly ClientTransport[] = ['udp', 'tcp', 'tls', 'dtls']

export class ManagedRelay {
  readonly site: RelaySite
  readonly #needs: RelayNeeds
  readonly #live: Record<ClientTransport, number> = { udp: 0, tcp: 0, tls: 0, dtls: 0 }
  readonly #pair: CoturnPair
  readonly #operations: Operations
  readonly #addressWatch: AddressWatch
  readonly #watchClock: () => void
  readonly #tellStatus: ReturnType<typeof statusReport>
  #life: 'never started' | 'starting' | 'running' = 'never started'
  #isStopped = false
  /** Named in the metrics at present. */
  #shownAs: { region: string, driver: string, version: string } | null = null

  constructor (needs: RelayNeeds, site: RelaySite) {
    const { log, metrics, nowSeconds } = needs
    this.site = site
    this.#needs = needs
    this.#tellStatus = statusReport(site.id, metrics, log)
    this.#watchClock = clockWatch(log, nowSeconds)
    this.#pair = new CoturnPair({ site, log, make: (slot, image, driver) => this.#make(slot, image, driver) })
    this.#operations = new Operations({ ...needs, site, pair: this.#pair, onProgress: () => this.#show() })
    this.#addressWatch = new AddressWatch({ ...needs, relay: site.id, checkSeconds: site.config.relay.addressCheckSeconds, look: () => this.#pair.serving().launcher.lookAround(), onChanged: () => this.#moveToNewAddress() })
    for (const transport of TRANSPORTS) this.#count(transport, 0)
    beginCounting(site.id, metrics)
  }

  /** Resolves when it is proved, has failed for the first time, or after 10 s. */
  async start (): Promise<void> {
    const { id, config: { relay } } = this.site
    this.#needs.metrics.set('turnpike_relay_ports', { relay: id }, relay.driver === 'external' ? 0 : relay.maxPort - relay.minPort + 1)
    this.#needs.metrics.set('turnpike_relay_capacity_bytes_per_second', { relay: id }, relay.capacityBytesPerSecond)
    this.#life = 'starting'
    if (relay.driver === 'external') await this.#startServing()
    else await this.#takeUp()
    this.#life = 'running'
    this.#addressWatch.start()
    this.#show()
  }

  async #startServing (): Promise<void> {
    if (!this.#pair.isDrained()) await this.#pair.serving().start()
  }

  /** Goes on where an earlier process was broken off. */
  async #takeUp (): Promise<void> {
    const pair = this.#pair
    const leaving = await pair.tendOther()
    const pending = pair.pending()
    if (this.#isStopped) return
    if (pending !== null && await this.#goesOnWith(pending)) return
    if (pair.isDrained() || this.#isStopped) return
    const isAnother = await this.#keepsAnother()
    if (this.#isStopped) return
    if (!isAnother) await pair.serving().start()
    if (leaving !== null || isAnother || pair.serving().slot === 'alternate') this.#operations.resume(leaving?.coturn ?? null, leaving?.until ?? this.#needs.nowSeconds(), isAnother)
  }

  /** With a drain, or a restart after one. False where its coturn has ended meanwhile, which is what was waited for. */
  async #goesOnWith ({ kind, until, version }: NonNullable<ReturnType<CoturnPair['pending']>>): Promise<boolean> {
    try {
      if (await this.#pair.serving().resumeDrain(version)) {
        this.#operations.resumeOut(kind, until)
        return true
      }
    } catch (error) {
      this.#needs.log.warn({ relay: this.site.id, reason: (error as Error).message }, 'what became of a coturn that was being drained cannot be found out; the next start asks again')
      return true
    }
    this.#pair.setDrained(kind === 'drain')
    return false
  }

  /** A coturn that runs with another configuration and has calls serves on until one with the new configuration takes over; without calls it is simply started anew. */
  async #keepsAnother (): Promise<boolean> {
    const serving = this.#pair.serving()
    if (!await serving.runsAnother()) return false
    serving.keepWhatRuns()
    await serving.start()
    // Which certificate it has is not known, and TURN over TLS is not handed out until it is; where this fails, the next look at the certificate does it.
    const pair = this.#needs.certificates.served()
    if (pair !== null) await serving.installTls(pair).catch(() => {})
    for (let tries = 0; tries < LIST_TRIES && !await serving.hasTold(); tries++) await wait(LIST_PAUSE_MS, undefined, { ref: false })
    // One that does not tell may have calls.
    if (serving.count() > 0 || !await serving.hasTold()) return true
    await serving.end(END_MS)
    this.#pair.renew()
    return false
  }

  async stop (deadlineMs: number): Promise<void> {
    this.#addressWatch.stop()
    const endsAt = performance.now() + deadlineMs
    this.#isStopped = true
    this.#operations.halt()
    const keeps = this.site.config.relay.onStop === 'keep'
    await Promise.all(this.#pair.all().map(coturn => (keeps ? coturn.release() : coturn.end(deadlineMs))))
    await this.#operations.settled(Math.max(0, endsAt - performance.now()))
    // What was being drained has ended with us.
    if (!keeps && this.#pair.leaving() !== null) this.#pair.forgetLeaving()
  }

  async release (): Promise<void> {
    this.#addressWatch.stop()
    this.#isStopped = true
    this.#operations.halt()
    await Promise.all(this.#pair.all().map(coturn => coturn.release()))
  }

  health (): RelayHealth {
    const leaving = this.#pair.leaving()
    return healthOf({
      site: this.site,
      serving: this.#pair.serving(),
      isDrained: this.#pair.isDrained(),
      isWithheld: this.#operations.withholds(),
      isHandedOut: this.isHandedOut(),
      leaving: leaving === null ? null : { allocations: leaving.coturn.count(), until: leaving.until },
      operation: this.#operations.current(),
      allocations: this.#pair.all().reduce((sum, coturn) => sum + coturn.count(), 0),
    })
  }

  /** May clients be sent here now? */
  isHandedOut (): boolean {
    const { state, lastReadyAt } = this.#pair.serving().status()
    if (this.#pair.isDrained() || this.#operations.withholds()) return false
    return isReady(state) || ((state === 'restarting' || state === 'starting') && lastReadyAt !== null && this.#needs.nowSeconds() - lastReadyAt < HAND_OUT_SECONDS)
  }

  isHealthy (): boolean {
    return this.#pair.serving().status().state === 'healthy'
  }

  /** Live allocations. */
  load (): number {
    return this.#pair.serving().count()
  }

  /** Share of its bandwidth that is used; 0 where that is not known. */
  bandwidthUsed (): number {
    const { capacityBytesPerSecond } = this.site.config.relay
    if (capacityBytesPerSecond === 0) return 0
    return this.#pair.all().reduce((sum, coturn) => sum + coturn.bytesPerSecond(), 0) / capacityBytesPerSecond
  }

  /** What the doctor looks at. */
  subject (): DoctorSubject {
    const { site: { id, config: { relay } } } = this
    const { launcher } = this.#pair.serving()
    const { state, code, reason, checks } = this.#pair.serving().status()
    const secret = this.#pair.serving().ownSecret() ?? this.#needs.secrets(launcher.takesAnyUserName())[0]
    return { id, state, code, reason, checks, ...launcher.examined(), minPort: relay.minPort, maxPort: relay.maxPort, peers: relay.peers, stunServers: relay.stunServers, login: secret === undefined ? null : briefLogin(secret, this.#needs.nowSeconds) }
  }

  serving (): Coturn {
    return this.#pair.serving()
  }

  /** Has every coturn of it accept what it is to accept. Throws data-dir-unwritable. */
  applySecrets (): void {
    for (const { launcher } of this.#pair.all()) launcher.applySecrets()
  }

  /** False where one of them is being started. Throws where one of them does not serve it. */
  async installTls (pair: Pair): Promise<boolean> {
    return (await Promise.all(this.#pair.all().map(async coturn => await coturn.installTls(pair)))).every(Boolean)
  }

  allocations (): Allocation[] {
    return this.#pair.all().flatMap(coturn => [...coturn.allocations()])
  }

  rateOf ({ id, session }: Pick<Allocation, 'id' | 'session'>): number {
    return this.#pair.of(id)?.rateOf(session) ?? 0
  }

  /** Ends those of them that are here; resolves to how many have ended. Throws relay-control-lost. */
  async cut (allocations: readonly Allocation[], reason: string): Promise<number> {
    const ended = await Promise.all(this.#pair.all().map(coturn => coturn.cut(allocations.filter(({ id }) => this.#pair.of(id) === coturn).map(({ session }) => session), reason)))
    return ended.reduce((sum, count) => sum + count, 0)
  }

  /** Throws relay-busy, relay-drained or relay-not-ours. Goes on by itself; `health` tells how far. */
  begin (kind: OperationKind, request: OperationRequest): Operation {
    if (this.#life === 'never started') throw new TurnpikeError('server-unreachable', 'no server runs on this data directory')
    if (this.#life === 'starting') throw new TurnpikeError('relay-busy', `${this.site.id} is being started`)
    return this.#operations.begin(kind, request)
  }

  #moveToNewAddress (): void {
    if (!this.#operations.isUnderWay() && !this.#pair.isDrained()) this.begin('upgrade', {})
  }

  #make (slot: Slot, image: string, driver?: 'docker' | 'process'): Coturn {
    const { id } = this.site
    const coturn: Coturn = new Coturn({
      ...this.#needs,
      relay: id,
      slot,
      directory: directoryOf(this.site, slot),
      addressFile: `${this.site.directory}/addresses.json`,
      config: inSlot(this.site, slot, image, driver),
      tls: () => this.#needs.certificates.served(),
      // Of two, the one that serves is what the relay is.
      onStatus: status => {
        if (coturn !== this.#pair.serving()) return
        this.#tellStatus(status)
        this.#show()
      },
      onCount: (transport, change) => this.#count(transport, change),
      onProbing: () => this.#watchClock(),
      onFeed: () => this.#show(),
    })
    return coturn
  }

  #count (transport: ClientTransport, change: number): void {
    this.#live[transport] += change
    this.#needs.metrics.set('turnpike_relay_allocations', { relay: this.site.id, transport }, this.#live[transport])
  }

  #show (): void {
    const { metrics } = this.#needs
    const relay = this.site.id
    const operation = this.#operations.current()
    const isDraining = this.#operations.isUnderWay() && operation?.phase !== 'starting'
    this.#tellStatus(this.#pair.serving().status())
    metrics.set('turnpike_relay_handed_out', { relay }, this.isHandedOut() ? 1 : 0)
    metrics.set('turnpike_relay_feed_connected', { relay }, this.#pair.serving().isFed() ? 1 : 0)
    metrics.set('turnpike_relay_draining', { relay }, isDraining ? 1 : 0)
    metrics.set('turnpike_relay_draining_allocations', { relay }, isDraining ? operation?.left ?? 0 : 0)
    const { driver, version } = this.#pair.serving().launcher.describe()
    if (this.#shownAs?.driver === driver && this.#shownAs.version === (version ?? 'unknown')) return
    if (this.#shownAs !== null) metrics.remove('turnpike_relay_info', { relay, ...this.#shownAs })
    this.#shownAs = { region: this.site.region, driver, version: version ?? 'unknown' }
    metrics.set('turnpike_relay_info', { relay, ...this.#shownAs }, 1)
  }
}
