/** The two servers that the signaling benchmarks compare: ours as shipped, and plain ws with JSON.parse and JSON.stringify. */
import { createInterface } from 'node:readline'
import { WebSocketServer, type WebSocket } from 'ws'
import { startHouse } from './house.ts'

/** Prints its address and tokens for as many peers as are asked for, two in each room. */
async function ours (peers: number): Promise<object> {
  const { url, access } = await startHouse({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000' })
  const tokens = Array.from({ length: peers }, (_, i) => access.issueRoomToken('default', { room: `r${i >> 1}`, peer: `p${i & 1}`, ttlSeconds: 3600 }, null).token)
  return { url: `${url.replace('http://localhost', 'ws://127.0.0.1')}/v1/signal`, tokens }
}

/** What people write in an afternoon: parse, look the room up, stringify for the receiver. */
async function plain (peers: number): Promise<object> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  const rooms = new Map<string, Map<string, WebSocket>>()
  server.on('connection', (socket, request) => {
    const [room = '', peer = ''] = (request.url ?? '').slice(2).split('/')
    const members = rooms.get(room) ?? new Map<string, WebSocket>()
    rooms.set(room, members.set(peer, socket))
    socket.on('message', (bytes: Buffer) => {
      const { type, to, data, cid } = JSON.parse(bytes.toString()) as { type: string, to: string, data: unknown, cid?: number }
      members.get(to)?.send(JSON.stringify({ type, from: peer, data }))
      if (cid !== undefined) socket.send(JSON.stringify({ type: 'accepted', ref: cid }))
    })
    socket.send('{"type":"welcome"}')
  })
  await new Promise(resolve => server.on('listening', resolve))
  return { url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`, tokens: Array.from({ length: peers }, (_, i) => `r${i >> 1}/p${i & 1}`) }
}

const [, , kind, peers = '0'] = process.argv
process.stdout.write(`${JSON.stringify(await (kind === 'ours' ? ours(Number(peers)) : plain(Number(peers))))}\n`)
createInterface({ input: process.stdin }).on('line', () => {
  globalThis.gc?.()
  process.stdout.write(`${process.memoryUsage().rss}\n`)
})
