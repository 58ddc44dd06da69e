/** When a certificate is ordered, and when an order that failed is tried again. */
import type { ErrorCode } from '../protocol/errors.ts'

/** Of the first wait: minutes where that is a minute. */
const WAITS = [1, 2, 5, 10, 30, 60] as const
const HOUR_SECONDS = 3600
const DAY_SECONDS = 86_400
/** Longer than any limit of Let's Encrypt. */
export const LONGEST_SECONDS = 7 * DAY_SECONDS
/** Found here, before the authority is asked: it may be set right at any moment, and looking again costs nobody anything. */
const FOUND_HERE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['acme-name-elsewhere', 'dns-unreachable', 'data-dir-unwritable'])

export type Lifetime = { begins: number, ends: number }

/** When a third of its lifetime is left. */
export function renewAt ({ begins, ends }: Lifetime): number {
  return Math.floor(ends - (ends - begins) / 3)
}

/**
 * When the next one is ordered: when it is to be renewed, and not within a day of the last one, or a third of its life. To a clock that is
 * months ahead every new certificate is old already, and authorities issue few for the same names.
 */
export function orderAt (lifetime: Lifetime, issuedAt: number, now: number): number {
  // That the last one is of the future only a clock says that has been set back since.
  const least = issuedAt > now ? 0 : issuedAt + Math.min(DAY_SECONDS, Math.floor((lifetime.ends - lifetime.begins) / 3))
  return Math.max(renewAt(lifetime), least)
}

export function isFoundHere (code: ErrorCode): boolean {
  return FOUND_HERE.has(code)
}

/** Seconds until the next try, after so many that failed one after another. */
export function waitAfter (failures: number, { code, retryAfterSeconds = 0 }: { code: ErrorCode, retryAfterSeconds?: number | undefined }, retrySeconds: number): number {
  if (isFoundHere(code)) return retrySeconds
  const step = WAITS[Math.min(failures, WAITS.length) - 1] ?? 1
  const longest = Math.max(HOUR_SECONDS, retrySeconds)
  // A limit without a word of when it ends is one of an hour at least.
  const least = code === 'acme-rate-limited' && retryAfterSeconds === 0 ? HOUR_SECONDS : Math.min(retryAfterSeconds, LONGEST_SECONDS)
  return Math.max(least, Math.min(longest, step * retrySeconds))
}
