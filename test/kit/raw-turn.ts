/** A TURN client for those who mean harm: asks for what src/stun's client never would, and tells how each request was answered. */
import { randomBytes } from 'node:crypto'
import { readError, readText, readXorAddress, text, xorAddress, type Address } from '../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, decode, encode, longTermKey, METHOD, type Attribute, type Message } from '../../src/stun/message.ts'
import { openTransport, type Transport } from '../../src/stun/transport.ts'
import type { Login } from '../../src/stun/turn-client.ts'
import { whenDone } from './cleanup.ts'

/** RFC 6062: has the relay open a TCP connection. */
export const CONNECT = 0x00A
/** What a success is told as, beside the codes of errors. */
export const GRANTED = 200
/** REQUESTED-TRANSPORT's and REQUESTED-ADDRESS-FAMILY's numbers. */
export const [UDP, TCP, IPV4, IPV6] = [17, 6, 1, 2]

const ANSWER_WITHIN_MS = 3000

/** One connection with a valid credential; nothing is sent twice, because all of it is on one machine. */
export class RawTurn {
  readonly #transport: Transport
  readonly #login: Login
  readonly #waiting = new Map<string, (message: Message) => void>()
  #challenge: { realm: string, nonce: string } | null = null
  #channels = 0x4000

  private constructor (transport: Transport, login: Login) {
    this.#transport = transport
    this.#login = login
    transport.onFrame(frame => {
      const message = decode(frame)
      this.#waiting.get(message.transactionId.toString('hex'))?.(message)
    })
  }

  /** Closed with the test. */
  static async open (transport: 'udp' | 'tcp', server: { host: string, port: number }, login: Login): Promise<RawTurn> {
    const opened = await openTransport({ transport, ...server, timeoutMs: ANSWER_WITHIN_MS })
    whenDone(() => opened.close())
    return new RawTurn(opened, login)
  }

  /** The relayed address, or the code of the refusal. */
  async allocate (protocol: number, family: number): Promise<Address | number> {
    const wanted = [{ type: ATTRIBUTE.requestedTransport, value: Buffer.from([protocol, 0, 0, 0]) }, { type: ATTRIBUTE.requestedAddressFamily, value: Buffer.from([family, 0, 0, 0]) }]
    await this.#exchange(METHOD.allocate, () => wanted)
    const answer = await this.#exchange(METHOD.allocate, () => wanted)
    return readXorAddress(answer, ATTRIBUTE.xorRelayedAddress) ?? codeOf(answer)
  }

  async createPermission (peer: Address): Promise<number> {
    return codeOf(await this.#exchange(METHOD.createPermission, id => [xorAddress(ATTRIBUTE.xorPeerAddress, peer, id)]))
  }

  /** Another channel at each call; a packet goes into it at once, whatever the answer was. */
  async channelBind (peer: Address, data: Buffer): Promise<number> {
    const number = Buffer.alloc(4)
    number.writeUInt16BE(this.#channels++)
    const answer = await this.#exchange(METHOD.channelBind, id => [{ type: ATTRIBUTE.channelNumber, value: number }, xorAddress(ATTRIBUTE.xorPeerAddress, peer, id)])
    // Over TCP a frame is filled up to four bytes (RFC 8656 §12.5).
    const frame = Buffer.alloc(4 + Math.ceil(data.length / 4) * 4)
    number.copy(frame, 0, 0, 2)
    frame.writeUInt16BE(data.length, 2)
    data.copy(frame, 4)
    this.#transport.send(frame)
    return codeOf(answer)
  }

  async connect (peer: Address): Promise<number> {
    return codeOf(await this.#exchange(CONNECT, id => [xorAddress(ATTRIBUTE.xorPeerAddress, peer, id)]))
  }

  /** A Send indication (RFC 8656 §11.1). */
  send (peer: Address, data: Buffer): void {
    const transactionId = randomBytes(12)
    this.#transport.send(encode({ method: METHOD.send, class: CLASS.indication, transactionId, attributes: [xorAddress(ATTRIBUTE.xorPeerAddress, peer, transactionId), { type: ATTRIBUTE.data, value: data }] }))
  }

  /** Answered after everything that was sent before has been read. */
  async refresh (): Promise<number> {
    return codeOf(await this.#exchange(METHOD.refresh, () => []))
  }

  async #exchange (method: number, attributes: (transactionId: Buffer) => Attribute[]): Promise<Message> {
    const transactionId = randomBytes(12)
    const id = transactionId.toString('hex')
    const { username, password } = this.#login
    const challenge = this.#challenge
    const login = challenge === null ? [] : [text(ATTRIBUTE.username, username), text(ATTRIBUTE.realm, challenge.realm), text(ATTRIBUTE.nonce, challenge.nonce)]
    const key = challenge === null ? undefined : longTermKey(username, challenge.realm, password)
    const answer = await new Promise<Message>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no answer to method ${method} within ${ANSWER_WITHIN_MS} ms`)), ANSWER_WITHIN_MS)
      this.#waiting.set(id, message => {
        clearTimeout(late)
        resolve(message)
      })
      this.#transport.send(encode({ method, class: CLASS.request, transactionId, attributes: [...attributes(transactionId), ...login] }, key))
    }).finally(() => this.#waiting.delete(id))
    const [realm, nonce] = [readText(answer, ATTRIBUTE.realm), readText(answer, ATTRIBUTE.nonce)]
    if (realm !== undefined && nonce !== undefined) this.#challenge = { realm, nonce }
    return answer
  }
}

/** A message with any bits in its type, and any attributes, and without checksums: what `encode` would not write. */
export function rawMessage (type: number, attributes: readonly (readonly [type: number, value: Buffer])[] = [], cookie = 0x2112A442): Buffer {
  const body = Buffer.concat(attributes.map(([type, value]) => {
    const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4)
    bytes.writeUInt16BE(type, 0)
    bytes.writeUInt16BE(value.length, 2)
    value.copy(bytes, 4)
    return bytes
  }))
  const header = Buffer.concat([Buffer.alloc(8), randomBytes(12)])
  header.writeUInt16BE(type, 0)
  header.writeUInt16BE(body.length, 2)
  header.writeUInt32BE(cookie, 4)
  return Buffer.concat([header, body])
}

function codeOf (answer: Message): number {
  return answer.class === CLASS.success ? GRANTED : readError(answer).code
}
