/**
 * Frames that nobody meant, over real sockets: recorded ones with bytes changed, cut and doubled, JSON of any kind, and noise.
 * Nothing is answered, sockets are closed as documented, and nothing stays in memory.
 */
import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startApp } from '../kit/app.ts'
import { framesOf, fuzz, settled } from '../kit/fuzz.ts'
import { opened, type Door } from '../kit/libdatachannel.ts'
import { tokenFor } from '../kit/peer.ts'
import { oneOf, type Random } from '../kit/random.ts'

const FRAMES = 20_000
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

type Frame = { bytes: Buffer, binary: boolean, endsSocket: boolean }

function frame (random: Random): Frame {
  const bytes = random(40) === 0 ? noise(random) : mutated(random)
  return { bytes, binary: random(3) === 0, endsSocket: !isObject(bytes) }
}

function noise (random: Random): Buffer {
  if (random(100) === 0) return Buffer.from(`{"id":"${LISTENER}","x":"${'x'.repeat(60_000 + random(20_000))}"}`)
  if (random(4) === 0) return Buffer.from(oneOf(random, ['null', '[]', '5', '"x"', 'true', '', '[{"id":1}]', ' ']))
  if (random(2) === 0) return Buffer.from(Array.from({ length: random(200) }, () => random(256)))
  return Buffer.from(Array.from({ length: random(30) }, () => oneOf(random, PIECES)).join(''))
}

function mutated (random: Random): Buffer {
  const text = oneOf(random, SAMPLES)
  const bytes = Buffer.from(text)
  const kind = random(80)
  if (kind === 0) return bytes.subarray(0, random(bytes.length))
  if (kind === 1) return Buffer.concat([bytes, Buffer.from(oneOf(random, [' ', '\n', '}', '\0']))])
  if (kind === 2) {
    for (let changes = random(4); changes >= 0; changes--) bytes[random(bytes.length)] = random(256)
    return bytes
  }
  if (kind > 40) return bytes
  const fields = JSON.parse(text) as Record<string, unknown>
  for (let changes = random(3); changes >= 0; changes--) {
    const { payload } = fields
    const within = random(2) === 0 && typeof payload === 'object' && payload !== null ? payload as Record<string, unknown> : fields
    within[oneOf(random, NAMES)] = structuredClone(oneOf(random, VALUES))
  }
  return Buffer.from(JSON.stringify(fields, null, oneOf(random, [undefined, 1, '\t'])))
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

test('random and mutated frames: nothing is answered, sockets are closed as documented, memory is flat', { timeout: 60_000 + framesOf(FRAMES) * 5 }, async () => {
  const app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '100000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000000' })
  await app.request('/v1/projects/default', { method: 'PATCH', key: app.adminKey, body: JSON.stringify({ dialects: ['libdatachannel'] }) })
  const path = `/t/${await tokenFor(app, 'fuzzed', { peer: '*', ttl: 86_400 })}`
  const listener = await opened(app, `${path}/${LISTENER}`)
  let arrived = 0
  let ends = 0
  const slice = async (random: Random, count: number): Promise<unknown[]> => {
    const problems: unknown[] = []
    let fuzzer: Door | null = null
    for (let sent = 0; sent < count;) {
      // Thousands of them, whose memory is looked at.
      fuzzer ??= await opened(app, `${path}/fuzzer`, { endsWithTest: false })
      let ended = false
      for (let i = 0; i < BATCH && !ended && sent < count; i++, sent++) {
        const { bytes, binary, endsSocket } = frame(random)
        fuzzer.socket.send(bytes, { binary })
        ended = endsSocket
      }
      await settled(fuzzer.socket)
      await settled(listener.socket)
      const heard = listener.frames.splice(0)
      arrived += heard.length
      for (const { text, isBinary } of heard) if (isBinary || (JSON.parse(text) as { id: unknown }).id !== 'fuzzer') problems.push(`after ${sent} frames came ${text}`)
      problems.push(...fuzzer.frames)
      if (ended ? !CLOSES.includes(fuzzer.closed?.code ?? 0) : fuzzer.closed !== null) problems.push({ ended, closed: fuzzer.closed })
      if (fuzzer.closed === null) continue
      ends++
      fuzzer = null
    }
    await fuzzer?.close()
    return problems
  }
  const meets = (frames: number): void => {
    expect(ends).toBeGreaterThan(frames / 100)
    expect(arrived).toBeGreaterThan(frames / 3)
  }
  await fuzz({ protocol: 'libdatachannel', frames: FRAMES, slice, meets })
  expect(listener.closed).toBeNull()
  expect((await app.request('/healthz')).status).toBe(200)
})
