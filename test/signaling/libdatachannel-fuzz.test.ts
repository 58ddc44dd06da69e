/**
 * Frames that nobody meant, over real sockets: recorded ones with bytes changed, cut and doubled, JSON of any kind, and noise.
 * FUZZ_FRAMES=1000000 sends a million; FUZZ_SEED sends others.
 */
import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { startApp } from '../kit/app.ts'
import { opened, type Door } from '../kit/libdatachannel.ts'
import { tokenFor } from '../kit/peer.ts'
import { randomFrom } from '../kit/random.ts'

const FRAMES = Number(process.env['FUZZ_FRAMES'] ?? 10_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? 20261121)
/** Frames that leave the socket open go in such batches; one that ends it is the last of its batch. */
const BATCH = 100
/** frame-not-json; larger than allowed; text that is no UTF-8 (RFC 6455 §7.4.1). */
const CLOSES = [4008, 1009, 1007]
const LISTENER = '1,2,3,4'
const recorded = readFileSync('test/fixtures/dialects/fogros2-sgc.txt', 'utf8').split('\n').flatMap(line => / << (.*)$/.exec(line)?.[1] ?? [])
const SAMPLES = [
  ...recorded.map(text => text.replace(/"id":"\w+"/, `"id":"${LISTENER}"`)),
  `{"id":"${LISTENER}","type":"offer","description":"v=0"}`,
  `{"id":"${LISTENER}","type":"candidate","candidate":"a=candidate:1 1 UDP 1 127.0.0.1 9 typ host","mid":"0"}`,
  `{"id":"${LISTENER}","type":"request"}`,
  `{"\\u0069d":"${LISTENER}","id":["${LISTENER}"],"__proto__":{"id":"x"}}`,
  `{"id":"*","id":"${LISTENER}"}`,
  '{"id":"fuzzer","payload":{}}',
  '{"type":"signal","to":"*","data":1}',
  '{"type":"leave"}',
]
const PIECES = ['"id":', `"${LISTENER}"`, '"payload"', '{', '}', '[', ']', ':', ',', '"', '\\', '\\u0069', 'null', '1e999', '-0', '\u2028', '😀', ' ', '\t', '"\\ud800"', '{"id":'.repeat(40)]

const NAMES = ['id', 'payload', 'type', 'description', 'sdp', 'candidate', 'mid', 'sdpMid', 'x', 'constructor', '']
const VALUES: readonly unknown[] = [LISTENER, 'fuzzer', 'nobody', '*', '', 'a/b', 'x'.repeat(129), '\ud800', '\u0000', 'offer', 'answer', 'request', 'candidate', null, true, -1, 1e308, [], [LISTENER], {}, { id: LISTENER }, { sdp: 'v=0', type: 'offer' }, { candidate: 1 }]

type Random = (below: number) => number

function pick <T> (random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T
}

type Frame = { bytes: Buffer, binary: boolean, endsSocket: boolean }

function frame (random: Random): Frame {
  const bytes = random(40) === 0 ? noise(random) : mutated(random)
  return { bytes, binary: random(3) === 0, endsSocket: !isObject(bytes) }
}

function noise (random: Random): Buffer {
  if (random(100) === 0) return Buffer.from(`{"id":"${LISTENER}","x":"${'x'.repeat(60_000 + random(20_000))}"}`)
  if (random(2) === 0) return Buffer.from(Array.from({ length: random(200) }, () => random(256)))
  return Buffer.from(Array.from({ length: random(30) }, () => pick(random, PIECES)).join(''))
}

function mutated (random: Random): Buffer {
  const text = pick(random, SAMPLES)
  const bytes = Buffer.from(text)
  const kind = random(80)
  if (kind === 0) return bytes.subarray(0, random(bytes.length))
  if (kind === 1) return Buffer.concat([bytes, Buffer.from(pick(random, [' ', '\n', '}', '\0']))])
  if (kind === 2) {
    for (let changes = random(4); changes >= 0; changes--) bytes[random(bytes.length)] = random(256)
    return bytes
  }
  if (kind > 40) return bytes
  const fields = JSON.parse(text) as Record<string, unknown>
  for (let changes = random(3); changes >= 0; changes--) {
    const { payload } = fields
    const within = random(2) === 0 && typeof payload === 'object' && payload !== null ? payload as Record<string, unknown> : fields
    within[pick(random, NAMES)] = structuredClone(pick(random, VALUES))
  }
  return Buffer.from(JSON.stringify(fields, null, pick(random, [undefined, 1, '\t'])))
}

/** What JSON.parse takes, as the server is to see it. */
function isObject (bytes: Buffer): boolean {
  if (!isUtf8(bytes) || bytes.length > 65_536) return false
  try {
    const value = JSON.parse(bytes.toString()) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function heapAfterCollection (): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}

test(`${FRAMES} random and mutated frames of seed ${SEED}: nothing is answered, sockets are closed as documented, memory is flat`, { timeout: 60_000 + FRAMES }, async () => {
  const app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '100000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000000' })
  await app.request('/v1/projects/default', { method: 'PATCH', key: app.adminKey, body: JSON.stringify({ dialects: ['libdatachannel'] }) })
  const path = `/t/${await tokenFor(app, 'fuzzed', { peer: '*', ttl: 86_400 })}`
  const listener = await opened(app, `${path}/${LISTENER}`)
  const random = randomFrom(SEED)
  const closes = new Map<number, number>()
  let fuzzer: Door | null = null
  let arrived = 0
  let ends = 0
  let heapBefore = 0
  for (let sent = 0; sent < FRAMES;) {
    // Thousands of them, whose memory is looked at.
    fuzzer ??= await opened(app, `${path}/fuzzer`, { endsWithTest: false })
    for (let i = 0, ended = false; i < BATCH && !ended; i++, sent++) {
      const { bytes, binary, endsSocket } = frame(random)
      fuzzer.socket.send(bytes, { binary })
      ended = endsSocket
      if (endsSocket) ends++
    }
    await fuzzer.settled()
    await listener.settled()
    for (const { text, isBinary } of listener.frames.splice(0)) {
      arrived++
      if (isBinary || (JSON.parse(text) as { id: unknown }).id !== 'fuzzer') throw new Error(`after ${sent} frames came ${text}`)
    }
    expect(fuzzer.frames).toEqual([])
    if (fuzzer.closed !== null) {
      closes.set(fuzzer.closed.code, (closes.get(fuzzer.closed.code) ?? 0) + 1)
      fuzzer = null
    }
    if (heapBefore === 0 && sent >= FRAMES / 4) heapBefore = heapAfterCollection()
  }
  expect([...closes.keys()].filter(code => !CLOSES.includes(code))).toEqual([])
  // Enough got through, and enough did not, to say something.
  expect([...closes.values()].reduce((sum, count) => sum + count, 0)).toBe(ends)
  expect(ends).toBeGreaterThan(FRAMES / 100)
  expect(arrived).toBeGreaterThan(FRAMES / 3)
  expect(listener.closed).toBeNull()
  expect((await app.request('/healthz')).status).toBe(200)
  expect(heapAfterCollection() - heapBefore).toBeLessThan(8 * 1024 * 1024)
})
