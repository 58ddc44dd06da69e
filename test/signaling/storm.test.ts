/** Many who come at the same moment, as after a restart: none is turned away by the kernel before the server has seen it, and those who are there hear of them in few frames. */
import { readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../../src/protocol/frames.ts'
import { startApp } from '../kit/app.ts'
import { whenDone } from '../kit/cleanup.ts'
import { watchStream } from '../kit/event-stream.ts'
import { freePorts, until } from '../kit/files.ts'
import { connect, type Peer } from '../kit/peer.ts'
import { Server } from '../kit/server.ts'

const PEERS = 1000
/** States in /proc/net/tcp (include/net/tcp_states.h of Linux). */
const [ESTABLISHED, SYN_SENT] = ['01', '02']

/** How many connections to that port are in each state. */
function states (port: number): Record<string, number> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const counts: Record<string, number> = {}
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, , remote = '', state = ''] = line.trim().split(/\s+/)
    if (remote.endsWith(`:${hex}`)) counts[state] = (counts[state] ?? 0) + 1
  }
  return counts
}

test.each(['HTTP', 'gRPC'])(`${PEERS} connections at once over %s all wait for the server; none has to knock again a second later`, async door => {
  const [grpcPort = 0] = await freePorts(1)
  const app = await startApp({ TURNPIKE_GRPC_PORT: String(grpcPort) }, { programPath: [] })
  const port = door === 'gRPC' ? grpcPort : Number(new URL(app.url()).port)
  // All within one turn of the event loop: the server, which is in this process, has taken none of them yet.
  for (let i = 0; i < PEERS; i++) {
    const socket = connectTcp(port, '127.0.0.1').on('error', () => {})
    whenDone(() => socket.destroy())
  }
  // Node.js connects in the next tick, before the event loop goes on.
  await new Promise(resolve => process.nextTick(resolve))
  const { [ESTABLISHED]: established = 0, [SYN_SENT]: knocking = 0 } = states(port)
  expect({ established, knocking }).toEqual({ established: PEERS, knocking: 0 })
})

/** TCP connections that are there already: what they are for is all that is left to do. */
async function connections (port: number, count: number): Promise<Socket[]> {
  return await Promise.all(Array.from({ length: count }, async () => await new Promise<Socket>((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => resolve(socket)).on('error', reject)
    whenDone(() => socket.destroy())
  })))
}

/** All ask to join in the same moment, and nobody looks at what comes but for its beginning. Resolves to the seconds until the last of them is in. */
async function joinAtOnce (sockets: readonly Socket[], token: string): Promise<number> {
  const requests = sockets.map((_, i) => `GET /v1/signal?peer=p${i} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}, ${TOKEN_PREFIX}${token}\r\n\r\n`)
  const began = performance.now()
  const answers = sockets.map(async (socket, i) => await new Promise<string>(resolve => {
    socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1', 0, 12)))
    socket.write(requests[i] ?? '')
  }))
  expect([...new Set(await Promise.all(answers))]).toEqual(['HTTP/1.1 101'])
  return (performance.now() - began) / 1000
}

test(`${PEERS} joins of a moment in a topic reach each of five members in a bounded number of frames, complete and right`, async () => {
  // A process of its own, and sockets that parse nothing: what is measured is how fast the server takes them, half a second where nothing else runs.
  const server = await Server.start({ TURNPIKE_SIGNALING_TOPIC_CAPACITY: '2000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000' })
  const member = async (n: number): Promise<Peer> => await connect(server, { token: await server.token('storm', { peer: `member ${n}`, kind: 'topic', role: 'subscriber' }) }) as Peer
  const members = await Promise.all([1, 2, 3, 4, 5].map(member))
  const key = { authorization: `Bearer ${server.apiKey}` }
  const watcher = await watchStream(server, '/v1/topics/storm/publishers?watch=1', key)
  const seconds = await joinAtOnce(await connections(server.port, PEERS), await server.token('storm', { peer: '*', kind: 'topic', role: 'publisher' }))
  const expected = Array.from({ length: PEERS }, (_, i) => `p${i}`).sort()
  const joinedOf = ({ frames }: Peer): { id: string, polite: boolean }[] => frames.slice(1).flatMap(frame => (frame.type === 'peer-joined' ? [frame['peer']] : frame['joined'] ?? []) as { id: string, polite: boolean }[])
  for (const peer of members) {
    await until('everybody is known', () => joinedOf(peer).length >= PEERS, 30_000)
    expect(joinedOf(peer).map(({ id }) => id).sort()).toEqual(expected)
    expect(joinedOf(peer).every(({ polite }) => polite)).toBe(true)
    expect(peer.frames.slice(1).map(({ seq }) => seq)).toEqual(peer.frames.slice(1).map((_, i) => i + 1))
    // Ten that are told at once, ten rounds a second, and the stragglers of the last round one by one. Where a machine is so busy that it is
    // no storm (eight in a round are told one by one), it is eight for each round.
    expect(peer.frames.length - 1).toBeLessThanOrEqual(20 + Math.ceil((seconds < 5 ? 10 : 80) * seconds))
  }
  await until('the stream has told of all', () => watcher.events.filter(({ type }) => type === 'added').length === PEERS, 30_000)
  const listed = await (await fetch(`${server.url()}/v1/topics/storm/publishers?limit=1000`, { headers: key })).json() as { entries: { peer: string }[] }
  expect(listed.entries.map(({ peer }) => peer)).toEqual(expected)
}, 120_000)
