/** coturn's command line on loopback (turn_admin_server.c, 4.6.1 to 4.18.0): the only way to see its sessions and to end one. */
import { connect, type Socket } from 'node:net'
import { createHash } from 'node:crypto'
import { TurnpikeError } from '../protocol/errors.ts'
import { parseSessions, type LiveSession } from './control-sessions.ts'

export type ControlAddress = { host: string, port: number, password: string }

const TIMEOUT_MS = 2000
const PROMPT = '> '

/** As coturn wants it in its file, so that the password itself stands nowhere but with us: `$5$<salt>$<sha256(salt ‖ password)>`. */
export function hashedControlPassword (password: string): string {
  // The salt is fixed by the password: another one at each start would be another configuration, and no coturn would be taken over.
  const salt = createHash('sha256').update(`turnpike ${password}`).digest().subarray(0, 8)
  return `$5$${salt.toString('hex')}$${createHash('sha256').update(Buffer.concat([salt, Buffer.from(password)])).digest('hex')}`
}

export class Control {
  readonly #address: ControlAddress
  #connection: Promise<Connection> | null = null
  /** Commands take turns. */
  #last: Promise<unknown> = Promise.resolve()

  constructor (address: ControlAddress) {
    this.#address = address
  }

  /** Ends these sessions. coturn says neither yes nor no: the feed tells which have ended. Throws relay-control-lost. */
  async cut (sessions: readonly string[]): Promise<void> {
    await this.#inTurn(async connection => {
      // One at a time: coturn reads a single command out of whatever arrives together.
      for (const session of sessions) await connection.run(`cs ${session}`)
    })
  }

  /** All sessions that live. Throws relay-control-lost. */
  async sessions (): Promise<LiveSession[]> {
    return await this.#inTurn(async connection => parseSessions(await connection.run('ps')))
  }

  close (): void {
    this.#connection?.then(connection => connection.close(), () => {})
    this.#connection = null
  }

  async #inTurn<T> (work: (connection: Connection) => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => this.#tryTwice(work))
    this.#last = mine.catch(() => {})
    return await mine
  }

  /** A connection that was idle may have been closed with an earlier coturn. */
  async #tryTwice<T> (work: (connection: Connection) => Promise<T>): Promise<T> {
    const isFresh = this.#connection === null
    try {
      return await work(await this.#connect())
    } catch (error) {
      this.close()
      if (isFresh) throw new TurnpikeError('relay-control-lost', `coturn's command line on ${this.#address.host}:${this.#address.port} does not answer: ${(error as Error).message}`, { cause: error })
      return await this.#tryTwice(work)
    }
  }

  async #connect (): Promise<Connection> {
    this.#connection ??= Connection.open(this.#address)
    return await this.#connection
  }
}

/** One login. */
class Connection {
  readonly #socket: Socket
  #text = ''
  /** As much of its end as a prompt takes: to look at the end of the whole would be to copy the whole, with each of its pieces. */
  #end = ''
  #heard: () => void = () => {}
  #ended: Error | null = null

  static async open ({ host, port, password }: ControlAddress): Promise<Connection> {
    const connection = new Connection(connect({ host, port }))
    try {
      return await connection.#logIn(password)
    } catch (error) {
      connection.close()
      throw error
    }
  }

  async #logIn (password: string): Promise<Connection> {
    await this.#until(text => text.includes('Enter password:'))
    this.#text = ''
    this.#socket.write(`${password}\n`)
    await this.#until(text => text.includes(PROMPT))
    return this
  }

  private constructor (socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.setNoDelay()
    socket.on('data', (text: string) => {
      this.#text += text
      this.#end = (this.#end + text).slice(-PROMPT.length)
      this.#heard()
    })
    const ended = (why: string) => (error?: Error): void => {
      this.#ended ??= error instanceof Error ? error : new Error(why)
      this.#heard()
    }
    socket.on('error', ended('it failed'))
    socket.on('close', ended('it was closed'))
    // Idle between cuts: no reason for the process to stay.
    socket.unref()
  }

  /** Runs one command; resolves to what was printed, when it has been followed by a prompt. */
  async run (command: string): Promise<string> {
    this.#text = ''
    this.#end = ''
    this.#socket.write(`${command}\n`)
    return await this.#until(() => this.#end === PROMPT)
  }

  close (): void {
    this.#socket.destroy()
  }

  async #until (isComplete: (text: string) => boolean): Promise<string> {
    let deadline: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        this.#heard = () => {
          if (isComplete(this.#text)) resolve(this.#text)
          else if (this.#ended !== null) reject(this.#ended)
        }
        deadline = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
        this.#heard()
      })
    } finally {
      clearTimeout(deadline)
      this.#heard = () => {}
    }
  }
}
