/** Looks at the addresses of a relay again and again: a machine that was moved, or a provider's new lease, must not be found out by callers. */
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Addresses } from './public-address.ts'

export type AddressWatchNeeds = {
  relay: string
  /** 0: never. */
  checkSeconds: number
  log: Log
  metrics: Pick<Metrics, 'add'>
  look: () => Promise<{ running: Addresses | null, now: Addresses }>
  /** What runs has other addresses than it should have. */
  onChanged: () => void
}

export class AddressWatch {
  readonly #needs: AddressWatchNeeds
  /** One look may be wrong; two alike are believed. */
  #suspected = ''
  #timer: NodeJS.Timeout | undefined

  constructor (needs: AddressWatchNeeds) {
    this.#needs = needs
  }

  start (): void {
    const { checkSeconds } = this.#needs
    if (checkSeconds > 0) this.#timer = setInterval(() => { this.look().catch(() => {}) }, checkSeconds * 1000).unref()
  }

  stop (): void {
    clearInterval(this.#timer)
  }

  async look (): Promise<void> {
    const { relay, log, metrics, look, onChanged } = this.#needs
    const { running, now } = await look()
    const seen = textOf(now)
    // Nobody answered: that tells nothing of the address.
    if (running === null || now.isGuess || seen === textOf(running)) {
      this.#suspected = ''
      return
    }
    if (this.#suspected !== seen) {
      this.#suspected = seen
      return
    }
    this.#suspected = ''
    metrics.add('turnpike_relay_address_changes_total', { relay })
    log.warn({ relay, from: textOf(running), to: seen, source: now.source }, 'the address of the relay has changed; a coturn with the new one takes over')
    onChanged()
  }
}

function textOf ({ listenIp, publicIp, listenIp6, publicIp6 }: Addresses): string {
  return [listenIp, publicIp, listenIp6, publicIp6].filter(address => address !== null).join(' ')
}
