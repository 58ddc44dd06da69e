/** What the doctor says of certificates by ACME. */
import { errorEntry, type ErrorCode } from '../protocol/errors.ts'
import { finding, type Finding } from '../protocol/findings.ts'
import { isFor, lifetimeOf } from '../tls/pair.ts'
import type { Kept } from './files.ts'
import { renewAt } from './schedule.ts'

export type Examined = {
  domain: string
  current: Kept | null
  problem: { code: ErrorCode, reason: string } | null
  /** Why names are left out, in sentences. */
  leftOut: readonly string[]
  /** What will be in the way of the next one, in sentences. */
  doubts: readonly string[]
  now: number
}

export function findingsOf ({ domain, current, problem, leftOut, doubts, now }: Examined): Finding[] {
  const about = `certificate for ${domain}`
  const isReady = current !== null && isFor(current.pair, domain)
  if (problem !== null) {
    const { code, reason } = problem
    return [finding('certificate-order', about, isReady ? 'warning' : 'failed', `${isReady ? 'It could not be renewed' : 'There is none yet'}: ${reason}.`, `${errorEntry(code).cure} It is tried again by itself.`)]
  }
  if (!isReady) return [finding('certificate-order', about, 'warning', 'It is being got for the first time.', 'Wait a minute, and look again.')]
  const at = renewAt(lifetimeOf(current.pair))
  if (at < now && current.issuedAt > at) return [finding('certificate-order', about, 'warning', 'It was to be renewed already when it was issued, by the clock of this machine.', 'Set the clock right.')]
  const sentences = [`It is renewed by itself on ${new Date(at * 1000).toISOString().slice(0, 10)}.`, ...doubts.map(text => `${text}.`), ...leftOut.map(text => `Not for another name: ${text}.`)].join(' ')
  return [doubts.length === 0 ? finding('certificate-order', about, 'ok', sentences) : finding('certificate-order', about, 'warning', sentences, 'See to it before then.')]
}
