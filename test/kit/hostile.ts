/**
 * Clients that nobody wants, in a process of their own so that they take no time from who measures. They are told what to do by
 * one argument (`Plan`, as JSON), say `ready` when all are there, and go on until they are ended.
 */
import { connect } from 'node:net'
import WebSocket from 'ws'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../../src/protocol/frames.ts'
import { frameOf, openRaw, OPCODE, repeated } from './raw-socket.ts'

/** How many of each. */
export type Plan = {
  port: number
  /** Tokens that leave it to the client which peer it is, one for each room; they are used in turn. */
  tokens: string[]
  /** Read nothing: what they are sent fills every buffer. */
  unread: number
  /** Read, and never acknowledge. */
  silent: number
  /** Send what makes no sense, so often in a second. */
  garbage: number
  garbagePerSecond: number
  /** Send signals far above the rate, so often in a second. */
  flooders: number
  floodPerSecond: number
  /** Of each kind of torrent: write as fast as the server takes it, hear nothing, and never say goodbye. */
  torrents: number
  /** Say half a request and wait. */
  halfOpen: number
  /** Behave, and send so many bytes to everybody in their room, so often in a second. One for each room, where there is any. */
  feedBytes: number
  feedsPerSecond: number
}

const GARBAGE = ['{"type":"nonsense"}', '{"type":"signal","to":5,"data":1}', '{"type":"signal","cid":-1,"to":"*","data":1}', '{"type":"ack","seq":999999999}', '{"type":"update","metadata":[]}', `{"type":"signal","to":"${'x'.repeat(3000)}","data":1}`, '{"type":"leave", nonsense', '[]']
/** Whatever of a client costs a server something: what it says, what it says wrong, what is no word at all, and what comes behind an end. */
const TORRENTS: Readonly<Record<string, Buffer>> = {
  signals: repeated([frameOf(OPCODE.text, '{"type":"signal","to":"*","data":0}')], 65_536),
  errors: repeated(GARBAGE.slice(0, 6).map(text => frameOf(OPCODE.text, text)), 65_536),
  refused: repeated([frameOf(OPCODE.text, '[]')], 65_536),
  farewells: Buffer.concat([frameOf(OPCODE.close), repeated([frameOf(OPCODE.text, '{}')], 65_536)]),
  pings: repeated([frameOf(OPCODE.ping)], 65_536),
  pongs: repeated([frameOf(OPCODE.pong)], 65_536),
  pieces: Buffer.concat([frameOf(OPCODE.text, '{', false), repeated([frameOf(OPCODE.more, '', false)], 65_536)]),
}
const plan = JSON.parse(process.argv[2] ?? '{}') as Plan
let peers = 0

/** Joins, and joins again a little later whenever it is thrown out. */
function join (token: string, begin: (socket: WebSocket) => void): Promise<void> {
  const name = `hostile-${peers++}`
  return new Promise(resolve => {
    const open = (): void => {
      const socket = new WebSocket(`ws://127.0.0.1:${plan.port}/v1/signal?ack=0&peer=${name}-${peers++}`, [SUBPROTOCOL, TOKEN_PREFIX + token], { perMessageDeflate: false })
      socket.on('error', () => {})
      socket.on('open', () => begin(socket))
      socket.once('message', () => resolve())
      socket.on('close', () => setTimeout(open, 500))
    }
    open()
  })
}

function often (perSecond: number, socket: WebSocket, text: () => string): void {
  const atOnce = Math.ceil(perSecond / 100)
  const timer = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return clearInterval(timer)
    for (let i = 0; i < atOnce && socket.bufferedAmount < 1_000_000; i++) socket.send(text())
  }, 1000 * atOnce / perSecond)
}

async function pour (token: string, torrent: Buffer): Promise<void> {
  const socket = await openRaw(plan.port, token, `?peer=torrent-${peers++}`).catch(() => null)
  const write = (): void => { while (socket?.destroyed === false && socket.write(torrent)); }
  const again = (): void => { setTimeout(() => { pour(token, torrent).catch(() => {}) }, 500) }
  if (socket === null) return again()
  socket.on('drain', write).on('close', again).resume()
  write()
}

const any = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T
const all = async (count: number, begin: (socket: WebSocket) => void): Promise<void> => {
  // So many at once, because a thousand handshakes in a moment are an attack of another kind.
  for (let done = 0; done < count; done += 50) await Promise.all(Array.from({ length: Math.min(50, count - done) }, (_, i) => join(plan.tokens[(done + i) % plan.tokens.length] ?? '', begin)))
}

await all(plan.unread, socket => { socket.once('message', () => socket.pause()) })
await all(plan.silent, () => {})
await all(plan.garbage, socket => often(plan.garbagePerSecond, socket, () => any(GARBAGE)))
await all(plan.flooders, socket => often(plan.floodPerSecond, socket, () => '{"type":"signal","to":"*","data":0}'))
for (const torrent of Object.values(TORRENTS)) await Promise.all(Array.from({ length: plan.torrents }, (_, i) => pour(plan.tokens[i % plan.tokens.length] ?? '', torrent)))
for (let i = 0; i < plan.halfOpen; i++) connect(plan.port, '127.0.0.1').on('error', () => {}).write('GET /v1/signal HTTP/1.1\r\nHost: localhost\r\nUpgrade: webso')
if (plan.feedsPerSecond > 0) {
  const frame = JSON.stringify({ type: 'signal', to: '*', data: '.'.repeat(plan.feedBytes) })
  await Promise.all(plan.tokens.map(token => join(token, socket => often(plan.feedsPerSecond, socket, () => frame))))
}
process.stdout.write('ready\n')
