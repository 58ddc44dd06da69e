/** When a certificate is renewed, and when an order that failed is tried again. */
import type { ErrorCode } from '../protocol/errors.ts'

/** Of the first wait: minutes where that is a minute. */
const WAITS = [1, 2, 5, 10, 30, 60] as const
const HOUR_SECONDS = 3600
/** Longer than any limit of Let's Encrypt. */
const LONGEST_SECONDS = 7 * 86_400

/** When a third of its lifetime is left. */
export function renewAt ({ begins, ends }: { begins: number, ends: number }): number {
  return Math.floor(ends - (ends - begins) / 3)
}

/** Seconds until the next try, after so many that failed one after another. */
export function waitAfter (failures: number, { code, retryAfterSeconds = 0 }: { code: ErrorCode, retryAfterSeconds?: number | undefined }, retrySeconds: number): number {
  // Nobody but DNS was asked: it may be set right at any moment.
  if (code === 'acme-name-elsewhere') return retrySeconds
  const step = WAITS[Math.min(failures, WAITS.length) - 1] ?? 1
  const longest = Math.max(HOUR_SECONDS, retrySeconds)
  // A limit without a word of when it ends is one of an hour at least.
  const least = code === 'acme-rate-limited' && retryAfterSeconds === 0 ? HOUR_SECONDS : Math.min(retryAfterSeconds, LONGEST_SECONDS)
  return Math.max(least, Math.min(longest, step * retrySeconds))
}
