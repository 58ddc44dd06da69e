/** The door of the relay: one coturn, configured, started, watched, probed and counted. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Log, Part } from '../lifecycle.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { Allocations, type TrafficEvent } from './allocations.ts'
import { isReady, RELAY_STATES, type RelayState } from './relay-states.ts'
import type { RelayCheck } from './driver.ts'
import { Feed } from './feed.ts'
import { isLoopback } from './denied-peers.ts'
import { Launcher } from './launcher.ts'
import type { RelayNeeds } from './needs.ts'
import { isProbeUser, probeOf } from './probe-target.ts'
import { Supervisor, type Status } from './supervisor.ts'

/** There is one relay so far; its id is its realm and its label. */
const RELAY = 'turnpike'
/** How long a relay that was ready is still handed out while it is started again: clients repeat for longer than that. */
const HAND_OUT_SECONDS = 30
const START_DEADLINE_MS = 10_000
const CLOCK_JUMP_SECONDS = 60

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
  const launcher = new Launcher({ ...needs, relay: RELAY, feed: { host: feedHost(config), port: kept.port, password: kept.password }, onStarted: () => allocations.restart() })
  const watchClock = clockWatch(log, nowSeconds)
  const supervisor = new Supervisor({
    launch: onExit => launcher.launch(onExit),
    end: deadlineMs => launcher.end(deadlineMs),
    mayRestart: () => config.relay.driver !== 'external',
    probe: async () => {
      watchClock()
      const checks = await probeOf(launcher.target(), needs.secret, nowSeconds)
      showChecks(metrics, checks)
      return checks
    },
    onChange: status => showStatus(metrics, log, status),
    onRestart: reason => metrics.add('turnpike_relay_restarts_total', { relay: RELAY, reason }),
    nowSeconds,
    probeSeconds: config.relay.probeSeconds,
  })

  const isHandedOut = ({ state, lastReadyAt }: Status): boolean => {
    return isReady(state) || ((state === 'restarting' || state === 'starting') && lastReadyAt !== null && nowSeconds() - lastReadyAt < HAND_OUT_SECONDS)
  }
  return {
    name: 'relay',
    start: async () => {
      const port = await feed.listen(kept.port)
      launcher.setFeedPort(port)
      writeFeedFile(config.dataDir, { ...kept, port })
      await supervisor.start(START_DEADLINE_MS)
    },
    stop: async deadlineMs => {
      // Ending coturn does not wait for a probe that is under way.
      await Promise.all([supervisor.stop(), config.relay.onStop === 'keep' ? launcher.release() : launcher.end(deadlineMs)])
      await feed.close()
    },
    release: async () => {
      launcher.release()
      await supervisor.stop()
      await feed.close()
    },
    health: () => ({ id: RELAY, ...launcher.describe(), ...withoutTimes(supervisor.status()), ready: isReady(supervisor.status().state) }),
    endpoints: () => (isHandedOut(supervisor.status()) ? [launcher.endpoint()] : []),
    decisions: () => launcher.decisions(),
    firewall: () => firewallOf(config),
  }
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

/** From 4.13.1 on coturn refuses the host of its statistics database as a peer; on loopback that must not be the relay itself. */
function feedHost ({ relay, publicHost }: RelayNeeds['config']): string {
  return isLoopback(relay.listenIp ?? publicHost ?? '') ? '127.0.0.2' : '127.0.0.1'
}

type Kept = { port: number, password: string }

/** Kept across restarts, because a coturn that goes on relaying goes on reporting there. */
function readFeedFile (dataDir: string): Kept {
  try {
    return JSON.parse(readFileSync(`${dataDir}/relay/feed.json`, 'utf8')) as Kept
  } catch {
    return { port: 0, password: randomBytes(18).toString('base64url') }
  }
}

function writeFeedFile (dataDir: string, kept: Kept): void {
  mkdirSync(`${dataDir}/relay`, { recursive: true, mode: 0o700 })
  writeFileSync(`${dataDir}/relay/feed.json`, JSON.stringify(kept), { mode: 0o600 })
}

function withoutTimes ({ lastReadyAt: _, ...status }: Status): Omit<Status, 'lastReadyAt'> {
  return status
}

function showChecks (metrics: RelayNeeds['metrics'], checks: readonly RelayCheck[]): void {
  for (const { check, transport, result, roundTripMs } of checks) {
    if (result !== 'left-out') metrics.set('turnpike_relay_probe_success', { relay: RELAY, transport, check }, result === 'passed' ? 1 : 0)
    if (roundTripMs !== null && (check === 'echo' || check === 'allocate')) metrics.set('turnpike_relay_probe_round_trip_seconds', { relay: RELAY, transport }, roundTripMs / 1000)
  }
}

function showStatus (metrics: RelayNeeds['metrics'], log: Log, { state, code, reason, restarts }: Status): void {
  for (const name of RELAY_STATES) metrics.set('turnpike_relay_state', { relay: RELAY, state: name }, name === state ? 1 : 0)
  metrics.set('turnpike_relay_ready', { relay: RELAY }, isReady(state) ? 1 : 0)
  const fields = { relay: RELAY, state, ...(code === null ? {} : { code }), restarts }
  if (code === null) log.debug(fields, `relay: ${reason}`)
  else log.warn(fields, `relay: ${reason}`)
}

/** Says when the wall clock was set while we ran: credentials issued before are off by as much. */
function clockWatch (log: Log, nowSeconds: () => number): () => void {
  let expected: { wall: number, monotonicMs: number } | null = null
  return () => {
    const now = { wall: nowSeconds(), monotonicMs: performance.now() }
    if (expected !== null) {
      const jump = Math.round(now.wall - expected.wall - (now.monotonicMs - expected.monotonicMs) / 1000)
      if (Math.abs(jump) >= CLOCK_JUMP_SECONDS) log.warn({ seconds: jump }, `the clock of this machine jumped by ${jump} s: credentials issued before end ${jump > 0 ? 'earlier' : 'later'} than they say`)
    }
    expected = now
  }
}
