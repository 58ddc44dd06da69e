/** The edge with real programs: HAProxy with the configuration of the compose file before our HTTPS and a real coturn. Who is led where, and who is cut. */
import { createServer } from 'node:http'
import { request } from 'node:https'
import { connect as openTcp } from 'node:net'
import { connect } from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../../src/protocol/frames.ts'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { edgePorts, startEdge, tlsTunnel, untilClosed, type Edge } from '../kit/edge.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { ask, untilPhase } from '../kit/operations.ts'
import { tokenFor } from '../kit/peer.ts'
import { issue, liveAllocations } from '../kit/turn.ts'

cleanUpAfterFile()
const DOMAIN = 'meet.test'
let app: TestApp
let edge: Edge

beforeAll(async () => {
  const { cert, key } = selfMadeCertificate(scratchDirectory(), [`DNS:${DOMAIN}`, `DNS:turn.${DOMAIN}`])
  edge = await edgePorts()
  app = await startApp({ ...edge.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key, TURNPIKE_RELAY_HAND_OVER_SECONDS: '3', TURNPIKE_SIGNALING_SOCKETS_PER_ADDRESS: '1' })
  await startEdge(edge, app.env)
}, 60_000)

type Relayed = { clients: TurnClient[], send (): Promise<void> }

/** Two allocations by plain TCP to this port that relay to each other. */
async function relayThrough (port: number): Promise<Relayed> {
  const { username, credential } = await issue(app)
  const open = async () => {
    const client = await TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port, timeoutMs: 4000 })
    whenDone(async () => { await client.close().catch(() => {}) })
    const outcome = await client.allocate({ username, password: credential })
    if (isRefusal(outcome)) throw new Error(`${outcome.code}`)
    await client.createPermission('127.0.0.1')
    return { client, relayed: outcome.relayed }
  }
  const [one, other] = [await open(), await open()]
  let received = 0
  other.client.onData((_from, data) => { received += data.length })
  return {
    clients: [one.client, other.client],
    send: async () => {
      const before = received
      one.client.send(other.relayed, Buffer.alloc(1000))
      await until('it arrives', () => received === before + 1000)
    },
  }
}

/** What is answered through the edge to whoever says this in its hello. */
async function statusFor (hello: { servername?: string, ALPNProtocols?: string[] }): Promise<number | undefined> {
  const tcp = openTcp({ host: '127.0.0.1', port: edge.port })
  const socket = connect({ socket: tcp, rejectUnauthorized: false, ...hello })
  whenDone(() => { socket.destroy() })
  return await new Promise((resolve, reject) => {
    for (const one of [tcp, socket]) one.once('error', reject).once('close', () => reject(new Error('closed')))
    request({ createConnection: () => socket, host: DOMAIN, path: '/healthz' }, response => resolve(response.statusCode)).once('error', reject).end()
  })
}

test('URLs lead to the edge first, and the summary names its ports and not ours', async () => {
  const { iceServers } = await issue(app)
  const urls = iceServers.flatMap(server => server.urls).filter(url => url.startsWith('turns:'))
  expect(urls).toEqual([`turns:turn.${DOMAIN}:${edge.port}?transport=tcp`, `turns:turn.${DOMAIN}:${app.env['TURNPIKE_RELAY_TLS_PORT']}?transport=tcp`])
  expect(app.httpsUrl()).toBe(`https://${DOMAIN}:${edge.port}`)
  expect(app.firewall()[0]).toMatchObject({ ports: String(edge.port), what: 'API, signaling and the call page over https' })
})

test.each([
  ['the name of the relay', { servername: `turn.${DOMAIN}` }],
  ['the name of the relay in other letters', { servername: `Turn.${DOMAIN.toUpperCase()}` }],
  ['the ALPN of TURN under the name of the API', { servername: DOMAIN, ALPNProtocols: ['stun.turn'] }],
  ['the ALPN of STUN and no name', { ALPNProtocols: ['stun.nat-discovery'] }],
  ['no name and no ALPN', {}],
])('a hello with %s is led to coturn, and relays', async (_what, hello) => {
  const { send, clients } = await relayThrough(await tlsTunnel(edge.port, hello))
  await send()
  await Promise.all(clients.map(client => client.close()))
})

test('TURN without TLS is led to coturn by its first bytes', async () => {
  const { send } = await relayThrough(edge.port)
  await send()
})

test.each([
  ['a browser', { servername: DOMAIN, ALPNProtocols: ['h2', 'http/1.1'] }],
  ['a library that says no ALPN', { servername: DOMAIN }],
  ['one that was given the address', { ALPNProtocols: ['http/1.1'] }],
])('HTTPS of %s is led to us', async (_who, hello) => {
  expect(await statusFor(hello)).toBe(200)
})

test('over WSS and HTTPS limits are of the clients, not of the edge', async () => {
  const join = async (peer: string, from: string): Promise<string> => {
    const createConnection = () => connect({ socket: openTcp({ host: '127.0.0.1', port: edge.port, localAddress: from }), servername: DOMAIN, rejectUnauthorized: false })
    const socket = new WebSocket(`wss://${DOMAIN}/v1/signal`, [SUBPROTOCOL, `${TOKEN_PREFIX}${await tokenFor(app, 'lobby', { peer })}`], { createConnection })
    whenDone(() => socket.terminate())
    return await new Promise(resolve => socket.once('message', (data: Buffer) => resolve((JSON.parse(data.toString()) as { type: string }).type)).once('error', error => resolve(error.message)))
  }
  expect([await join('alice', '127.0.0.5'), await join('bob', '127.0.0.5'), await join('carol', '127.0.0.6')]).toEqual(['welcome', expect.stringContaining('429'), 'welcome'])
})

test('garbage is closed at once, and whoever speaks slowly after five seconds, while others are served', async () => {
  expect(await untilClosed(edge.port, socket => socket.write('GET / HTTP/1.1\r\n\r\n'))).toBeLessThan(3000)
  expect(await untilClosed(edge.port, socket => socket.write(Buffer.from('0001000000000000000000000000000000000000', 'hex')))).toBeLessThan(3000)
  // A hello of 512 bytes, one every 200 ms; a message of STUN, and nothing at all.
  const hello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(500)])
  const slow = Array.from({ length: 50 }, (_, i) => {
    const bytes = [hello, Buffer.from('00010000', 'hex'), Buffer.alloc(0)][i % 3] ?? hello
    let said = 0
    return untilClosed(edge.port, socket => { if (said < bytes.length) socket.write(bytes.subarray(said, ++said)) })
  })
  expect(await statusFor({ servername: DOMAIN })).toBe(200)
  for (const ms of await Promise.all(slow)) {
    expect(ms).toBeGreaterThan(4000)
    expect(ms).toBeLessThan(20_000)
  }
})

test('port 80 is led to where the questions of the authority are answered', async () => {
  const server = createServer((asked, response) => response.end(`answer to ${asked.url}`)).listen(Number(edge.settings['TURNPIKE_ACME_HTTP_PORT']), '127.0.0.1')
  whenDone(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  expect(await (await fetch(`http://127.0.0.1:${edge.httpPort}/.well-known/acme-challenge/x`)).text()).toBe('answer to /.well-known/acme-challenge/x')
})

test('while one coturn takes over from another, new calls come to the new one, and the old one keeps its own', async () => {
  const port = await tlsTunnel(edge.port, { servername: `turn.${DOMAIN}` })
  const before = await relayThrough(port)
  await before.send()
  await ask(app, 'upgrade')
  const slots = async (): Promise<string[]> => (await liveAllocations(app)).map(({ id }) => id.split('.')[1] ?? '').sort()
  await untilPhase(app, 'draining', 'alternate')
  const after = await until2('a new call comes to the new one', async () => {
    const call = await relayThrough(port).catch(() => null)
    if (call !== null && (await slots()).includes('alternate')) return call
    await Promise.all(call?.clients.map(client => client.close()) ?? [])
    return null
  })
  await Promise.all([before.send(), after.send()])
  expect(await slots()).toEqual(['alternate', 'alternate', 'main', 'main'])
})

async function until2<T> (what: string, look: () => Promise<T | null>): Promise<T> {
  let found: T | null = null
  await until(what, async () => (found = await look()) !== null, 30_000)
  if (found === null) throw new Error(what)
  return found
}
