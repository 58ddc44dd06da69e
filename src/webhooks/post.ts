/** One attempt: a signed POST to somebody else's server, and what came of it in words without an address. */
import { createHmac } from 'node:crypto'

const TIMEOUT_MS = 5000
/** RFC 9110 §15.5.11: the receiver says that it is gone for good. */
const GONE = 410

export type Failure = { reason: string, isFinal: boolean }

/** Null where it was taken (2xx). The reason never holds the address, which may hold a secret of its owner. */
export async function post ({ url, id, body, secret, atSeconds, stopping }: { url: string, id: string, body: string, secret: string, atSeconds: number, stopping: AbortSignal }): Promise<Failure | null> {
  const headers = { 'content-type': 'application/json', 'user-agent': 'Turnpike', 'turnpike-event-id': id, 'turnpike-signature': `t=${atSeconds},v1=${signatureOf(secret, atSeconds, body)}` }
  try {
    // A redirect is not followed: whoever answers with one would choose where our events go.
    const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), stopping]) })
    await answer.body?.cancel()
    return answer.ok ? null : { reason: `it answered ${answer.status}`, isFinal: answer.status === GONE }
  } catch (error) {
    const { cause, name } = error as Error & { cause?: { code?: string } }
    return { reason: cause?.code ?? name, isFinal: false }
  }
}

/** HMAC-SHA-256 over `<unix seconds>.<body>`, hexadecimal: the time is signed too, so that an old one cannot be sent again. */
export function signatureOf (secret: string, atSeconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${atSeconds}.${body}`).digest('hex')
}
