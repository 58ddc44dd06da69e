/** The door of the relay: one coturn, configured, started, watched, probed and counted. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Part } from '../lifecycle.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { Allocations, type Allocation, type Crowd, type TrafficEvent } from './allocations.ts'
import { Control } from './control.ts'
import { Cutter } from './cutter.ts'
import { isReady, type RelayState } from './relay-states.ts'
import type { RelayCheck } from './driver.ts'
import { Feed } from './feed.ts'
import { feedHost, freePort, readFeedFile, writeFeedFile } from './feed-file.ts'
import { Launcher } from './launcher.ts'
import type { RelayNeeds } from './needs.ts'
import { isProbeUser, probeOf, proveSecret } from './probe-target.ts'
import { clockWatch, statusReport } from './relay-report.ts'
import { Supervisor, type Status } from './supervisor.ts'

/** There is one relay so far; its id is its realm and its label. */
const RELAY = 'turnpike'
/** How long a relay that was ready is still handed out while it is started again: clients repeat for longer than that. */
const HAND_OUT_SECONDS = 30
const START_DEADLINE_MS = 10_000

export type { Allocation, Crowd, RelayNeeds, TrafficEvent }
export type RelayHealth = {
  id: string
  driver: 'docker' | 'process' | 'external' | 'none'
  /** Why this driver. */
  why: string
  version: string | null
  state: RelayState
  ready: boolean
  code: ErrorCode | null
  /** Plain words. */
  reason: string
  /** Unix seconds. */
  since: number
  restarts: number
  checks: RelayCheck[]
  listenIp: string
  publicAddress: string
  warnings: string[]
}
export type Relay = Part & {
  health (): RelayHealth
  /** Where clients may be sent now; empty while nothing is proved. */
  endpoints (): { host: string, port: number, tlsPort: number | null }[]
  /** What was found out and decided at the start, in sentences. */
  decisions (): string[]
  firewall (): { protocol: string, ports: string, what: string }[]
  /** Lets go of coturn without ending it. */
  release (): Promise<void>
  allocations (): readonly Allocation[]
  /** Ends these sessions; resolves to how many have ended when it is seen that they have, at most 2 s later. Throws relay-control-lost. */
  cut (sessions: readonly string[], reason: string): Promise<number>
  /** Has coturn accept exactly the secrets that it is to accept now; no restart, and no live allocation notices. Throws data-dir-unwritable. */
  applySecrets (): void
  /** Does the relay take credentials that are signed with this secret? Throws relay-unproven. */
  proveSecret (secret: string): Promise<void>
  /** Does this coturn bear user names that others make up (4.13 or newer)? */
  takesAnyUserName (): boolean
}

/** `start` resolves when the relay is proved, has failed for the first time, or after 10 s; it does not throw for a relay that is not well. */
export function createRelay (needs: RelayNeeds): Relay {
  return new Coturn(needs)
}

class Coturn implements Relay {
  readonly name = 'relay'
  readonly #needs: RelayNeeds
  readonly #allocations: Allocations
  readonly #feed: Feed
  readonly #kept: ReturnType<typeof readFeedFile>
  readonly #controlAddress: { host: string, port: number, password: string }
  readonly #control: Control
  readonly #cutter: Cutter
  readonly #launcher: Launcher
  readonly #supervisor: Supervisor

  constructor (needs: RelayNeeds) {
    const { config, metrics, nowSeconds, log } = needs
    const host = feedHost(config)
    this.#needs = needs
    this.#kept = readFeedFile(config.dataDir)
    const { port, password, controlPort, controlPassword } = this.#kept
    this.#allocations = new Allocations({ relay: RELAY, metrics, nowSeconds, onTraffic: needs.onTraffic, onBegun: (allocation, crowd) => this.#begun(allocation, crowd), isOwn: isProbeUser })
    this.#feed = new Feed({ host, password, log, onEvent: event => this.#allocations.take(event) })
    this.#controlAddress = { host, port: controlPort, password: controlPassword }
    this.#control = new Control(this.#controlAddress)
    this.#cutter = new Cutter({ ...needs, relay: RELAY, control: this.#control, allocations: this.#allocations })
    this.#launcher = new Launcher({ ...needs, relay: RELAY, feed: { host, port, password }, control: this.#controlAddress, onStarted: adopted => this.#started(adopted) })
    this.#supervisor = superviseWith(needs, this.#launcher, deadlineMs => this.#end(deadlineMs))
  }

  async start (): Promise<void> {
    const { dataDir } = this.#needs.config
    const port = await this.#feed.listen(this.#kept.port)
    this.#launcher.setFeedPort(port)
    if (this.#controlAddress.port === 0) this.#controlAddress.port = await freePort(this.#controlAddress.host)
    writeFeedFile(dataDir, { ...this.#kept, port, controlPort: this.#controlAddress.port })
    this.#cutter.start()
    await this.#supervisor.start(START_DEADLINE_MS)
  }

  async stop (deadlineMs: number): Promise<void> {
    const endsAt = performance.now() + deadlineMs
    // A launch that is under way is waited for, because what it starts must be ended; one that takes long comes to nothing.
    await Promise.race([this.#supervisor.stop(), wait(deadlineMs / 2, undefined, { ref: false })])
    if (this.#needs.config.relay.onStop === 'keep') this.#launcher.release()
    else await this.#end(Math.max(0, endsAt - performance.now()))
    await this.#close()
  }

  async release (): Promise<void> {
    this.#launcher.release()
    await this.#supervisor.stop()
    this.#launcher.release()
    await this.#close()
  }

  health (): RelayHealth {
    const status = this.#supervisor.status()
    return { id: RELAY, ...this.#launcher.describe(), ...withoutTimes(status), ready: isReady(status.state) }
  }

  endpoints (): { host: string, port: number, tlsPort: number | null }[] {
    return isHandedOut(this.#supervisor.status(), this.#needs.nowSeconds()) ? [this.#launcher.endpoint()] : []
  }

  decisions (): string[] {
    return this.#launcher.decisions()
  }

  firewall (): { protocol: string, ports: string, what: string }[] {
    return firewallOf(this.#needs.config)
  }

  allocations (): readonly Allocation[] {
    return this.#allocations.list()
  }

  async cut (sessions: readonly string[], reason: string): Promise<number> {
    return await this.#cutter.cut(sessions, reason)
  }

  applySecrets (): void {
    this.#launcher.applySecrets()
  }

  async proveSecret (secret: string): Promise<void> {
    await proveSecret(this.#launcher.target(), secret, this.#needs.nowSeconds)
  }

  takesAnyUserName (): boolean {
    return this.#launcher.takesAnyUserName()
  }

  #begun (allocation: Allocation, crowd: Crowd): void {
    if (allocation.isComplete) this.#needs.onBegun({ relay: RELAY, project: allocation.project, user: allocation.user })
    this.#cutter.judge(allocation, crowd)
  }

  #started (adopted: boolean): void {
    if (adopted) this.#cutter.reconcile()
    // One of an earlier control plane, with another configuration, may have reported here before it was ended.
    else if (this.#supervisor.status().restarts === 0) this.#begunAnew()
  }

  async #end (deadlineMs: number): Promise<void> {
    this.#control.close()
    await this.#launcher.end(deadlineMs)
    this.#feed.disconnect()
    this.#begunAnew()
  }

  #begunAnew (): void {
    this.#allocations.restart()
    this.#cutter.forget()
  }

  async #close (): Promise<void> {
    this.#cutter.stop()
    this.#control.close()
    await this.#feed.close()
  }
}

function superviseWith (needs: RelayNeeds, launcher: Launcher, end: (deadlineMs: number) => Promise<void>): Supervisor {
  const { config, log, metrics, nowSeconds } = needs
  const watchClock = clockWatch(log, nowSeconds)
  return new Supervisor({
    launch: onExit => launcher.launch(onExit),
    end,
    mayRestart: () => config.relay.driver !== 'external',
    probe: isAbandoned => {
      watchClock()
      const [secret = ''] = needs.secrets(launcher.takesAnyUserName())
      return probeOf(launcher.target(), secret, nowSeconds, isAbandoned)
    },
    onChange: statusReport(RELAY, metrics, log),
    onRestart: reason => metrics.add('turnpike_relay_restarts_total', { relay: RELAY, reason }),
    nowSeconds,
    probeSeconds: config.relay.probeSeconds,
  })
}

function isHandedOut ({ state, lastReadyAt }: Status, nowSeconds: number): boolean {
  return isReady(state) || ((state === 'restarting' || state === 'starting') && lastReadyAt !== null && nowSeconds - lastReadyAt < HAND_OUT_SECONDS)
}

function firewallOf ({ relay, tls }: RelayNeeds['config']): { protocol: string, ports: string, what: string }[] {
  if (relay.driver === 'external') return []
  return [
    { protocol: 'udp', ports: String(relay.port), what: 'STUN and TURN' },
    { protocol: 'tcp', ports: String(relay.port), what: 'STUN and TURN' },
    ...(tls.cert === undefined ? [] : [{ protocol: 'tcp', ports: String(relay.tlsPort), what: 'TURN over TLS' }]),
    { protocol: 'udp', ports: `${relay.minPort}-${relay.maxPort}`, what: 'relayed media' },
  ]
}

function withoutTimes ({ lastReadyAt: _, ...status }: Status): Omit<Status, 'lastReadyAt'> {
  return status
}
