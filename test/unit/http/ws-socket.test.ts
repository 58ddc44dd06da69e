/** What signaling sends over a WebSocket, as a client of ws reads it. */
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { FramedSocket } from '../../../src/http/framed-socket.ts'
import { WsSocket } from '../../../src/http/ws-socket.ts'

let server: WebSocketServer
beforeAll(async () => {
  server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, clientTracking: false, maxFragments: 256, WebSocket: FramedSocket as never })
  await once(server, 'listening')
})
afterAll(() => { server.close() })

/** A socket of ours, what its client has read, and its close code. */
async function connected (): Promise<{ socket: WsSocket, ws: WebSocket, tcp: Socket, client: WebSocket, read: string[], closed: Promise<number> }> {
  const accepted = once(server, 'connection')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const read: string[] = []
  client.on('message', (data: Buffer) => read.push(data.toString('utf8')))
  const closed = new Promise<number>((resolve, reject) => client.on('close', resolve).on('error', reject))
  const [[ws, request]] = await Promise.all([accepted as Promise<[WebSocket, { socket: Socket }]>, once(client, 'open')])
  return { socket: new WsSocket(ws, request.socket), ws, tcp: request.socket, client, read, closed }
}

test('frames of any length and in any script arrive whole and in their order, urgent or not, with pings between them', async () => {
  const length = fc.oneof(fc.nat(300), fc.constantFrom(0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 200_000))
  const unit = fc.constantFrom('a', '\u0000', '\u007f', '\u0080', 'é', 'ÿ', '→', '日', '😀')
  const frame = fc.record({ text: fc.tuple(unit, length).map(([one, times]) => one.repeat(times)), isUrgent: fc.boolean(), after: fc.constantFrom('nothing', 'nothing', 'a microtask', 'a turn', 'a ping') })
  const { socket, client, read, closed } = await connected()
  await fc.assert(fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 12 }), async frames => {
    read.length = 0
    for (const { text, isUrgent, after } of frames) {
      socket.send(text, isUrgent)
      if (after === 'a microtask') await null
      if (after === 'a turn') await new Promise(setImmediate)
      if (after === 'a ping') socket.ping()
    }
    while (read.length < frames.length) await once(client, 'message')
    expect(read).toEqual(frames.map(({ text }) => text))
  }), { numRuns: 60 })
  socket.close(4001, 'enough')
  expect(await closed).toBe(4001)
})

test('what was sent before a close arrives before it, and nothing after it', async () => {
  const { socket, read, closed } = await connected()
  socket.send('one', false)
  socket.send('two', true)
  expect(socket.bufferedBytes()).toBe(10)
  socket.close(4008, 'so')
  socket.send('three', true)
  expect(await closed).toBe(4008)
  expect(read).toEqual(['one', 'two'])
})

test('a client that leaves is not sent what still waits behind the end of its socket', async () => {
  const { socket, ws, tcp, client, closed } = await connected()
  const before = tcp.bytesWritten
  const errors: Error[] = []
  tcp.on('error', error => errors.push(error))
  ws.on('message', () => socket.send('what waits when the close is read', false))
  // Both in one piece: they are read in the same turn.
  const ended = new Promise(resolve => ws.on('close', resolve))
  tcpOf(client).cork()
  client.send('hello')
  client.close(1000)
  tcpOf(client).uncork()
  await ended
  expect(await closed).toBe(1000)
  expect(errors).toEqual([])
  // The answer to the close and nothing else.
  expect(tcp.bytesWritten - before).toBe(4)
})

function tcpOf (client: WebSocket): Socket {
  return (client as unknown as { _socket: Socket })._socket
}
