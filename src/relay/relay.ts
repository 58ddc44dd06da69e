/** The door of the relay: one coturn, configured, started, watched, probed and counted. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Part } from '../lifecycle.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { Allocations, type TrafficEvent } from './allocations.ts'
import { isReady, type RelayState } from './relay-states.ts'
import type { RelayCheck } from './driver.ts'
import { Feed } from './feed.ts'
import { feedHost, readFeedFile, writeFeedFile } from './feed-file.ts'
import { Launcher } from './launcher.ts'
import type { RelayNeeds } from './needs.ts'
import { isProbeUser, probeOf } from './probe-target.ts'
import { clockWatch, statusReport } from './relay-report.ts'
import { Supervisor, type Status } from './supervisor.ts'

/** There is one relay so far; its id is its realm and its label. */
const RELAY = 'turnpike'
/** How long a relay that was ready is still handed out while it is started again: clients repeat for longer than that. */
const HAND_OUT_SECONDS = 30
const START_DEADLINE_MS = 10_000

export type { RelayNeeds, TrafficEvent }
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
}

/** `start` resolves when the relay is proved, has failed for the first time, or after 10 s; it does not throw for a relay that is not well. */
export function createRelay (needs: RelayNeeds): Relay {
  const { config, log, metrics, nowSeconds } = needs
  const allocations = new Allocations({ relay: RELAY, metrics, onTraffic: needs.onTraffic, isOwn: isProbeUser })
  const kept = readFeedFile(config.dataDir)
  const feed = new Feed({ host: feedHost(config), password: kept.password, log, onEvent: event => allocations.take(event) })
  const launcher = new Launcher({
    ...needs,
    relay: RELAY,
    feed: { host: feedHost(config), port: kept.port, password: kept.password },
    // One of an earlier control plane, with another configuration, may have reported here before it was ended.
    onStarted: () => { if (supervisor.status().restarts === 0) allocations.restart() },
  })
  const end = async (deadlineMs: number): Promise<void> => {
    await launcher.end(deadlineMs)
    feed.disconnect()
    allocations.restart()
  }
  const supervisor = superviseWith(needs, launcher, end)
  return {
    name: 'relay',
    start: async () => {
      const port = await feed.listen(kept.port)
      launcher.setFeedPort(port)
      writeFeedFile(config.dataDir, { ...kept, port })
      await supervisor.start(START_DEADLINE_MS)
    },
    stop: async deadlineMs => {
      const endsAt = performance.now() + deadlineMs
      // A launch that is under way is waited for, because what it starts must be ended; one that takes long comes to nothing.
      await Promise.race([supervisor.stop(), wait(deadlineMs / 2, undefined, { ref: false })])
      if (config.relay.onStop === 'keep') launcher.release()
      else await end(Math.max(0, endsAt - performance.now()))
      await feed.close()
    },
    release: async () => {
      launcher.release()
      await supervisor.stop()
      launcher.release()
      await feed.close()
    },
    health: () => ({ id: RELAY, ...launcher.describe(), ...withoutTimes(supervisor.status()), ready: isReady(supervisor.status().state) }),
    endpoints: () => (isHandedOut(supervisor.status(), nowSeconds()) ? [launcher.endpoint()] : []),
    decisions: () => launcher.decisions(),
    firewall: () => firewallOf(config),
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
      return probeOf(launcher.target(), needs.secret, nowSeconds, isAbandoned)
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
