/** What the last probe saw: is the relay proved, are strangers refused, and are forbidden peers? */
import { errorEntry } from '../../protocol/errors.ts'
import { finding, type CheckName, type Finding } from '../../protocol/findings.ts'
import type { RelayCheck } from '../driver.ts'
import { isReady } from '../relay-states.ts'
import type { DoctorSubject } from './subject.ts'

export function examineState ({ id, state, code, reason }: DoctorSubject): Finding[] {
  const about = `relay ${id}`
  if (state === 'stopped') return [finding('relay-state', about, 'unknown', 'It is not running here, so nothing can be tried with it.', 'Start it (turnpike serve), and ask again.')]
  if (state === 'starting') return [finding('relay-state', about, 'unknown', 'It is starting, and not proved yet.', 'Ask again in ten seconds.')]
  if (code === null && isReady(state)) return [finding('relay-state', about, 'ok', 'It is proved.')]
  const cure = code === null ? 'Look into the log of Turnpike and of coturn.' : errorEntry(code).cure
  return [finding('relay-state', about, isReady(state) ? 'warning' : 'failed', `It is ${state}: ${reason}.`, cure)]
}

const CURES: Partial<Record<RelayCheck['check'], { check: CheckName, cure: string }>> = {
  'refuses-strangers': { check: 'strangers', cure: 'Close the relay to the internet now, and look into the log of coturn why its configuration is not read. With TURNPIKE_RELAY_DRIVER=external, set use-auth-secret and static-auth-secret.' },
  'forbidden-peer': { check: 'forbidden-peers', cure: 'Look into the log of coturn for lines of its configuration that it does not read; where somebody else runs it, give it the denied-peer-ip lines of docs/doctor.md.' },
}

/** One finding for each transport and kind. */
export function examinePolicy ({ id, checks }: DoctorSubject): Finding[] {
  return checks.flatMap(({ check: name, transport, result, detail }) => {
    const known = CURES[name]
    if (known === undefined) return []
    const about = `relay ${id}, ${transport}, last probe`
    if (result === 'left-out') return [finding(known.check, about, 'unknown', `It was not tried: ${detail}.`)]
    return [finding(known.check, about, result === 'passed' ? 'ok' : 'failed', `${detail}.`, result === 'passed' ? null : known.cure)]
  })
}
