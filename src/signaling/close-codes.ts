/** What the code that a socket was closed with says of its peer (RFC 6455 §7.4, docs/signaling.md). */
import { closeCodeOf, ERRORS, type ErrorCode } from '../protocol/errors.ts'
import type { LeaveReason } from '../protocol/frames.ts'

/** A close that says that the peer leaves for good (1005 is one without a code), or that it did what it must not do again. */
const FINAL: ReadonlySet<number> = new Set([1000, 1005, 1007, 1009])
const REASONS: Readonly<Record<number, LeaveReason>> = { 1000: 'left', 1005: 'left', 4001: 'replaced', 4003: 'kicked', 4004: 'closed' }
/** IANA's registry (1004 means nothing, 1015 no client can say), and all of ours. */
const NAMED: ReadonlySet<number> = new Set([1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, ...(Object.keys(ERRORS) as ErrorCode[]).map(closeCodeOf)])

/** Does nobody come back after it? */
export function isFinal (code: number): boolean {
  return FINAL.has(code)
}

/** What the others are told. */
export function leaveReasonOf (code: number): LeaveReason {
  return REASONS[code] ?? 'lost'
}

/** What a peer's own close says of it. Codes from 4000 on are ours to give: from the other side they say nothing. */
export function saidByPeer (code: number): number {
  return code < 4000 ? code : 1006
}

/** The code as a metric shows it: a client may close with any of two thousand, and each would be a series for good. */
export function closeLabel (code: number): string {
  return NAMED.has(code) ? String(code) : 'other'
}
