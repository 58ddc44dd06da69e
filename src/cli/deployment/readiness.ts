/** Waiting until a deployment is ready, and what the doctor finds in it. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Finding } from '../../protocol/findings.ts'
import type { Deployment, Readiness } from './deployment.ts'

const POLL_MS = 400

/** Null once it is ready; else why it is not. */
export async function whyNotReady (deployment: Pick<Deployment, 'readiness' | 'hopeless'>, withinMs: number): Promise<string | null> {
  const endsAt = performance.now() + withinMs
  for (;;) {
    const readiness = await deployment.readiness()
    if (readiness?.ready === true) return null
    const hopeless = await deployment.hopeless()
    if (hopeless !== null) return hopeless
    if (performance.now() > endsAt) return `not ready within ${Math.round(withinMs / 1000)} s: ${inWords(readiness)}`
    await wait(POLL_MS)
  }
}

/** What is not ready, and why. */
export function inWords (readiness: Readiness | null): string {
  if (readiness === null) return 'nobody answers'
  const parts = (['relay', 'store', 'certificate'] as const).map(name => ({ name, finding: readiness[name] }))
  const missing = parts.filter(({ finding }) => finding?.ready === false)
  return missing.length === 0 ? 'everything is ready' : missing.map(({ name, finding }) => `${name}: ${finding?.reason ?? 'not ready yet'}${finding?.cure === undefined ? '' : ` (${finding.cure})`}`).join('; ')
}

/** What the doctor finds; nothing where it cannot be asked. */
export async function findings (deployment: Pick<Deployment, 'turnpike'>): Promise<Finding[]> {
  const { out } = await deployment.turnpike(['doctor', '--json'])
  try {
    return (JSON.parse(out) as { findings: Finding[] }).findings
  } catch {
    return []
  }
}

export const keyOf = ({ subject, check }: Finding): string => `${check} of ${subject}`
