/** A small STUN and TURN client (RFC 8489, RFC 8656): enough to prove a relay, with every wait bounded. */
import { randomBytes } from 'node:crypto'
import { TurnpikeError } from '../protocol/errors.ts'
import { lifetime, readError, readText, readXorAddress, requestedFamily, requestedTransportUdp, text, xorAddress, type Address } from './attributes.ts'
import { ATTRIBUTE, CLASS, METHOD, attributeOf, decode, encode, isIntact, longTermKey, malformed, type Attribute, type Message } from './message.ts'
import { openTransport, type Target, type Transport } from './transport.ts'

/** First time a lost UDP request is repeated, in ms; doubled each time (RFC 8489 §6.2.1, shorter: the relay is near). */
const FIRST_REPEAT_MS = 100

export type Login = { username: string, password: string }
export type Allocation = { relayed: Address, mapped: Address | undefined, lifetimeSeconds: number }
/** An answer that says no: the STUN error code (401, 403, 486 …) and the server's phrase. */
export type Refusal = { code: number, reason: string }
type Outcome = { message: Message, refusal: null } | { message: null, refusal: Refusal }
type Auth = { username: string, realm: string, nonce: string, key: Buffer }
type DataListener = { onData (from: Address, data: Buffer): void, onEnd (error: TurnpikeError): void }
/** A request that waits for its answer; a success must be signed with the key, where the request was. */
type Waiting = { key: Buffer | undefined, settle (outcome: Message | TurnpikeError): void }

/** One client on one connection, and so one allocation at most. `close` must be called; it releases the allocation first. */
export class TurnClient {
  readonly #transport: Transport
  readonly #timeoutMs: number
  readonly #waiting = new Map<string, Waiting>()
  readonly #dataListeners = new Set<DataListener>()
  #lastChallenge: { realm: string, nonce: string } | null = null
  #auth: Auth | null = null
  /** 'asked' until the answer comes: it may be lost, and the allocation be there all the same. */
  #allocation: 'none' | 'asked' | 'given' = 'none'
  #ended: TurnpikeError | null = null
  #isClosed = false

  private constructor (transport: Transport, timeoutMs: number) {
    this.#transport = transport
    this.#timeoutMs = timeoutMs
    transport.onFrame(frame => this.#receive(frame))
    // A UDP port that is refused now may answer the next request; a stream that has ended has ended.
    transport.onEnd(error => transport.isLossy ? this.#settleAll(error) : this.#end(error))
  }

  /** Connects. Throws stun-timeout. */
  static async open (target: Target): Promise<TurnClient> {
    return new TurnClient(await openTransport(target), target.timeoutMs)
  }

  /** The address that the server sees us at (RFC 8489 §12). Throws stun-timeout, stun-refused, stun-malformed. */
  async binding (): Promise<Address> {
    const { message, refusal } = await this.#request(METHOD.binding, [])
    if (refusal !== null) throw refused('Binding', refusal)
    const mapped = readXorAddress(message, ATTRIBUTE.xorMappedAddress)
    if (mapped === undefined) throw malformed('a Binding response without XOR-MAPPED-ADDRESS')
    return mapped
  }

  /** Allocates without credentials: what a stranger gets. Null where the server *gave* an allocation. */
  async allocateAsStranger (): Promise<Refusal | null> {
    return (await this.#requestAllocation([requestedTransportUdp()])).refusal
  }

  /** Allocates a UDP relay address (RFC 8656 §7): asks for realm and nonce first, then with credentials. */
  async allocate (login: Login, family?: string): Promise<Allocation | Refusal> {
    const wanted = [requestedTransportUdp(), ...(family === undefined ? [] : [requestedFamily(family)])]
    const challenge = await this.#requestAllocation(wanted)
    if (challenge.refusal !== null && challenge.refusal.code !== 401) return challenge.refusal
    if (challenge.refusal !== null) this.#auth = this.#authFrom(login)
    const { message, refusal } = challenge.refusal === null ? challenge : await this.#requestAllocation(wanted)
    if (refusal !== null) return refusal
    const relayed = readXorAddress(message, ATTRIBUTE.xorRelayedAddress)
    if (relayed === undefined) throw malformed('an Allocate response without XOR-RELAYED-ADDRESS')
    const seconds = attributeOf(message, ATTRIBUTE.lifetime)
    return { relayed, mapped: readXorAddress(message, ATTRIBUTE.xorMappedAddress), lifetimeSeconds: seconds?.length === 4 ? seconds.readUInt32BE() : 600 }
  }

  /** Asks that packets from and to this peer address be let through (RFC 8656 §9); null where it was granted. */
  async createPermission (peer: string): Promise<Refusal | null> {
    const { refusal } = await this.#request(METHOD.createPermission, id => [xorAddress(ATTRIBUTE.xorPeerAddress, { address: peer, port: 0 }, id)])
    return refusal
  }

  /** Sends data to a peer through the relay (Send indication, RFC 8656 §11.1). Nothing tells whether it arrived. */
  send (peer: Address, data: Buffer): void {
    if (this.#ended !== null) return
    const transactionId = randomBytes(12)
    const attributes = [xorAddress(ATTRIBUTE.xorPeerAddress, peer, transactionId), { type: ATTRIBUTE.data, value: data }]
    this.#transport.send(encode({ method: METHOD.send, class: CLASS.indication, transactionId, attributes }))
  }

  /** Calls back for data that a peer sent to the relayed address, and once when none can come any more. Returns how to stop listening. */
  onData (onData: DataListener['onData'], onEnd: DataListener['onEnd'] = () => {}): () => void {
    const listener = { onData, onEnd }
    this.#dataListeners.add(listener)
    if (this.#ended !== null) onEnd(this.#ended)
    return () => { this.#dataListeners.delete(listener) }
  }

  /** Releases the allocation (Refresh with lifetime 0, RFC 8656 §8) and closes the connection. Never throws. */
  async close (): Promise<void> {
    if (this.#allocation === 'given') await this.#request(METHOD.refresh, [lifetime(0)]).then(() => { this.#allocation = 'none' }, () => {})
    this.abandon()
  }

  /** Closes the connection at once: the release of an allocation is sent, and not waited for. */
  abandon (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#allocation !== 'none') this.#transport.send(this.#encodeRequest(METHOD.refresh, randomBytes(12), [lifetime(0)]))
    // Requests that others still wait for end now, and are not repeated on a closed connection.
    this.#end(new TurnpikeError('stun-timeout', 'the connection was closed'))
    this.#transport.close()
  }

  #end (error: TurnpikeError): void {
    if (this.#ended !== null) return
    this.#ended = error
    this.#settleAll(error)
    this.#dataListeners.forEach(({ onEnd }) => onEnd(error))
  }

  #settleAll (error: TurnpikeError): void {
    this.#waiting.forEach(({ settle }) => settle(error))
  }

  async #requestAllocation (attributes: Attribute[]): Promise<Outcome> {
    this.#allocation = 'asked'
    const outcome = await this.#request(METHOD.allocate, attributes)
    this.#allocation = outcome.refusal === null ? 'given' : 'none'
    return outcome
  }

  #authFrom ({ username, password }: Login): Auth {
    const challenge = this.#lastChallenge
    if (challenge === null) throw malformed('a 401 without REALM and NONCE')
    return { username, ...challenge, key: longTermKey(username, challenge.realm, password) }
  }

  async #request (method: number, attributes: Attribute[] | ((transactionId: Buffer) => Attribute[]), isRepeat = false): Promise<Outcome> {
    const answer = await this.#exchange(method, attributes)
    if (answer.class === CLASS.success) return { message: answer, refusal: null }
    const refusal = readError(answer)
    const realm = readText(answer, ATTRIBUTE.realm)
    const nonce = readText(answer, ATTRIBUTE.nonce)
    if (realm !== undefined && nonce !== undefined) this.#lastChallenge = { realm, nonce }
    // 438: the nonce went stale; the same request is right with the new one (RFC 8489 §9.2.5).
    if (refusal.code === 438 && this.#auth !== null && nonce !== undefined && !isRepeat) {
      this.#auth = { ...this.#auth, nonce }
      return await this.#request(method, attributes, true)
    }
    return { message: null, refusal }
  }

  async #exchange (method: number, attributes: Attribute[] | ((transactionId: Buffer) => Attribute[])): Promise<Message> {
    // No answer can come any more: the reason is told now, not when the time-out is over.
    if (this.#ended !== null) throw this.#ended
    const transactionId = randomBytes(12)
    const bytes = this.#encodeRequest(method, transactionId, typeof attributes === 'function' ? attributes(transactionId) : attributes)
    const id = transactionId.toString('hex')
    return await new Promise<Message>((resolve, reject) => {
      let repeat: NodeJS.Timeout | undefined
      const done = (): void => {
        this.#waiting.delete(id)
        clearTimeout(repeat)
        clearTimeout(deadline)
      }
      const deadline = setTimeout(() => {
        done()
        reject(new TurnpikeError('stun-timeout', `no answer within ${this.#timeoutMs} ms`))
      }, this.#timeoutMs)
      const settle = (outcome: Message | TurnpikeError): void => {
        done()
        if (outcome instanceof TurnpikeError) reject(outcome)
        else resolve(outcome)
      }
      this.#waiting.set(id, { key: method === METHOD.binding ? undefined : this.#auth?.key, settle })
      const sendAgainAfter = (waitMs: number): void => {
        this.#transport.send(bytes)
        if (this.#transport.isLossy) repeat = setTimeout(() => sendAgainAfter(waitMs * 2), waitMs)
      }
      sendAgainAfter(FIRST_REPEAT_MS)
    })
  }

  #encodeRequest (method: number, transactionId: Buffer, attributes: Attribute[]): Buffer {
    // Binding needs no credentials, and its answers carry none.
    const auth = method === METHOD.binding ? null : this.#auth
    const login = auth === null ? [] : [text(ATTRIBUTE.username, auth.username), text(ATTRIBUTE.realm, auth.realm), text(ATTRIBUTE.nonce, auth.nonce)]
    return encode({ method, class: CLASS.request, transactionId, attributes: [...attributes, ...login] }, auth?.key)
  }

  #receive (frame: Buffer): void {
    let message: Message
    try {
      message = decode(frame)
      if (message.class === CLASS.indication && message.method === METHOD.data) return this.#receiveData(message)
    } catch {
      // Whoever can spoof a datagram must not be able to end the probe; a server that only sends garbage ends in stun-timeout.
      return
    }
    if (message.class !== CLASS.success && message.class !== CLASS.error) return
    const waiting = this.#waiting.get(message.transactionId.toString('hex'))
    // A yes from somebody who does not know the password is none (RFC 8489 §9.2.5); a no may be unsigned, as a 401 is.
    if (message.class === CLASS.success && waiting?.key !== undefined && !isIntact(frame, waiting.key)) return
    waiting?.settle(message)
  }

  #receiveData (message: Message): void {
    const from = readXorAddress(message, ATTRIBUTE.xorPeerAddress)
    const data = attributeOf(message, ATTRIBUTE.data)
    if (from !== undefined && data !== undefined) this.#dataListeners.forEach(({ onData }) => onData(from, data))
  }
}

export function isRefusal (outcome: Allocation | Refusal): outcome is Refusal {
  return 'code' in outcome
}

/** A refusal as an error, for those who expected a yes. */
export function refused (what: string, { code, reason }: Refusal): TurnpikeError {
  return new TurnpikeError('stun-refused', `${what} was refused with ${code}${reason === '' ? '' : ` (${reason})`}`)
}
