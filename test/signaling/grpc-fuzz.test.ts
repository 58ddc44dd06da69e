/**
 * Messages over gRPC that nobody meant, and bytes that are no messages: every answer is a documented one, nobody else notices, and
 * nothing stays in memory. FUZZ_FRAMES says how many (a million: FUZZ_FRAMES=1000000), FUZZ_SEED which.
 */
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/protocol/errors.ts'
import { until } from '../kit/files.ts'
import { dial, startGrpcApp, type GrpcApp, type GrpcPeer } from '../kit/grpc.ts'
import { heapInUse } from '../kit/memory.ts'
import { joinAs, tokenFor } from '../kit/peer.ts'
import { randomFrom } from '../kit/random.ts'

const FRAMES = Number(process.env['FUZZ_FRAMES'] ?? 8000)
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
const BATCH = 100
const IDS = ['ann', 'bob', 'c"ä', '__proto__']
const TARGETS = [...IDS, ...IDS, 'native', 'absent', '', '*', 'a/b', '\u0000', 'x'.repeat(300)]
const TEXTS = ['v=0\r\n', '{"type":"offer","sdp":"v=0"}', '{"type":"answer","sdp":5}', 'candidate:1 1 UDP 1 10.0.0.1 1 typ host', '{"candidate":"candidate:1","sdpMid":"0"}', '{"candidate":null}', '{}', 'null', '', '['.repeat(5000), '\ud800', 'z'.repeat(30_000)]
const EVENTS_HEARD = new Set(['OFFER', 'ANSWER', 'ACCEPT_ANSWER', 'ICE_CANDIDATE', 'PING', 'WELCOME', 'PEER_JOINED', 'PEER_LEFT', 'ICE_SERVERS', 'ERROR'])
const CODES = new Set(['frame-invalid', 'frame-unknown', 'peer-unavailable', 'dialect-mismatch', 'frame-too-large'])

type Random = (below: number) => number
const oneOf = <T>(random: Random, values: readonly T[]): T => values[random(values.length)] as T

/** One field on the wire, whatever it means. */
function field (random: Random): Buffer {
  const number = oneOf(random, [1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 15])
  if (number === 2) return Buffer.from([0x10, random(30) === 0 ? random(128) : random(7)])
  const bytes = number === 1 ? Buffer.from(oneOf(random, TARGETS)) : random(4) === 0 ? Buffer.from(Array.from({ length: random(40) }, () => random(256))) : Buffer.from(oneOf(random, TEXTS))
  const length = bytes.length < 128 ? [bytes.length] : bytes.length < 16_384 ? [bytes.length & 127 | 128, bytes.length >> 7] : [bytes.length & 127 | 128, bytes.length >> 7 & 127 | 128, bytes.length >> 14]
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), bytes])
}

function message (random: Random): Buffer {
  const bytes = Buffer.concat(Array.from({ length: random(6) }, () => field(random)))
  if (random(6) > 0 || bytes.length === 0) return bytes
  for (let changes = random(4); changes >= 0; changes--) bytes[random(bytes.length)] = random(256)
  return random(3) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

async function settle (peer: GrpcPeer): Promise<void> {
  const mark = `mark ${performance.now()}`
  peer.say({ event: 'PING', message: mark })
  await until('an answer to a ping', () => peer.ended !== null || peer.messages.some(({ event, message }) => event === 'PING' && message.toString() === mark), 30_000)
}

/** What is no gRPC at all, over HTTP/2 and beneath it. */
async function nonsense (app: GrpcApp, random: Random, token: string): Promise<void> {
  const tcp = connectTcp(app.grpcPort, '127.0.0.1')
  tcp.on('error', () => {})
  const start = random(2) === 0 ? Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') : Buffer.alloc(0)
  tcp.end(Buffer.concat([start, Buffer.from(Array.from({ length: 100 }, () => random(256)))]))
  const session = connectHttp2(`http://127.0.0.1:${app.grpcPort}`)
  session.on('error', () => {})
  await Promise.all(Array.from({ length: 20 }, () => new Promise<void>(resolve => {
    const stream = session.request({
      ':method': oneOf(random, ['POST', 'POST', 'GET']),
      ':path': oneOf(random, ['/turnpike.v1.Signaling/Negotiate', '/turnpike.v1.Signaling/Negotiate', '/x', '/']),
      'content-type': oneOf(random, ['application/grpc', 'application/grpc', 'text/plain']),
      'grpc-encoding': oneOf(random, ['gzip', 'identity', 'deflate', 'x']),
      'grpc-timeout': oneOf(random, ['1S', '99999999H', 'x', '200m']),
      ...(random(2) === 0 ? { authorization: `Bearer ${token}` } : {}),
    })
    stream.on('error', () => {}).on('close', resolve).resume()
    const body = oneOf(random, [message(random), gzipSync(Buffer.alloc(1_000_000)), gzipSync(message(random)), Buffer.from([1, 2, 3])])
    const head = Buffer.from([random(3), 0, 0, 0, 0])
    head.writeUInt32BE(random(4) === 0 ? random(2 ** 32) : body.length, 1)
    stream.end(Buffer.concat([head, body]))
    setTimeout(() => stream.close(), 3000).unref()
  })))
  session.close()
  tcp.destroy()
}

test(`messages of any kind (seed ${SEED}): every answer is documented, nobody else notices, nothing is kept`, { timeout: 60_000 + FRAMES * 10 }, async () => {
  const app = await startGrpcApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000', TURNPIKE_SIGNALING_MAILBOX_SECONDS: '0' })
  const random = randomFrom(SEED)
  const problems: unknown[] = []
  const heard = new Set<string>()
  let welcomes = 0
  const join = async (id: string): Promise<GrpcPeer> => {
    const peer = await dial(app, { token: await tokenFor(app, 'fuzzed', { peer: id, takeover: true }) })
    peer.call.on('data', ({ event, peer: from, error }: { event: string, peer: string, error: { code: string } | null }) => {
      heard.add(error?.code ?? event)
      const isFrom = event === 'ERROR' || event === 'PING' || event === 'ICE_SERVERS' || from === 'native' || IDS.includes(from)
      if (!EVENTS_HEARD.has(event) || !isFrom || (error !== null && (!CODES.has(error.code) || !Object.hasOwn(ERRORS, error.code)))) problems.push({ event, from, error })
    })
    await peer.next('WELCOME')
    welcomes++
    return peer
  }
  const native = await joinAs(app, 'fuzzed', 'native')
  const [quiet, witness] = [await joinAs(app, 'quiet', 'a'), await joinAs(app, 'quiet', 'b')]
  const peers = new Map<string, GrpcPeer>()
  for (const id of IDS) peers.set(id, await join(id))
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += BATCH) {
      const id = oneOf(random, IDS)
      let peer = peers.get(id) as GrpcPeer
      if (peer.ended !== null) peers.set(id, peer = await join(id))
      for (let j = 0; j < BATCH; j++) peer.call.write(message(random))
      if (random(60) === 0) peer.call.write(Buffer.alloc(70_000))
      if (random(60) === 0) peer.call.cancel()
      await settle(peer)
      quiet.send({ type: 'signal', to: 'b', data: i })
      for (const each of peers.values()) each.messages.length = 0
      native.frames.length = native.texts.length = 0
    }
    await nonsense(app, random, await tokenFor(app, 'nonsense', { peer: '*' }))
  }
  await send(FRAMES / 2)
  const before = heapInUse()
  await send(FRAMES / 2)
  expect(problems, `seed ${SEED}`).toEqual([])
  expect(heapInUse() - before, `seed ${SEED}`).toBeLessThan(30_000_000)
  await until('the others have had everything', () => witness.frames.filter(({ type }) => type === 'signal').length === Math.ceil(FRAMES / BATCH))
  expect(native.closed).toBeNull()
  expect([...heard].filter(name => name === 'OFFER' || name === 'frame-invalid' || name === 'peer-unavailable' || name === 'dialect-mismatch').length).toBe(4)
  expect(welcomes).toBeGreaterThanOrEqual(IDS.length)
})
