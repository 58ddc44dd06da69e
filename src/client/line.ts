/** A line to the server: one socket after another, with a token where one is needed, until it is ended or the server says never. */
import type { ErrorCode } from '../protocol/errors.ts'
import { RESUME_PREFIX, SUBPROTOCOL, TOKEN_PREFIX } from '../protocol/frames.ts'
import type { JoinOptions } from './api.ts'
import { TurnpikeClientError } from './client-error.ts'
import { delayMs, errorAfterClose, secondsLeft, whyRefused } from './reconnect.ts'

export type LineNeeds = {
  options: JoinOptions
  /** What the next socket is to go on with. */
  position (): { resume: string | null, seq: number }
  onText (text: string): void
  /** A socket that had been welcomed is gone. */
  onDown (): void
  onEnd (error: TurnpikeClientError): void
}
/** How a socket went: `cut` by us; `refused`, and nobody says why; or ended with a reason. */
type Outcome = 'cut' | 'refused' | TurnpikeClientError

const CONNECT_WITHIN_MS = 10_000
const JOIN_WITHIN_MS = 15_000
const TOKEN_SPARE_SECONDS = 10
/** A close without a code would say that we leave. */
const COMING_BACK = 4200

export class Line {
  readonly #needs: LineNeeds
  #socket: WebSocket | null = null
  #token: string | undefined
  /** Did getToken make it for the socket that is tried now? */
  #isTokenFresh = false
  /** What the server said last that no frame of ours had asked for: when it closes, it is why. */
  said: { code: ErrorCode, message: string } | null = null
  #isUp = false
  #wasUp = false
  #hasEnded = false
  #failures = 0
  #downSince = performance.now()
  /** Ends what is waited for: the socket, the answer why not, or the time to the next one. */
  #cut: () => void = () => {}

  constructor (needs: LineNeeds) {
    this.#needs = needs
    this.#token = needs.options.token
    this.#run().catch(error => this.end(new TurnpikeClientError('connection-lost', String(error), 'never', error)))
  }

  get isUp (): boolean {
    return this.#isUp && this.#socket?.readyState === WebSocket.OPEN
  }

  /** The server has let us in. */
  welcomed (): void {
    this.#isUp = this.#wasUp = true
    this.#failures = 0
  }

  send (text: string): void {
    this.#socket?.send(text)
  }

  /** Gives the present socket up, and the wait for the next one. */
  renew (): void {
    this.#failures = 0
    this.#cut()
  }

  end (error: TurnpikeClientError): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#socket?.close(1000)
    this.#cut()
    this.#needs.onEnd(error)
  }

  async #run (): Promise<void> {
    const { reconnect: { minMs = 250, maxMs = 10_000, giveUpAfterMs = Infinity } = {}, joinWithinMs = JOIN_WITHIN_MS } = this.#needs.options
    for (;;) {
      const outcome = await this.#attempt()
      if (this.#isUp) this.#downSince = performance.now()
      if (this.#isUp && !this.#hasEnded) this.#needs.onDown()
      this.#isUp = false
      if (this.#hasEnded) return
      const error = outcome === 'refused' ? await this.#why() : outcome === 'cut' ? null : outcome
      if (this.#hasEnded) return
      const mayRepeat = error !== null && this.#dropToken(error)
      if (error !== null && !mayRepeat && this.#isFinal(error)) return this.end(error)
      const patienceMs = this.#wasUp ? giveUpAfterMs : joinWithinMs
      const leftMs = this.#downSince + patienceMs - performance.now()
      if (leftMs <= 0) return this.end(error ?? new TurnpikeClientError('connection-lost', 'the server could not be reached', 'backoff'))
      const isAtOnce = this.#failures === 0 && (outcome === 'cut' || mayRepeat || error?.retry === 'now')
      await this.#wait(isAtOnce ? 0 : Math.min(delayMs(this.#failures, { minMs, maxMs }), leftMs))
      this.#failures++
    }
  }

  /** A first try that the server refused is not repeated; later it may be our own old socket that is in the way. */
  #isFinal ({ retry, code }: TurnpikeClientError): boolean {
    if (!this.#wasUp) return retry !== 'now' && code !== 'connection-lost'
    return retry === 'never' && code !== 'peer-id-taken'
  }

  /** Is it the token, and is there another one? */
  #dropToken ({ code }: TurnpikeClientError): boolean {
    const isOfToken = /^(token-(missing|invalid|expired)|session-unknown)$/.test(code)
    if (!isOfToken || this.#isTokenFresh || this.#needs.options.getToken === undefined) return false
    this.#token = undefined
    return true
  }

  async #why (): Promise<TurnpikeClientError | null> {
    const asking = new AbortController()
    this.#cut = () => asking.abort()
    return await whyRefused(this.#address(), this.#token, this.#needs.position().resume, asking.signal)
  }

  async #wait (ms: number): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#cut = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #address (): URL {
    const url = new URL(this.#needs.options.url)
    url.searchParams.set('ack', String(this.#needs.position().seq))
    return url
  }

  async #attempt (): Promise<Outcome> {
    const { getToken } = this.#needs.options
    const isNeeded = this.#token === undefined || (this.#needs.position().resume === null && secondsLeft(this.#token) < TOKEN_SPARE_SECONDS)
    this.#isTokenFresh = isNeeded && getToken !== undefined
    try {
      if (isNeeded && getToken !== undefined) this.#token = await getToken()
    } catch (error) {
      return new TurnpikeClientError('token-unavailable', `getToken failed: ${error instanceof Error ? error.message : String(error)}`, 'backoff', error)
    }
    return this.#hasEnded ? 'cut' : await new Promise(resolve => this.#open(resolve))
  }

  /** Opens a socket; `over` is called once, when there is no more to it. */
  #open (over: (outcome: Outcome) => void): void {
    const { resume } = this.#needs.position()
    const socket = new WebSocket(this.#address(), [SUBPROTOCOL, ...resume === null ? [] : [RESUME_PREFIX + resume], ...this.#token === undefined ? [] : [TOKEN_PREFIX + this.#token]])
    let isOpened = false
    const finish = (outcome: Outcome): void => {
      socket.onclose = socket.onmessage = null
      clearTimeout(timer)
      this.#socket = null
      over(outcome)
    }
    this.#cut = () => {
      finish('cut')
      socket.close(COMING_BACK)
    }
    // A connection that hangs is no reason to ask at once again.
    const timer = setTimeout(() => {
      if (this.#isUp) return
      finish(new TurnpikeClientError('connection-lost', 'the server did not answer in time', 'backoff'))
      socket.close(COMING_BACK)
    }, CONNECT_WITHIN_MS)
    this.#socket = socket
    this.said = null
    socket.onopen = () => { isOpened = true }
    // 'close' follows and says more.
    socket.onerror = () => {}
    socket.onclose = ({ code, reason }) => finish(isOpened ? errorAfterClose(code, reason, this.said) : 'refused')
    socket.onmessage = ({ data }) => this.#needs.onText(data as string)
  }
}
