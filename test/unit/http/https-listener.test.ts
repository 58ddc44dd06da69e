/** TLS connections as they are handed to the server of HTTP: whose they are, and by which certificate. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { HttpsListener } from '../../../src/http/https-listener.ts'
import type { Install } from '../../../src/tls/certificates.ts'
import { problemOf, type Pair } from '../../../src/tls/pair.ts'
import { freePorts, scratchDirectory, selfMadeCertificate } from '../../kit/files.ts'

const textsOf = ({ cert, key }: Pair): Pair => ({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })

/** Answers every request with the address that it is taken to be of. */
async function startListener (proxyProtocolFrom: string[]): Promise<{ port: number, install: Install }> {
  const [port = 0] = await freePorts(1)
  const served = textsOf(selfMadeCertificate(scratchDirectory()))
  let install: Install = () => {}
  const http = createServer((request, response) => response.setHeader('connection', 'close').end(request.socket.remoteAddress))
  const listener = new HttpsListener(http, { https: { host: '0.0.0.0', port, proxyProtocolFrom, publicPort: port } as never, certificates: { served: () => served, use: (_name, given) => { install = given } }, backlog: 16 })
  await listener.listen()
  onTestFinished(() => {
    listener.close()
    listener.closeAllConnections()
  })
  return { port, install: async pair => await install(pair) }
}

async function open (host: string, port: number, localPort: number): Promise<Socket> {
  const socket = connect({ host, port, localAddress: '127.0.0.1', localPort })
  onTestFinished(() => { socket.destroy() })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

/** What is answered after the handshake, which comes behind what was written already. */
async function askedAs (tcp: Socket): Promise<string> {
  const socket = connectTls({ socket: tcp, rejectUnauthorized: false }, () => socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
  let text = ''
  await new Promise<void>((resolve, reject) => socket.on('data', (chunk: Buffer) => { text += chunk.toString() }).once('close', () => resolve()).once('error', reject))
  return /192\.0\.2\.\d/.exec(text)?.[0] ?? text
}

test('a proxy that comes from one port to two of our addresses brings two clients, and neither is taken for the other', async () => {
  const { port } = await startListener(['127.0.0.1/32'])
  const [localPort = 0] = await freePorts(1)
  const [one, other] = [await open('127.0.0.1', port, localPort), await open('127.0.0.2', port, localPort)]
  one.write('PROXY TCP4 192.0.2.1 127.0.0.1 1111 443\r\n')
  other.write('PROXY TCP4 192.0.2.2 127.0.0.2 2222 443\r\n')
  expect(await askedAs(other)).toBe('192.0.2.2')
  expect(await askedAs(one)).toBe('192.0.2.1')
})

test('a certificate that TLS does not take is refused every time, and before anybody is to serve it', async () => {
  const { install } = await startListener([])
  const directory = scratchDirectory()
  const files = { cert: `${directory}/cert.pem`, key: `${directory}/key.pem` }
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-subj', '/CN=weak.example', '-days', '2', '-out', files.cert, '-keyout', files.key], { stdio: 'ignore' })
  const weak = textsOf(files)
  await expect(install(weak)).rejects.toThrow('too small')
  await expect(install(weak)).rejects.toThrow('too small')
  expect(problemOf(weak)).toBe('TLS does not take it: ee key too small')
})
