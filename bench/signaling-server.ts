/**
 * The servers that the signaling benchmarks compare, one in a process, by name. Prints its port; answers `memory` with what it takes, and `tokens <rooms> <size>` with a room token for each peer (ours alone).
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { PeerServer } from 'peer'
import { Server as SocketIo } from 'socket.io'
import { WebSocketServer, type WebSocket } from 'ws'
import { startHouse } from './house.ts'

type Served = { port: number, tokens?: (rooms: number, size: number) => string[] }

/** Longer than any benchmark: nobody here answers heartbeats of other protocols. */
const NO_HEARTBEAT_MS = 3_600_000

/** As shipped, with rates that let through whatever comes. */
async function ours (): Promise<Served> {
  const { url, access } = await startHouse({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000' })
  access.projects.update('default', { dialects: ['peerjs'] })
  const tokens = (rooms: number, size: number): string[] => Array.from({ length: rooms * size }, (_, i) => access.issueRoomToken('default', { room: `r${size}-${Math.floor(i / size)}`, peer: `p${i % size}`, ttlSeconds: 3600 }, null).token)
  return { port: Number(new URL(url).port), tokens }
}

type Handler = (bytes: Buffer, self: { socket: WebSocket, name: string, room: Map<string, WebSocket> }) => void

/** /<room>/<peer> */
async function rooms (onMessage: Handler): Promise<Served> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  const all = new Map<string, Map<string, WebSocket>>()
  server.on('connection', (socket, request) => {
    const [id = '', name = ''] = (request.url ?? '').slice(1).split('/')
    const room = all.get(id) ?? new Map<string, WebSocket>()
    all.set(id, room.set(name, socket))
    socket.on('message', (bytes: Buffer) => onMessage(bytes, { socket, name, room }))
    socket.send('{"type":"welcome"}')
  })
  await new Promise(resolve => server.on('listening', resolve))
  return { port: (server.address() as AddressInfo).port }
}

/** What people write in an afternoon: parse, look the room up, stringify for the receiver. */
const plain: Handler = (bytes, { socket, name, room }) => {
  const { type, to, data, cid } = JSON.parse(bytes.toString()) as { type: string, to: string, data: unknown, cid?: number }
  if (to === '*') room.forEach(other => { if (other !== socket) other.send(JSON.stringify({ type, from: name, data })) })
  else room.get(to)?.send(JSON.stringify({ type, from: name, data }))
  if (cid !== undefined) socket.send(JSON.stringify({ type: 'accepted', ref: cid }))
}

/** ws and nothing else: what comes goes to the other as it came. */
const bare: Handler = (bytes, { socket, room }) => room.forEach(other => { if (other !== socket) other.send(bytes, { binary: false }) })

async function socketIo (): Promise<Served> {
  const http = createServer()
  const server = new SocketIo(http, { transports: ['websocket'], pingInterval: NO_HEARTBEAT_MS })
  server.on('connection', async socket => {
    const { room = '', peer } = socket.handshake.query
    await socket.join(room)
    socket.on('signal', ({ data }: { data: unknown }) => socket.to(room).emit('signal', { from: peer, data }))
  })
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  return { port: (http.address() as AddressInfo).port }
}

async function peerServer (): Promise<Served> {
  return await new Promise(resolve => {
    PeerServer({ host: '127.0.0.1', port: 0, path: '/', alive_timeout: NO_HEARTBEAT_MS, concurrent_limit: 100_000 }, server => resolve({ port: (server.address() as AddressInfo).port }))
  })
}

const SERVERS: Record<string, () => Promise<Served>> = { ours, plain: async () => await rooms(plain), bare: async () => await rooms(bare), 'socket.io': socketIo, peer: peerServer }

const { port, tokens } = await SERVERS[process.argv[2] ?? '']?.() ?? { port: 0 }
process.stdout.write(`${JSON.stringify({ port })}\n`)
createInterface({ input: process.stdin }).on('line', line => {
  const [asked, ...numbers] = line.split(' ')
  const [count = 0, size = 0] = numbers.map(Number)
  // One collection leaves what the one before has moved.
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  process.stdout.write(`${JSON.stringify(asked === 'tokens' ? tokens?.(count, size) : process.memoryUsage())}\n`)
})
