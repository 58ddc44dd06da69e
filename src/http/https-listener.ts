/** HTTPS and WSS: takes TLS connections, of proxies that tell whose they are too, and hands each to the server of HTTP, which serves them like its own. */
import type { Server as HttpServer } from 'node:http'
import { BlockList, createServer as createTcpServer, isIPv4, type Server as TcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { Config } from '../config/schema.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Certificates } from '../tls/certificates.ts'
import type { Pair } from '../tls/pair.ts'
import { parseProxyHeader } from './proxy-protocol.ts'

/** Null: the connection is the proxy's own. */
type Named = { client: { address: string, port: number } | null }
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
  /** Who is behind a connection of a proxy, by its two ends. */
  readonly #named = new Map<string, Named>()
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
    this.#tls.setSecureContext({ cert: pair.cert, key: pair.key, minVersion: 'TLSv1.2' })
    // Not before: one that is refused is not served.
    this.#pair = pair
  }

  #take (socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    const { remoteAddress = '' } = socket
    if (this.#isProxy(remoteAddress)) this.#readHeader(socket)
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

  #isProxy (address: string): boolean {
    return this.#proxies.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
  }

  #remember (socket: Socket, client: Named['client']): void {
    const key = keyOf(socket)
    const named = { client }
    this.#named.set(key, named)
    // Another one may have come from the same port before the end of this one is told.
    socket.once('close', () => { if (this.#named.get(key) === named) this.#named.delete(key) })
  }

  #handOver (socket: TLSSocket): void {
    const { remoteAddress = '' } = socket
    const named = this.#named.get(keyOf(socket))
    // Limits would be of the proxy, that is of all its clients together. One without an address is gone already.
    if (remoteAddress === '' || (named === undefined && this.#isProxy(remoteAddress))) {
      socket.destroy()
      return
    }
    const client = named?.client ?? null
    if (client !== null) Object.defineProperties(socket, { remoteAddress: { value: client.address }, remotePort: { value: client.port }, remoteFamily: { value: isIPv4(client.address) ? 'IPv4' : 'IPv6' } })
    this.#http.emit('connection', socket)
  }
}

/** A proxy may use one port of its own to several addresses of ours. */
function keyOf ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function addNetwork (list: BlockList, network: string): void {
  const [address = '', bits] = network.split('/')
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  list.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family)
}
