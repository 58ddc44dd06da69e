/** Signals delivered a second in rooms of two, against a plain ws server on the same frames, as a ratio in one run. */
import type WebSocket from 'ws'
import { median, report, startServer } from './processes.ts'
import { connectPeer, type Server } from './signaling-peers.ts'

const ROOMS = 100
const ROUNDS = 7
const ROUND_MS = 1500
/** Frames that each sender keeps on their way. */
const IN_FLIGHT = 8

/** Closed loop: what arrives is answered by the next frame. */
async function deliveredPerSecond (pairs: [WebSocket, WebSocket][], bytes: number, withCid: boolean): Promise<number> {
  const data = { description: { type: 'offer', sdp: 'v=0\r\n'.repeat(Math.ceil((bytes - 60) / 7)) } }
  let delivered = 0
  let running = true
  let cid = 0
  const frame = (to: string): string => JSON.stringify(withCid ? { type: 'signal', cid: ++cid, to, data } : { type: 'signal', to, data })
  const ready = withCid ? null : { p0: frame('p0'), p1: frame('p1') }
  const send = (socket: WebSocket, to: 'p0' | 'p1'): void => socket.send(ready?.[to] ?? frame(to))
  for (const [one, other] of pairs) {
    for (const [socket, to] of [[one, 'p1'], [other, 'p0']] as const) {
      socket.removeAllListeners('message')
      socket.on('message', (text: Buffer) => {
        // 's' of signal; an 'accepted' is read and not counted.
        if (text[9] !== 115) return
        delivered++
        if (running) send(socket, to)
      })
    }
  }
  for (const [one, other] of pairs) {
    for (let i = 0; i < IN_FLIGHT / 2; i++) {
      send(one, 'p1')
      send(other, 'p0')
    }
  }
  await new Promise(resolve => setTimeout(resolve, ROUND_MS))
  running = false
  const rate = delivered / (ROUND_MS / 1000)
  await new Promise(resolve => setTimeout(resolve, 200))
  return rate
}

async function connectPairs (server: Server, isOurs: boolean): Promise<[WebSocket, WebSocket][]> {
  const pairs: [WebSocket, WebSocket][] = []
  for (let room = 0; room < ROOMS; room++) pairs.push([await connectPeer(server, room * 2, isOurs), await connectPeer(server, room * 2 + 1, isOurs)])
  return pairs
}

const [ours, plain] = [await startServer('bench/signaling-server.ts', ['ours', String(ROOMS * 2)]), await startServer('bench/signaling-server.ts', ['plain', String(ROOMS * 2)])]
const [oursPairs, plainPairs] = [await connectPairs(JSON.parse(ours.line) as Server, true), await connectPairs(JSON.parse(plain.line) as Server, false)]
for (const bytes of [300, 2000]) {
  for (const withCid of [false, true]) {
    await deliveredPerSecond(oursPairs, bytes, withCid)
    await deliveredPerSecond(plainPairs, bytes, withCid)
    const rounds: { ours: number, plain: number }[] = []
    for (let i = 0; i < ROUNDS; i++) rounds.push({ ours: await deliveredPerSecond(oursPairs, bytes, withCid), plain: await deliveredPerSecond(plainPairs, bytes, withCid) })
    report(`signals in rooms of 2, ${bytes} B${withCid ? ', each accepted' : ''} ÷ plain ws`, rounds.map(round => round.ours / round.plain), '≥ 1.0')
    process.stdout.write(`  ${Math.round(median(rounds.map(round => round.ours)))} and ${Math.round(median(rounds.map(round => round.plain)))} delivered a second\n`)
  }
}
process.exit(0)
