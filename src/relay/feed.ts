/**
 * The listener that coturn takes for its Redis statistics database (`redis-statsdb`): it speaks enough RESP for coturn,
 * and every allocation and traffic report arrives here without a Redis.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createHash, timingSafeEqual } from 'node:crypto'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Log } from '../lifecycle.ts'
import { parseFeedEvent, type FeedEvent } from './feed-events.ts'
import { RespCommands } from './resp.ts'

export type FeedNeeds = { host: string, password: string, log: Log, onEvent: (event: FeedEvent) => void, /** Whether any thread of coturn is connected has changed. */ onConnected: () => void, /** A connection was lost, and one has come back: what happened between was not told. */ onBack: () => void }
/** More than any coturn opens: one for each of its threads. */
const MOST_CONNECTIONS = 300
/** coturn says its password at once; whoever does not must not hold a connection. */
const LOGIN_TIMEOUT_MS = 5000

export class Feed {
  readonly #needs: FeedNeeds
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Those that have said the password. */
  readonly #known = new Set<Socket>()
  #hasLost = false

  constructor (needs: FeedNeeds) {
    this.#needs = needs
    this.#server = createServer(socket => this.#serve(socket))
    this.#server.maxConnections = MOST_CONNECTIONS
  }

  /** Listens on the wanted port, or on a free one where it is taken or 0; resolves to the port. */
  async listen (wantedPort: number): Promise<number> {
    try {
      return await this.#listenOn(wantedPort)
    } catch (error) {
      if (wantedPort === 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw new TurnpikeError('relay-address-wrong', `the feed cannot listen on ${this.#needs.host}: ${(error as Error).message}`, { cause: error })
      this.#needs.log.warn({ port: wantedPort }, 'the port of the feed is taken by another program; a relay that runs must be started again to report to a new one')
      return await this.#listenOn(0)
    }
  }

  /** Is any thread of coturn connected? */
  isConnected (): boolean {
    return this.#known.size > 0
  }

  /** Drops what is connected: it was a coturn that has ended. */
  disconnect (): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close (): Promise<void> {
    this.disconnect()
    if (this.#server.listening) await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  async #listenOn (port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: this.#needs.host, port }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : port
  }

  #serve (socket: Socket): void {
    const commands = new RespCommands()
    const connection = { isKnown: false }
    this.#sockets.add(socket)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (!this.#known.delete(socket)) return
      this.#hasLost = true
      if (this.#known.size === 0) this.#needs.onConnected()
    })
    socket.on('error', () => {})
    socket.setTimeout(LOGIN_TIMEOUT_MS, () => { if (!connection.isKnown) socket.destroy() })
    socket.on('data', (bytes: Buffer) => {
      try {
        const answers = commands.push(bytes).map(command => this.#answer(connection, command))
        if (connection.isKnown && !this.#known.has(socket)) this.#greet(socket)
        if (answers.length > 0) socket.write(answers.join(''))
      } catch (error) {
        this.#needs.log.warn({ reason: (error as Error).message }, 'something on the feed port does not speak as coturn does; its connection is closed')
        socket.destroy()
      }
    })
  }

  #greet (socket: Socket): void {
    this.#known.add(socket)
    this.#needs.onConnected()
    if (this.#hasLost) this.#needs.onBack()
    this.#hasLost = false
  }

  /** The answer to one command, in RESP. */
  #answer (connection: { isKnown: boolean }, [name = '', ...values]: string[]): string {
    const command = name.toUpperCase()
    if (command === 'AUTH') {
      connection.isKnown = isSame(values.at(-1) ?? '', this.#needs.password)
      return connection.isKnown ? '+OK\r\n' : '-WRONGPASS invalid password\r\n'
    }
    if (command === 'PING') return '+PONG\r\n'
    if (!connection.isKnown) return '-NOAUTH Authentication required.\r\n'
    if (command === 'PUBLISH') {
      const event = parseFeedEvent(values[0] ?? '', values[1] ?? '')
      if (event !== null) this.#needs.onEvent(event)
      return ':1\r\n'
    }
    if (command === 'SELECT' || command === 'SET') return '+OK\r\n'
    if (command === 'DEL') return ':1\r\n'
    // coturn asks for the keys that an earlier one left behind; there are none.
    if (command === 'KEYS') return '*0\r\n'
    return '-ERR unknown command\r\n'
  }
}

function isSame (given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
