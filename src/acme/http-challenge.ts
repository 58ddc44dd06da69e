/** Port 80 while certificates are got by http-01: answers the authority's questions (RFC 8555 §8.3) and sends everybody else to https. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { TurnpikeError } from '../protocol/errors.ts'

const PATH = '/.well-known/acme-challenge/'
const TIMEOUT_MS = 10_000
const MOST_HEADERS = 16_384

export class HttpChallenge {
  readonly #at: { host: string, port: number }
  /** Where https is, after https://; null where nobody is sent there. */
  readonly #elsewhere: string | null
  readonly #answers = new Map<string, string>()
  #server: Server | null = null

  constructor (at: { host: string, port: number }, elsewhere: string | null) {
    this.#at = at
    this.#elsewhere = elsewhere
  }

  set (token: string, value: string): void {
    this.#answers.set(token, value)
  }

  remove (token: string): void {
    this.#answers.delete(token)
  }

  /** Throws address-in-use. */
  async listen (): Promise<void> {
    if (this.#server !== null) return
    const { host, port } = this.#at
    const server = createServer({ requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, maxHeaderSize: MOST_HEADERS, keepAliveTimeout: 1 }, (request, response) => this.#answer(request, response))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(new TurnpikeError('address-in-use', `${host}:${port} cannot be listened on (${error.code}), where the certificate authority asks for the name; it is set by TURNPIKE_ACME_HTTP_PORT`, { cause: error })))
      server.listen(port, host, resolve)
    })
    this.#server = server
  }

  async close (): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    await new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }

  #answer ({ url = '/', method = 'GET' }: IncomingMessage, response: ServerResponse): void {
    response.setHeader('connection', 'close')
    const value = url.startsWith(PATH) ? this.#answers.get(url.slice(PATH.length)) : undefined
    if (value !== undefined) {
      response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(value)
    } else if (url.startsWith(PATH) || this.#elsewhere === null || !/^\/[\x21-\x7e]*$/.test(url)) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n')
    } else {
      // 308 keeps the method; to the name that the certificate is for, whatever name was asked for.
      response.writeHead(method === 'GET' || method === 'HEAD' ? 301 : 308, { location: `https://${this.#elsewhere}${url}` }).end()
    }
  }
}
