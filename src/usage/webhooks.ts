/** Events for somebody else's server: kept until it has taken them, signed so that it can tell that they are ours, repeated with patience. */
import { createHmac } from 'node:crypto'
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Store } from '../store/store.ts'
import { deleteFromOutbox, dueInOutbox, setNextAttempt, type OutboxRow } from './records.ts'

export type WebhooksNeeds = { store: Store, log: Log, metrics: Pick<Metrics, 'add'>, nowSeconds: () => number, /** Null for a project that is gone. */ secretOf: (project: string) => string | null }

const AT_ONCE = 10
const TIMEOUT_MS = 5000
/** 1 s, 2 s, 4 s … at most an hour apart, for three days. */
const LONGEST_PAUSE_SECONDS = 3600
const GIVE_UP_SECONDS = 3 * 86_400

export class Webhooks {
  readonly #needs: WebhooksNeeds
  readonly #stopping = new AbortController()
  #delivering: Promise<void> | null = null
  /** When each may be tried again, by a clock of our own: what cannot be written down must not be sent all the time. */
  readonly #notBefore = new Map<string, number>()

  constructor (needs: WebhooksNeeds) {
    this.#needs = needs
  }

  /** Sends what is due, unless that is being done. */
  deliver (): void {
    this.#delivering ??= this.#deliverDue().finally(() => { this.#delivering = null })
  }

  async stop (): Promise<void> {
    this.#stopping.abort()
    await this.#delivering
  }

  async #deliverDue (): Promise<void> {
    const { store, nowSeconds, log } = this.#needs
    try {
      const due = dueInOutbox(store, nowSeconds(), AT_ONCE).filter(({ id }) => performance.now() >= (this.#notBefore.get(id) ?? 0))
      await Promise.all(due.map(row => this.#attempt(row)))
    } catch (error) {
      log.debug({ reason: (error as Error).message }, 'webhooks could not be worked on; tried again')
    }
  }

  async #attempt (row: OutboxRow): Promise<void> {
    const { store, log, metrics, nowSeconds, secretOf } = this.#needs
    const secret = secretOf(row.project)
    // Of a project that is gone: nobody could check it.
    if (secret === null) return deleteFromOutbox(store, row.id)
    const attempts = row.attempts + 1
    const pauseSeconds = Math.min(2 ** (attempts - 1), LONGEST_PAUSE_SECONDS)
    this.#notBefore.set(row.id, performance.now() + pauseSeconds * 1000)
    const failure = await this.#post(row, secret)
    if (this.#stopping.signal.aborted) return
    if (failure === null || nowSeconds() - row.created_at >= GIVE_UP_SECONDS) {
      deleteFromOutbox(store, row.id)
      this.#notBefore.delete(row.id)
      metrics.add('turnpike_webhooks_total', { result: failure === null ? 'delivered' : 'given_up' })
      if (failure !== null) log.error({ project: row.project, event: row.id, reason: failure }, 'a webhook was not taken for three days and is given up')
      return
    }
    metrics.add('turnpike_webhooks_total', { result: 'failed' })
    log.warn({ project: row.project, event: row.id, attempts, reason: failure }, 'a webhook was not taken; tried again')
    setNextAttempt(store, row.id, attempts, nowSeconds() + pauseSeconds)
  }

  /** Null where it was taken (2xx), or why not; never with the address, which may hold a secret of its owner. */
  async #post ({ id, url, body }: OutboxRow, secret: string): Promise<string | null> {
    const at = this.#needs.nowSeconds()
    const headers = { 'content-type': 'application/json', 'user-agent': 'Turnpike', 'turnpike-event-id': id, 'turnpike-signature': `t=${at},v1=${signatureOf(secret, at, body)}` }
    try {
      const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.#stopping.signal]) })
      await answer.body?.cancel()
      return answer.ok ? null : `it answered ${answer.status}`
    } catch (error) {
      const { cause, name } = error as Error & { cause?: { code?: string } }
      return cause?.code ?? name
    }
  }
}

/** HMAC-SHA-256 over `<unix seconds>.<body>`, hexadecimal: the time is signed too, so that an old one cannot be sent again. */
export function signatureOf (secret: string, atSeconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${atSeconds}.${body}`).digest('hex')
}
