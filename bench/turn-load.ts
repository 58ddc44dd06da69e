/**
 * Load for a TURN server on 127.0.0.1, in a process of its own: `turn-load.ts <port> <username> <password> <pairs>`. Two allocations of a pair send
 * each other channel data, so that each message is relayed twice. Prints `ready`; then a line `flood <ms>` or `pace <messages a second> <ms>`
 * is answered with what arrived, as JSON.
 */
import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { readText, readXorAddress, requestedTransportUdp, text, xorAddress, type Address } from '../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, decode, encode, longTermKey, METHOD, type Attribute, type Message } from '../src/stun/message.ts'

/** As long as a packet of audio. */
const DATA_BYTES = 172
const CHANNEL = 0x4000
/** Messages that each allocation keeps on their way. */
const IN_FLIGHT = 16
const TICK_MS = 5
const REFILL_MS = 20
const ASK_AGAIN_MS = 300

type Login = { username: string, password: string }

class Client {
  readonly #socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 1_048_576, sendBufferSize: 1_048_576 })
  readonly #login: Login
  #challenge: { realm: string, nonce: string } | null = null
  #answered: (message: Message) => void = () => {}
  onData: () => void = () => {}

  static async open (port: number, login: Login): Promise<Client> {
    const client = new Client(login)
    await new Promise<void>(resolve => client.#socket.connect(port, '127.0.0.1', resolve))
    return client
  }

  private constructor (login: Login) {
    this.#login = login
    this.#socket.on('error', () => {})
    this.#socket.on('message', bytes => {
      if ((bytes[0] ?? 0) >= 0x40) this.onData()
      else this.#answered(decode(bytes))
    })
  }

  /** The relayed address. */
  async allocate (): Promise<Address> {
    await this.#ask(METHOD.allocate, () => [requestedTransportUdp()])
    const answer = await this.#ask(METHOD.allocate, () => [requestedTransportUdp()])
    const relayed = readXorAddress(answer, ATTRIBUTE.xorRelayedAddress)
    if (relayed === undefined) throw new Error('an Allocate was refused')
    return relayed
  }

  async bind (peer: Address): Promise<void> {
    const number = Buffer.alloc(4)
    number.writeUInt16BE(CHANNEL)
    const answer = await this.#ask(METHOD.channelBind, id => [{ type: ATTRIBUTE.channelNumber, value: number }, xorAddress(ATTRIBUTE.xorPeerAddress, peer, id)])
    if (answer.class !== CLASS.success) throw new Error('a ChannelBind was refused')
  }

  send (frame: Buffer): void {
    this.#socket.send(frame)
  }

  async #ask (method: number, attributes: (id: Buffer) => Attribute[]): Promise<Message> {
    const transactionId = randomBytes(12)
    const { username, password } = this.#login
    const auth = this.#challenge === null ? [] : [text(ATTRIBUTE.username, username), text(ATTRIBUTE.realm, this.#challenge.realm), text(ATTRIBUTE.nonce, this.#challenge.nonce)]
    const request = encode({ method, class: CLASS.request, transactionId, attributes: [...attributes(transactionId), ...auth] }, this.#challenge === null ? undefined : longTermKey(username, this.#challenge.realm, password))
    const answer = await new Promise<Message>(resolve => {
      this.#answered = message => { if (message.transactionId.equals(transactionId)) resolve(message) }
      const again = setInterval(() => this.send(request), ASK_AGAIN_MS)
      const settle = this.#answered
      this.#answered = message => {
        clearInterval(again)
        settle(message)
      }
      this.send(request)
    })
    const [realm, nonce] = [readText(answer, ATTRIBUTE.realm), readText(answer, ATTRIBUTE.nonce)]
    if (realm !== undefined && nonce !== undefined) this.#challenge = { realm, nonce }
    return answer
  }
}

async function openPairs (port: number, login: Login, pairs: number): Promise<Client[]> {
  const clients: Client[] = []
  for (let i = 0; i < pairs; i++) {
    const [one, other] = [await Client.open(port, login), await Client.open(port, login)]
    const [first, second] = [await one.allocate(), await other.allocate()]
    await one.bind(second)
    await other.bind(first)
    clients.push(one, other)
  }
  return clients
}

const frame = Buffer.alloc(4 + DATA_BYTES)
frame.writeUInt16BE(CHANNEL)
frame.writeUInt16BE(DATA_BYTES, 2)

/** Closed loop: who gets a message sends the next. What was lost is put in again. */
async function flood (clients: readonly Client[], forMs: number): Promise<{ arrived: number, lost: number }> {
  let [sent, arrived, arrivedBefore] = [0, 0, -1]
  let isRunning = true
  const send = (client: Client): void => {
    sent++
    client.send(frame)
  }
  for (const client of clients) {
    client.onData = () => {
      arrived++
      if (isRunning) send(client)
    }
  }
  const fill = (): void => clients.forEach(client => { for (let i = 0; i < IN_FLIGHT; i++) send(client) })
  fill()
  const refill = setInterval(() => {
    if (arrived === arrivedBefore) fill()
    arrivedBefore = arrived
  }, REFILL_MS)
  await wait(forMs)
  isRunning = false
  clearInterval(refill)
  await wait(100)
  return { arrived, lost: sent - arrived }
}

/** So many messages a second of all together. */
async function pace (clients: readonly Client[], perSecond: number, forMs: number): Promise<{ arrived: number, lost: number }> {
  let [sent, arrived] = [0, 0]
  for (const client of clients) client.onData = () => { arrived++ }
  const began = performance.now()
  await new Promise<void>(resolve => {
    const timer = setInterval(() => {
      const elapsed = Math.min(performance.now() - began, forMs)
      for (const due = elapsed / 1000 * perSecond; sent < due; sent++) clients[sent % clients.length]?.send(frame)
      if (elapsed < forMs) return
      clearInterval(timer)
      resolve()
    }, TICK_MS)
  })
  await wait(100)
  return { arrived, lost: sent - arrived }
}

const [port = '', username = '', password = '', pairs = ''] = process.argv.slice(2)
const clients = await openPairs(Number(port), { username, password }, Number(pairs))
process.stdout.write('ready\n')
createInterface({ input: process.stdin }).on('line', line => {
  const [what, ...numbers] = line.split(' ')
  const [first = 0, second = 0] = numbers.map(Number)
  const result = what === 'flood' ? flood(clients, first) : pace(clients, first, second)
  result.then(told => process.stdout.write(`${JSON.stringify(told)}\n`), (error: unknown) => { throw error })
}).on('close', () => process.exit(0))
