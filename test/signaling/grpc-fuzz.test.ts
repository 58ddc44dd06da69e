/**
 * Messages over gRPC that nobody meant, and bytes that are no messages: every answer is a documented one, nobody else notices, and
 * nothing stays in memory.
 */
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/protocol/errors.ts'
import { framesOf, fuzz, soon } from '../kit/fuzz.ts'
import { dial, negotiateMethod, startGrpcApp, type GrpcApp, type GrpcPeer, type Message } from '../kit/grpc.ts'
import { joinAs, tokenFor } from '../kit/peer.ts'
import { oneOf, randomFrom, type Random } from '../kit/random.ts'

const FRAMES = 16_000
const BATCH = 100
const IDS = ['ann', 'bob', 'c"ä', '__proto__']
const TARGETS = [...IDS, ...IDS, 'native', 'absent', '', '*', 'a/b', '\u0000', 'x'.repeat(300)]
const TEXTS = ['v=0\r\n', '{"type":"offer","sdp":"v=0"}', '{"type":"answer","sdp":5}', 'candidate:1 1 UDP 1 10.0.0.1 1 typ host', '{"candidate":"candidate:1","sdpMid":"0"}', '{"candidate":null}', '{}', 'null', '', '['.repeat(5000), '\ud800', 'z'.repeat(30_000)]
const EVENTS_HEARD = new Set(['OFFER', 'ANSWER', 'ACCEPT_ANSWER', 'ICE_CANDIDATE', 'PING', 'WELCOME', 'PEER_JOINED', 'PEER_LEFT', 'ICE_SERVERS', 'ERROR'])
const CODES = new Set(['frame-invalid', 'frame-unknown', 'peer-unavailable', 'dialect-mismatch', 'frame-too-large'])

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

/** Everything that was said is processed: the answer to a ping comes behind it. */
async function settle (peer: GrpcPeer): Promise<void> {
  if (peer.ended !== null) return
  const mark = `mark ${performance.now()}`
  await soon('an answer to a ping', done => {
    const look = ({ event, message }: Message): void => { if (event === 'PING' && message.toString() === mark) either() }
    const either = (): void => {
      peer.call.off('data', look).off('status', either)
      done()
    }
    peer.call.on('data', look).on('status', either)
    peer.say({ event: 'PING', message: mark })
  })
}

async function leave (peer: GrpcPeer): Promise<void> {
  if (peer.ended !== null) return
  await soon('the end of a call', done => {
    peer.call.once('status', done)
    peer.call.end()
  })
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

test('messages of any kind: every answer is documented, nobody else notices, nothing is kept', { timeout: 60_000 + framesOf(FRAMES) * 10 }, async () => {
  const app = await startGrpcApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000', TURNPIKE_SIGNALING_MAILBOX_SECONDS: '0' })
  const method = await negotiateMethod(app)
  const problems: unknown[] = []
  const heard = new Set<string>()
  const join = async (id: string): Promise<GrpcPeer> => {
    const peer = await dial(app, { token: await tokenFor(app, 'fuzzed', { peer: id, takeover: true }), method, endsWithTest: false })
    peer.call.on('data', ({ event, peer: from, error }: { event: string, peer: string, error: { code: string } | null }) => {
      heard.add(error?.code ?? event)
      const isFrom = event === 'ERROR' || event === 'PING' || event === 'ICE_SERVERS' || from === 'native' || IDS.includes(from)
      if (!EVENTS_HEARD.has(event) || !isFrom || (error !== null && (!CODES.has(error.code) || !Object.hasOwn(ERRORS, error.code)))) problems.push({ event, from, error })
    })
    await peer.next('WELCOME')
    return peer
  }
  const native = await joinAs(app, 'fuzzed', 'native')
  const [quiet, witness] = [await joinAs(app, 'quiet', 'a'), await joinAs(app, 'quiet', 'b')]
  const slice = async (random: Random, count: number, name: string): Promise<unknown[]> => {
    const peers = new Map<string, GrpcPeer>()
    for (const id of IDS) peers.set(id, await join(id))
    for (let i = 0; i < count; i += BATCH) {
      const id = oneOf(random, IDS)
      let peer = peers.get(id) as GrpcPeer
      if (peer.ended !== null) peers.set(id, peer = await join(id))
      for (let j = 0; j < BATCH; j++) peer.call.write(message(random))
      if (random(60) === 0) peer.call.write(Buffer.alloc(70_000))
      if (random(60) === 0) peer.call.cancel()
      await settle(peer)
      for (const each of peers.values()) each.messages.length = 0
      native.frames.length = native.texts.length = 0
    }
    await Promise.all([...peers.values()].map(async peer => await leave(peer)))
    quiet.send({ type: 'signal', to: 'b', data: name })
    expect(await witness.next('signal')).toMatchObject({ data: name })
    return problems
  }
  await nonsense(app, randomFrom(Date.now()), await tokenFor(app, 'nonsense', { peer: '*' }))
  const meets = (): void => { expect([...heard]).toEqual(expect.arrayContaining(['OFFER', 'frame-invalid', 'peer-unavailable', 'dialect-mismatch'])) }
  await fuzz({ protocol: 'grpc', frames: FRAMES, slice, meets })
  await nonsense(app, randomFrom(Date.now()), await tokenFor(app, 'nonsense', { peer: '*' }))
  expect(native.closed).toBeNull()
})
