/** HTTPS and WSS: takes TLS connections, of proxies that tell whose they are too, and hands each to the server of HTTP, which serves them like its own. */
import type { Server as HttpServer } from 'node:http'
import { BlockList, createServer as createTcpServer, isIPv4, type Server as TcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { Config } from '../config/schema.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Certificates } from '../tls/certificates.ts'
import type { Pair } from '../tls/pair.ts'
import { parseProxyHeader } from './proxy-protocol.ts'

export type HttpsNeeds = { https: Config['https'], certificates: Pick<Certificates, 'served' | 'use'>, backlog: number }

/** For the header of a proxy, and again for the handshake. */
const PATIENCE_MS = 10_000

export class HttpsListener {
  readonly #needs: HttpsNeeds
  readonly #http: HttpServer
  readonly #tcp: TcpServer
  readonly #tls: TlsServer
  readonly #proxies = new BlockList()
  readonly #open = new Set<Socket>()
  /** Who is behind a connection of a proxy, by the proxy's address and port. */
  readonly #clients = new Map<string, { address: string, port: number }>()
  #pair: Pair | null = null

  constructor (http: HttpServer, needs: HttpsNeeds) {
    this.#needs = needs
    this.#http = http
    for (const network of needs.https.proxyProtocolFrom) addNetwork(this.#proxies, network)
    this.#tls = createTlsServer({ minVersion: 'TLSv1.2', handshakeTimeout: PATIENCE_MS, ALPNProtocols: ['http/1.1'] }, socket => this.#handOver(socket))
    // Whoever speaks no TLS, or does not trust the certificate, is gone already.
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy())
    this.#tcp = createTcpServer({ noDelay: true }, socket => this.#take(socket))
  }

  /** Throws address-in-use. */
  async listen (): Promise<void> {
    const { https: { host, port }, certificates, backlog } = this.#needs
    const served = certificates.served()
    if (served !== null) this.#serve(served)
    certificates.use('https', pair => this.#serve(pair))
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once('error', (error: NodeJS.ErrnoException) => reject(new TurnpikeError('address-in-use', `${host}:${port} cannot be listened on (${error.code}); it is set by TURNPIKE_HTTPS_PORT`, { cause: error })))
      this.#tcp.listen({ host, port, backlog }, resolve)
    })
  }

  /** Takes no more; what has come as far as a request is the server's of HTTP to end. */
  close (): void {
    this.#tcp.close()
  }

  closeAllConnections (): void {
    for (const socket of this.#open) socket.destroy()
  }

  #serve (pair: Pair): void {
    if (pair === this.#pair) return
    this.#pair = pair
    this.#tls.setSecureContext({ cert: pair.cert, key: pair.key, minVersion: 'TLSv1.2' })
  }

  #take (socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    const { remoteAddress = '' } = socket
    if (this.#proxies.check(remoteAddress, isIPv4(remoteAddress) ? 'ipv4' : 'ipv6')) this.#readHeader(socket)
    else this.#tls.emit('connection', socket)
  }

  #readHeader (socket: Socket): void {
    let read = Buffer.alloc(0)
    const deadline = setTimeout(() => socket.destroy(), PATIENCE_MS)
    const ended = (): void => clearTimeout(deadline)
    socket.once('close', ended)
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      read = Buffer.concat([read, chunk])
      const header = parseProxyHeader(read)
      if (header === 'more') return
      ended()
      socket.off('readable', onReadable)
      if ('problem' in header) {
        socket.destroy()
        return
      }
      this.#remember(socket, header.client)
      if (read.length > header.length) socket.unshift(read.subarray(header.length))
      this.#tls.emit('connection', socket)
    }
    socket.on('readable', onReadable)
  }

  #remember (socket: Socket, client: { address: string, port: number } | null): void {
    if (client === null) return
    const key = keyOf(socket)
    this.#clients.set(key, client)
    socket.once('close', () => this.#clients.delete(key))
  }

  #handOver (socket: TLSSocket): void {
    const client = this.#clients.get(keyOf(socket))
    if (client !== undefined) Object.defineProperties(socket, { remoteAddress: { value: client.address }, remotePort: { value: client.port }, remoteFamily: { value: isIPv4(client.address) ? 'IPv4' : 'IPv6' } })
    this.#http.emit('connection', socket)
  }
}

function keyOf ({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

function addNetwork (list: BlockList, network: string): void {
  const [address = '', bits] = network.split('/')
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  list.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family)
}
