/** HTTPS and WSS with the operator's own files: the same API, a certificate that is replaced, and clients behind a proxy that passes TLS on. */
import { copyFileSync, readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { expect, test } from 'vitest'
import WebSocket from 'ws'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../../src/protocol/frames.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { whenDone } from '../kit/cleanup.ts'
import { freePorts, scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { tokenFor } from '../kit/peer.ts'

type Secure = { app: TestApp, port: number, files: { cert: string, key: string } }

async function startSecure (more: Record<string, string> = {}): Promise<Secure> {
  const files = selfMadeCertificate(scratchDirectory())
  const [port = 0] = await freePorts(1)
  // No relay: it would take time that this needs not.
  const app = await startApp({ TURNPIKE_TLS_CERT: files.cert, TURNPIKE_TLS_KEY: files.key, TURNPIKE_TLS_CHECK_SECONDS: '1', TURNPIKE_HTTPS_HOST: '127.0.0.1', TURNPIKE_HTTPS_PORT: String(port), ...more }, { programPath: [] })
  return { app, port, files }
}

async function get (socket: { port: number, ca: string } | TLSSocket, path: string): Promise<{ status: number | undefined, headers: Record<string, unknown>, body: Record<string, unknown> }> {
  const from = 'port' in socket ? { host: 'localhost', ...socket, agent: false } : { createConnection: () => socket }
  return await new Promise((resolve, reject) => {
    request({ ...from, path, method: path.includes('token') ? 'POST' : 'GET', headers: { 'content-type': 'application/json' } } as object, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).once('end', () => resolve({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) as Record<string, unknown> }))
    }).once('error', reject).end()
  })
}

/** A TLS connection whose first bytes are these, before the handshake. */
async function behindProxy (port: number, header: Buffer | string, from = '127.0.0.1'): Promise<TLSSocket> {
  const tcp: Socket = connectTcp({ host: '127.0.0.1', port, localAddress: from })
  whenDone(() => { tcp.destroy() })
  await new Promise<void>((resolve, reject) => tcp.once('connect', resolve).once('error', reject))
  // In two pieces, as networks do.
  const bytes = Buffer.from(header as string)
  tcp.write(bytes.subarray(0, 7))
  await new Promise(resolve => setImmediate(resolve))
  tcp.write(bytes.subarray(7))
  return await new Promise((resolve, reject) => {
    const socket = connect({ socket: tcp, servername: 'localhost', rejectUnauthorized: false }, () => resolve(socket))
    socket.once('error', reject)
    tcp.once('close', () => reject(new Error('closed')))
  })
}

function version2 (address: string, port: number): Buffer {
  const header = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex'), Buffer.from(address.split('.').map(Number)), Buffer.from([127, 0, 0, 1]), Buffer.alloc(4)])
  header.writeUInt16BE(port, 24)
  return header
}

test('HTTPS is the same API, with a name for sockets that begins with wss, and tells browsers to stay; a new certificate is served without a restart', async () => {
  const { app, port, files } = await startSecure()
  const ca = readFileSync(files.cert, 'utf8')
  const { status, headers } = await get({ port, ca }, '/healthz')
  expect([status, headers['strict-transport-security']]).toEqual([200, 'max-age=15552000'])
  expect((await app.request('/healthz')).headers.get('strict-transport-security')).toBeNull()
  expect((await get({ port, ca }, '/call/demo/token')).body['url']).toBe(`wss://localhost:${port}/v1/signal`)
  expect(app.httpsUrl()).toBe(`https://localhost:${port}`)
  // A peer over WSS and one over WS meet.
  const open = async (url: string, peer: string): Promise<string[]> => {
    const socket = new WebSocket(`${url}/v1/signal`, [SUBPROTOCOL, `${TOKEN_PREFIX}${await tokenFor(app, 'lobby', { peer })}`], { ca })
    const texts: string[] = []
    socket.on('message', (data: Buffer) => texts.push(data.toString())).on('error', error => texts.push(String(error)))
    whenDone(() => socket.terminate())
    await until('the welcome', () => texts.length > 0)
    return texts
  }
  const secure = await open(`wss://localhost:${port}`, 'alice')
  await open(app.url().replace('http', 'ws'), 'bob')
  await until('alice sees bob', () => secure.join().includes('peer-joined'))
  // TLS 1.1 is not spoken.
  await expect(new Promise((resolve, reject) => connect({ host: '127.0.0.1', port, ca, maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, () => resolve('spoken')).once('error', reject))).rejects.toThrow()
  const next = selfMadeCertificate(scratchDirectory())
  copyFileSync(next.key, files.key)
  copyFileSync(next.cert, files.cert)
  await until('the new one is served', async () => await get({ port, ca: readFileSync(next.cert, 'utf8') }, '/healthz').then(answer => answer.status === 200, () => false))
  expect(secure.filter(text => text.includes('error'))).toEqual([])
})

test('behind a proxy that passes TLS on, limits are of each client; from elsewhere such a header is refused, and from the proxy a connection without one', async () => {
  const { port } = await startSecure({ TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM: '127.0.0.2/32', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '2' })
  const ask = async (header: Buffer | string): Promise<number | undefined> => (await get(await behindProxy(port, header, '127.0.0.2'), '/v1/sdk-that-is-not-there')).status
  const one = version2('198.51.100.7', 5000)
  const sameInWords = 'PROXY TCP4 198.51.100.7 127.0.0.1 5001 443\r\n'
  expect([await ask(one), await ask(sameInWords), await ask(one), await ask(version2('198.51.100.8', 5000))]).toEqual([404, 404, 429, 404])
  // The proxy's own look at us.
  expect(await ask('PROXY UNKNOWN\r\n')).toBe(404)
  await expect(behindProxy(port, one, '127.0.0.1')).rejects.toThrow()
  await expect(behindProxy(port, '', '127.0.0.2')).rejects.toThrow()
})
