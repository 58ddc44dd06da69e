/** What becomes of coturn's log: counted, handed on to ours, and searched for what must end it. */
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { readLogLine } from './log-lines.ts'
import { PROBE_USER } from './probe-target.ts'

export type LogListenerNeeds = {
  relay: string
  log: Log
  metrics: Pick<Metrics, 'add'>
  /** It stands in coturn's log, and never in ours. */
  password: string
  /** The peer that our own probe has refused on purpose. */
  forbiddenPeer: () => string
  /** A rejected option may be what keeps strangers out. Called once. */
  onRejected: (text: string) => void
}

/** For each life of coturn: whoever can make it fail must not be able to fill our log. */
const MOST_ERRORS_WARNED = 20

export function logListener ({ relay, log, metrics, password, forbiddenPeer, onRejected }: LogListenerNeeds): (line: string) => void {
  let errors = 0
  let isRejected = false
  return line => {
    const text = line.replaceAll(password, '[secret]').trim()
    if (text === '') return
    const { level, refusal, isNotAsConfigured, isOfAClient } = readLogLine(text)
    metrics.add('turnpike_relay_log_lines_total', { relay, level })
    // The probe provokes refusals on purpose.
    if (refusal !== null && !text.includes(PROBE_USER) && !text.includes(forbiddenPeer())) metrics.add('turnpike_relay_refusals_total', { relay, cause: refusal })
    const isWarned = level === 'error' && !isOfAClient && errors++ < MOST_ERRORS_WARNED
    log[isWarned ? 'warn' : 'debug']({ relay }, `coturn: ${text}`)
    if (!isNotAsConfigured || isRejected) return
    isRejected = true
    onRejected(text)
  }
}
