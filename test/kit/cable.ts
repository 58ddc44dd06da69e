/**
 * A network cable that can be ill: a TCP proxy of the test's own in front of the server. What is cut or stalled is what is
 * connected now; who connects afterwards finds the cable mended. Delay and throttle stay until they are set again.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { whenDone } from './cleanup.ts'

export type Direction = 'both' | 'up' | 'down'
type LaneName = 'up' | 'down'
const LANES: Readonly<Record<Direction, readonly LaneName[]>> = { both: ['up', 'down'], up: ['up'], down: ['down'] }

/**
 * Who gives up before the server has answered takes the attempt along: a server takes one connection in a turn of its event loop
 * (libuv), and one that is late would be kept busy by those whom nobody waits for.
 *
 * One direction of one connection: up is to the server, down is to the client.
 */
class Lane {
  isStalled = false
  readonly #name: LaneName
  readonly #cable: Cable
  readonly #from: Socket
  readonly #to: Socket
  /** What is under way, each with the time at which it arrives: nothing overtakes. */
  readonly #underWay: { dueAt: number, arrive: () => void }[] = []
  #waitsForDrain = false

  constructor (name: LaneName, from: Socket, to: Socket, cable: Cable) {
    this.#name = name
    this.#from = from
    this.#to = to
    this.#cable = cable
    from.on('data', (bytes: Buffer) => this.#later(() => this.#carry(bytes)))
    from.on('end', () => this.#later(() => (to.connecting ? to.destroy() : to.end())))
    from.on('close', hadError => this.#later(() => (hadError ? to.resetAndDestroy() : to.connecting ? to.destroy() : to.destroySoon())))
    this.throttle()
  }

  /** From now on everything is swallowed, the end too, and nobody is told. */
  stall (): void {
    this.isStalled = true
    this.#from.resume()
  }

  /** Looks again how fast the cable is. At 0 nothing is read: the buffers of the sender fill. */
  throttle (): void {
    if (this.#cable.bytesPerSecond(this.#name) > 0 || this.isStalled) this.#from.resume()
    else this.#from.pause()
  }

  #carry (bytes: Buffer): void {
    const isFull = !this.#to.write(bytes)
    const rate = this.#cable.bytesPerSecond(this.#name)
    if (rate < Infinity) {
      this.#from.pause()
      if (rate > 0) setTimeout(() => this.throttle(), bytes.length / rate * 1000)
    } else if (isFull) {
      this.#from.pause()
      if (this.#waitsForDrain) return
      this.#waitsForDrain = true
      this.#to.once('drain', () => {
        this.#waitsForDrain = false
        this.throttle()
      })
    }
  }

  #later (arrive: () => void): void {
    this.#underWay.push({ dueAt: performance.now() + this.#cable.delayMs, arrive })
    if (this.#underWay.length === 1) this.#arrivals()
  }

  #arrivals (): void {
    for (let next = this.#underWay[0]; next !== undefined; next = this.#underWay[0]) {
      const waitMs = next.dueAt - performance.now()
      if (waitMs > 0) {
        setTimeout(() => this.#arrivals(), waitMs)
        return
      }
      if (!this.isStalled && !this.#to.destroyed) next.arrive()
      this.#underWay.shift()
    }
  }
}

type Connection = { readonly ends: readonly [client: Socket, server: Socket], readonly lanes: Readonly<Record<LaneName, Lane>>, /** Both ends are told, once what is before that has gone: it need not be said again. */ isEnding: boolean }

export class Cable {
  /** What clients connect to. */
  port = 0
  delayMs = 0
  readonly #rates = { up: Infinity, down: Infinity }
  readonly #connections = new Set<Connection>()
  readonly #server: Server

  /** Resolves to a cable to that port of this machine; it goes with the test. */
  static async to (port: number): Promise<Cable> {
    const cable = new Cable(port)
    await new Promise<void>(resolve => cable.#server.listen(0, '127.0.0.1', resolve))
    cable.port = (cable.#server.address() as AddressInfo).port
    whenDone(() => cable.close())
    return cable
  }

  constructor (port: number) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, client => this.#plug(client, port))
  }

  /** rst: both ends are told by a reset (RFC 9293 §3.5.2). fin: both read the end of the stream. */
  cut (how: 'rst' | 'fin'): void {
    for (const connection of this.#connections) {
      const { ends, isEnding } = connection
      connection.isEnding = true
      for (const socket of ends) {
        if (how === 'rst') socket.resetAndDestroy()
        else if (!isEnding) socket.destroySoon()
      }
    }
  }

  /** The connections stay open, and what is sent vanishes: what two ends see whose NAT has forgotten them. */
  stall (direction: Direction): void {
    for (const { lanes } of this.#connections) for (const name of LANES[direction]) lanes[name].stall()
  }

  throttle (direction: Direction, bytesPerSecond: number): void {
    for (const name of LANES[direction]) {
      this.#rates[name] = bytesPerSecond
      for (const { lanes } of this.#connections) lanes[name].throttle()
    }
  }

  get isThrottled (): boolean {
    return Math.min(this.#rates.up, this.#rates.down) < Infinity
  }

  bytesPerSecond (lane: LaneName): number {
    return this.#rates[lane]
  }

  /** Fast again. What is stalled remains so: its bytes are gone. */
  mend (): void {
    this.delayMs = 0
    this.throttle('both', Infinity)
  }

  close (): void {
    this.#server.close()
    this.cut('rst')
  }

  #plug (client: Socket, port: number): void {
    // From an address of its own: one alone has no ports left after ten thousands of connections in a minute.
    const localAddress = `127.1.${this.port >> 8}.${this.port & 255}`
    const server = connect({ port, host: '127.0.0.1', localAddress, noDelay: true, allowHalfOpen: true })
    const connection: Connection = { ends: [client, server], lanes: { up: new Lane('up', client, server, this), down: new Lane('down', server, client, this) }, isEnding: false }
    this.#connections.add(connection)
    for (const socket of connection.ends) {
      socket.on('error', () => {})
      socket.on('close', () => { if (client.destroyed && server.destroyed) this.#connections.delete(connection) })
    }
  }
}
