/** The server's end of a WebSocket, as a client of ws and one that speaks TCP see it. */
import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { FrameError } from '../../../src/http/client-frames.ts'
import { FramedSocket } from '../../../src/http/framed-socket.ts'
import { until } from '../../kit/files.ts'

let server: WebSocketServer
beforeAll(async () => {
  server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, clientTracking: false, maxFragments: 256, maxPayload: 1000, WebSocket: FramedSocket as never })
  await once(server, 'listening')
})
afterAll(() => { server.close() })
afterEach(() => { vi.useRealTimers() })

const port = (): number => (server.address() as AddressInfo).port
const MASK = [0, 0, 0, 0]

type Heard = { ours: FramedSocket, there: Socket, messages: string[], closed: number[], refused: number[] }
/** What the next socket hears, from its first byte on. */
async function accepted (): Promise<Heard> {
  return await new Promise(resolve => server.once('connection', (ws, request) => {
    const ours = ws as unknown as FramedSocket
    const heard: Heard = { ours, there: request.socket, messages: [], closed: [], refused: [] }
    ours.on('message', data => { heard.messages.push(String(data)) })
    ours.on('close', code => { heard.closed.push(code) })
    ours.on('error', error => { heard.refused.push((error as FrameError).closeCode) })
    resolve(heard)
  }))
}

async function withClient (): Promise<Heard & { client: WebSocket, closedThere: Promise<number> }> {
  const client = new WebSocket(`ws://127.0.0.1:${port()}`)
  const closedThere = new Promise<number>((resolve, reject) => client.on('close', resolve).on('error', reject))
  const [heard] = await Promise.all([accepted(), once(client, 'open')])
  return { ...heard, client, closedThere }
}

/** Bytes behind the handshake, in the same segment with it. */
async function withBytes (bytes: readonly number[]): Promise<Heard & { tcp: Socket, read: () => Buffer }> {
  const chunks: Buffer[] = []
  const tcp = connect(port(), '127.0.0.1').on('data', (chunk: Buffer) => chunks.push(chunk))
  tcp.write(Buffer.concat([Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHVybnBpa2UtYmVuY2gtMQ==\r\n\r\n'), Buffer.from(bytes)]))
  const heard = await accepted()
  await until('the handshake', () => Buffer.concat(chunks).includes('\r\n\r\n'))
  const head = Buffer.concat(chunks).indexOf('\r\n\r\n') + 4
  return { ...heard, tcp, read: () => Buffer.concat(chunks).subarray(head) }
}

test('the client closes: its code is heard and sent back', async () => {
  const { client, messages, closed, closedThere } = await withClient()
  client.send('one')
  client.close(4567, 'why')
  expect(await closedThere).toBe(4567)
  await until('closed here', () => closed.length > 0)
  expect([messages, closed]).toEqual([['one'], [4567]])
})

test('a close without a code is heard as 1005, a lost connection as 1006', async () => {
  const one = await withClient()
  one.client.close()
  expect(await one.closedThere).toBe(1005)
  const other = await withClient()
  other.client.terminate()
  await until('both are closed here', () => one.closed.length + other.closed.length === 2)
  expect([one.closed, other.closed]).toEqual([[1005], [1006]])
})

test('we close: what comes until the client agrees is heard, and its code too', async () => {
  const { ours, client, messages, closed, closedThere } = await withClient()
  client.pause()
  ours.close(4200, 'x'.repeat(124))
  client.send('on its way')
  client.resume()
  expect(await closedThere).toBe(4200)
  await until('closed here', () => closed.length > 0)
  expect([messages, closed]).toEqual([['on its way'], [4200]])
  // Nothing more can be done to it.
  ours.ping()
  ours.close(1000)
  ours.terminate()
  expect(closed).toEqual([4200])
})

test('frames that come with the handshake are heard, and a ping is answered', async () => {
  const { tcp, messages, read } = await withBytes([0x81, 0x82, ...MASK, 0x68, 0x69, 0x89, 0x81, ...MASK, 0x21])
  await until('the pong', () => read().length >= 3)
  expect([...read()]).toEqual([0x8A, 1, 0x21])
  expect(messages).toEqual(['hi'])
  tcp.destroy()
})

test('what is no frame is refused with a code, which is told here too, and nothing behind it is heard; the connection ends', async () => {
  const TEXT = [0x81, 0x81, ...MASK, 0x61]
  const fragments = [0x01, 0x80, ...MASK, ...Array.from({ length: 256 }, () => [0x00, 0x80, ...MASK]).flat()]
  for (const [bytes, code] of [[[0x81, 0x01, 0x61], 1002], [[0x81, 0x81, ...MASK, 0xFF], 1007], [fragments, 1008], [[0x81, 0xFE, 0x03, 0xE9, ...MASK], 1009]] as const) {
    const { tcp, messages, closed, refused, read } = await withBytes([...TEXT, ...bytes, ...TEXT])
    await until('the end', () => tcp.readableEnded)
    expect([...read()]).toEqual([0x88, 2, code >> 8, code & 255])
    expect([messages, refused]).toEqual([['a'], [code]])
    tcp.end()
    await until('closed here', () => closed.length > 0)
    expect(closed).toEqual([code])
  }
})

test('a client that ends its side without a word is gone', async () => {
  const { tcp, closed } = await withBytes([])
  tcp.end()
  await until('closed here', () => closed.length > 0)
  expect(closed).toEqual([1006])
})

test('a client that pings and does not read is not kept pongs for', async () => {
  const { ours, tcp, there } = await withBytes([])
  tcp.pause()
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from([0x89, 0xFD, ...MASK, ...Buffer.alloc(125)])))
  let [heard, kept] = [0, 0]
  ours.on('ping', () => {
    heard++
    kept = Math.max(kept, there.writableLength)
  })
  for (let i = 0; i < 100; i++) await new Promise(resolve => { tcp.write(pings, resolve) })
  await until('all are read', () => heard === 100_000)
  expect(kept).toBeGreaterThan(60_000)
  expect(kept).toBeLessThan(70_000)
  tcp.destroy()
})

test('a client that never agrees to a close is cut off', async () => {
  const { ours, tcp, closed } = await withBytes([])
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  ours.close(4100, 'enough')
  vi.advanceTimersByTime(29_999)
  expect(tcp.destroyed).toBe(false)
  vi.advanceTimersByTime(1)
  vi.useRealTimers()
  await until('the end', () => tcp.readableEnded)
  await until('closed here', () => closed.length > 0)
  expect(closed).toEqual([1006])
  tcp.destroy()
})
