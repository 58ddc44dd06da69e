/** Whether and when a lost socket is opened again (docs/signaling.md, Close codes), and why the server let nobody in. */
import type { ErrorCode, Retry } from '../protocol/errors.ts'
import { TurnpikeClientError } from './client-error.ts'

const ANSWER_WITHIN_MS = 5000

/** By the range of the close code: the client knows no table of errors. */
export function retryAfterClose (code: number): Retry {
  if (code === 1001 || (code >= 4200 && code < 4300)) return 'now'
  return code === 1000 || code === 1009 || (code >= 4000 && code < 4100) ? 'never' : 'backoff'
}

/** The end of a socket as an error. `said` is what the server said last before it closed. */
export function errorAfterClose (code: number, reason: string, said: { code: ErrorCode, message: string } | null): TurnpikeClientError {
  return new TurnpikeClientError(said?.code ?? 'connection-ended', said?.message ?? `the connection was closed: ${code} ${reason}`.trimEnd(), retryAfterClose(code))
}

/** Longer each time, and never for all clients at the same moment. */
export function delayMs (failures: number, { minMs, maxMs }: { minMs: number, maxMs: number }, random = Math.random): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(failures, 20)) * (0.5 + random() / 2)
}

/** Seconds until a token expires (RFC 7519 §4.1.4); Infinity where it cannot be read. */
export function secondsLeft (token: string, nowMs = Date.now()): number {
  try {
    const { exp } = JSON.parse(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'))) as { exp?: unknown }
    return typeof exp === 'number' ? exp - nowMs / 1000 : Infinity
  } catch {
    return Infinity
  }
}

/** Browsers hide why a WebSocket was refused; a plain request to the same address is told. Null where nobody answers, or nothing is wrong now. */
export async function whyRefused (url: URL, token: string | undefined, resume: string | null, signal: AbortSignal): Promise<TurnpikeClientError | null> {
  const asked = new URL(url)
  asked.protocol = url.protocol.replace('ws', 'http')
  if (token !== undefined) asked.searchParams.set('token', token)
  if (resume !== null) asked.searchParams.set('resume', resume)
  try {
    const answer = await fetch(asked, { cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer', signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]) })
    const { status } = answer
    const { code, detail } = await answer.json() as { code: ErrorCode, detail?: string }
    // Proxies, and a server that is about to end, answer in other words.
    if (detail === undefined || code === 'upgrade-required') return null
    return new TurnpikeClientError(code, detail, code === 'shutting-down' ? 'now' : status === 429 || status >= 500 ? 'backoff' : 'never')
  } catch {
    return null
  }
}
