/** The states of a relay and what moves it from one to another, as a table; nothing else decides. */
import type { ErrorCode } from '../protocol/errors.ts'
import type { RelayCheck } from './driver.ts'
import { HAS_NO_ROOM, SERVES_STRANGERS } from './probe.ts'

export const RELAY_STATES = ['stopped', 'starting', 'healthy', 'degraded', 'restarting', 'failed'] as const
export type RelayState = typeof RELAY_STATES[number]

export const RELAY_EVENTS = ['start', 'launch-failed', 'probe-passed', 'probe-failed', 'clock-off', 'full', 'hung', 'unproven', 'serves-strangers', 'exited', 'stop'] as const
export type RelayEvent = typeof RELAY_EVENTS[number]

const WHILE_RUNNING = { 'probe-passed': 'healthy', 'clock-off': 'degraded', full: 'degraded', exited: 'restarting', 'serves-strangers': 'failed', stop: 'stopped' } as const

/** State → event → next state. An event that is not listed changes nothing. */
const TRANSITIONS: Readonly<Record<RelayState, Partial<Record<RelayEvent, RelayState>>>> = {
  stopped: { start: 'starting' },
  // Until it has been proved once, failed probes are the ordinary noise of a start.
  starting: { ...WHILE_RUNNING, 'launch-failed': 'failed', unproven: 'failed' },
  healthy: { ...WHILE_RUNNING, 'probe-failed': 'degraded' },
  degraded: { ...WHILE_RUNNING, 'probe-failed': 'degraded', hung: 'restarting', unproven: 'failed' },
  restarting: { start: 'starting', stop: 'stopped' },
  failed: { start: 'starting', stop: 'stopped' },
}

export function nextState (state: RelayState, event: RelayEvent): RelayState {
  return TRANSITIONS[state][event] ?? state
}

/** Credentials may be handed out: it was proved, and is not given up. */
export function isReady (state: RelayState): boolean {
  return state === 'healthy' || state === 'degraded'
}

export type Verdict = { event: Extract<RelayEvent, 'probe-passed' | 'probe-failed' | 'clock-off' | 'full' | 'serves-strangers'>, code: ErrorCode | null, reason: string }

/** What the checks of one probe mean together. */
export function judge (checks: readonly RelayCheck[]): Verdict {
  const failed = checks.filter(({ result }) => result === 'failed')
  const open = failed.find(({ detail }) => detail.startsWith(SERVES_STRANGERS))
  if (open !== undefined) return { event: 'serves-strangers', code: 'relay-open', reason: `over ${open.transport}: ${open.detail}` }
  const broken = failed.find(({ check, detail }) => check !== 'clock' && !detail.startsWith(HAS_NO_ROOM))
  if (broken !== undefined) return { event: 'probe-failed', code: 'relay-unproven', reason: `${broken.check} over ${broken.transport}: ${broken.detail}${failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''}` }
  // It relays as much as it can: starting it again would cut every one of those calls.
  const full = failed.find(({ check }) => check !== 'clock')
  if (full !== undefined) return { event: 'full', code: 'relay-full', reason: `${full.check} over ${full.transport}: ${full.detail}` }
  const clock = failed[0]
  if (clock !== undefined) return { event: 'clock-off', code: 'relay-clock-off', reason: clock.detail }
  return { event: 'probe-passed', code: null, reason: 'every check passed' }
}
