/** What the relay tells to metrics and log: its state, what the probe saw, and a clock that was set. */
import type { Log } from '../lifecycle.ts'
import { errorEntry } from '../protocol/errors.ts'
import type { RelayCheck } from './driver.ts'
import type { RelayNeeds } from './needs.ts'
import { isReady, RELAY_STATES } from './relay-states.ts'
import type { Status } from './supervisor.ts'

type Metrics = RelayNeeds['metrics']

const CLOCK_JUMP_SECONDS = 60

/** Shows each status in the metrics, and in the log what is new about it. */
export function statusReport (relay: string, metrics: Metrics, log: Log): (status: Status) => void {
  let told: string | null = null
  return ({ state, code, reason, restarts, checks }) => {
    for (const name of RELAY_STATES) metrics.set('turnpike_relay_state', { relay, state: name }, name === state ? 1 : 0)
    metrics.set('turnpike_relay_ready', { relay }, isReady(state) ? 1 : 0)
    showChecks(relay, metrics, checks)
    const fields = { relay, state, restarts, ...(code === null ? {} : { code, cure: errorEntry(code).cure }) }
    const finding = code === null || state === 'starting' ? null : `${state}: ${reason}`
    if (finding !== null && finding !== told) log.warn(fields, `relay ${finding}`)
    else if (state === 'healthy' && told !== null) log.info(fields, 'relay healthy again')
    else log.debug(fields, `relay ${state}: ${reason}`)
    // What ails it goes on while it is being started again.
    if (finding !== null || state === 'healthy') told = finding
  }
}

function showChecks (relay: string, metrics: Metrics, checks: readonly RelayCheck[]): void {
  for (const { check, transport, result, roundTripMs } of checks) {
    if (result !== 'left-out') metrics.set('turnpike_relay_probe_success', { relay, transport, check }, result === 'passed' ? 1 : 0)
    if (roundTripMs !== null && (check === 'echo' || check === 'allocate')) metrics.set('turnpike_relay_probe_round_trip_seconds', { relay, transport }, roundTripMs / 1000)
  }
}

/** Each probe, by transport: it has passed where every check of that transport has. */
export function countProbes (relay: string, metrics: Pick<Metrics, 'add'>, checks: readonly RelayCheck[]): void {
  for (const transport of new Set(checks.map(check => check.transport))) {
    const hasPassed = checks.every(check => check.transport !== transport || check.result !== 'failed')
    metrics.add('turnpike_relay_probes_total', { relay, transport, result: hasPassed ? 'passed' : 'failed' })
  }
}

/** What can be counted of a relay, from 0 on: the first that happens is to be seen as one more. */
export function beginCounting (relay: string, metrics: Pick<Metrics, 'add'>): void {
  for (const cause of ['wrong_credentials', 'forbidden_peer', 'no_port']) metrics.add('turnpike_relay_refusals_total', { relay, cause }, 0)
  for (const level of ['error', 'other']) metrics.add('turnpike_relay_log_lines_total', { relay, level }, 0)
  for (const result of ['same', 'mended', 'failed']) metrics.add('turnpike_relay_reconciliations_total', { relay, result }, 0)
  for (const result of ['done', 'rolled_back']) metrics.add('turnpike_relay_upgrades_total', { relay, result }, 0)
  for (const reason of ['asked', 'relay-stopped', 'relay-unproven']) metrics.add('turnpike_relay_restarts_total', { relay, reason }, 0)
  for (const reason of ['revoked', 'expired', 'quota', 'project-disabled', 'asked', 'drained']) metrics.add('turnpike_relay_cuts_total', { relay, reason }, 0)
  metrics.add('turnpike_relay_address_changes_total', { relay }, 0)
}

/** To be called again and again; says when the wall clock was set meanwhile: credentials issued before are off by as much. */
export function clockWatch (log: Log, nowSeconds: () => number): () => void {
  let last: { wall: number, monotonicMs: number } | null = null
  return () => {
    const now = { wall: nowSeconds(), monotonicMs: performance.now() }
    const jump = last === null ? 0 : Math.round(now.wall - last.wall - (now.monotonicMs - last.monotonicMs) / 1000)
    if (Math.abs(jump) >= CLOCK_JUMP_SECONDS) log.warn({ seconds: jump }, `the clock of this machine jumped ${Math.abs(jump)} s ${jump > 0 ? 'forward' : 'back'}: credentials issued before end that much ${jump > 0 ? 'earlier' : 'later'} than they say`)
    last = now
  }
}
