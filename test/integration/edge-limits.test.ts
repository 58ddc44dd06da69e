/** How many connections the edge holds: whatever one address, or one port, holds open leaves room for everybody else. HAProxy before stand-ins. */
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Server } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'
import { whenDone } from '../kit/cleanup.ts'
import { edgePorts, startEdge, type Edge } from '../kit/edge.ts'
import { until } from '../kit/files.ts'

/** Few, so that a test can hold them all. */
const LIMITS = { EDGE_MOST_CONNECTIONS: '60', EDGE_MOST_OF_ONE_ADDRESS: '20', EDGE_MOST_HTTP_CONNECTIONS: '20', EDGE_MOST_HTTP_OF_ONE_ADDRESS: '5' }

async function startLimited (): Promise<Edge> {
  const edge = await edgePorts()
  const behind = async (server: Server, port: string | undefined): Promise<void> => {
    await new Promise<void>(resolve => server.listen(Number(port), '127.0.0.1', resolve))
    whenDone(() => { server.close() })
  }
  await behind(createServer(socket => socket.on('error', () => {}).end('no TLS')), edge.settings['TURNPIKE_HTTPS_PORT'])
  await behind(createHttpServer((_asked, response) => response.setHeader('connection', 'close').end('answered')), edge.settings['TURNPIKE_ACME_HTTP_PORT'])
  await startEdge(edge, { ...edge.settings, ...LIMITS, TURNPIKE_DOMAIN: 'meet.test' })
  return edge
}

/** Connections of these addresses that say nothing, once some of them are there: the kernel makes the last ones wait. `closed` of them are so again. */
async function hold (port: number, addresses: readonly string[]): Promise<{ closed: () => number }> {
  const counts = { open: 0, closed: 0 }
  for (const localAddress of addresses) {
    const socket = connect({ host: '127.0.0.1', port, localAddress }, () => { counts.open++ })
    socket.on('error', () => {}).on('close', () => { counts.closed++ }).resume()
    whenDone(() => { socket.destroy() })
  }
  // Who is refused at once may never have seen that it was open.
  await until('they are there', () => counts.open + counts.closed >= 30)
  return { closed: () => counts.closed }
}

/** Was a hello to the port of TLS led to what is behind, which then speaks something else? */
async function isServed (port: number, localAddress: string): Promise<boolean> {
  const socket = connectTls({ socket: connect({ host: '127.0.0.1', port, localAddress }), servername: 'meet.test' })
  whenDone(() => { socket.destroy() })
  return await new Promise(resolve => socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code?.startsWith('ERR_SSL') === true)).setTimeout(8000, () => resolve(false)))
}

test('one address that holds connections to port 80 gets few of them, and neither port is closed to others', async () => {
  const edge = await startLimited()
  const held = await hold(edge.httpPort, Array.from({ length: 80 }, () => '127.0.0.9'))
  expect(await isServed(edge.port, '127.0.0.9')).toBe(true)
  // Where the queue of the kernel is full, it asks again after 1, 3 and 7 s.
  await until('all but its five are closed', () => held.closed() >= 75, 30_000)
  expect(await (await fetch(`http://127.0.0.1:${edge.httpPort}/`)).text()).toBe('answered')
})

test('many addresses that hold port 80 together do not hold 443', async () => {
  const edge = await startLimited()
  await hold(edge.httpPort, Array.from({ length: 80 }, (_, i) => `127.0.1.${1 + i}`))
  expect(await isServed(edge.port, '127.0.0.1')).toBe(true)
})

test('one address that holds 443 leaves room for others', async () => {
  const edge = await startLimited()
  const held = await hold(edge.port, Array.from({ length: 80 }, () => '127.0.0.9'))
  await until('all but its twenty are closed', () => held.closed() >= 60)
  expect(await isServed(edge.port, '127.0.0.1')).toBe(true)
})
