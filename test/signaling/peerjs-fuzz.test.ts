/**
 * Frames of the PeerJS dialect that nobody meant, over real sockets: everything it answers is of the set that docs/dialects.md names,
 * nobody else notices, and nothing stays in memory. FUZZ_FRAMES says how many, FUZZ_SEED which.
 */
import type { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/protocol/errors.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { until } from '../kit/files.ts'
import { allowPeerjs, connectPeerjs, refusalOf, type PeerjsClient, type PeerjsFrame } from '../kit/peerjs.ts'
import { randomFrom } from '../kit/random.ts'

const FRAMES = Number(process.env['FUZZ_FRAMES'] ?? 20_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const BATCH = 100
/** A frame that is none, text that is no UTF-8, a frame that is too large, bytes that are no frame, one who left, or who is taken over. */
const CLOSES: ReadonlySet<number> = new Set([1000, 1002, 1006, 1007, 1009, 4001, 4008])
const KEYS: Readonly<Record<string, string>> = { OPEN: 'type', EXPIRE: 'dst,src,type', ERROR: 'payload,type' }
const RELAYED: ReadonlySet<string> = new Set(['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE'])
const IDS = ['ann', 'bob', 'c"ä', 'dan.1', 'e e']

type Random = (below: number) => number
const oneOf = <T>(random: Random, values: readonly T[]): T => values[random(values.length)] as T

const NESTED = 8000
const VALUES = ['1', 'null', '"v=0\\r\\n"', '{"sdp":{"type":"offer","sdp":"v=0"},"type":"data","connectionId":"dc_1"}', '[]', '{"__proto__":{"x":1}}', '"\\ud800"', '1e999', '-0', '{"payload":{"type":"LEAVE"}}', '"},"', '['.repeat(NESTED) + ']'.repeat(NESTED), `"${'x'.repeat(60_000)}"`]
const TYPES = ['"OFFER"', '"ANSWER"', '"CANDIDATE"', '"EXPIRE"', '"HEARTBEAT"', '"OPEN"', '"ERROR"', '"ID-TAKEN"', '"offer"', '""', 'null', '["OFFER"]', '{}', '7', '"__proto__"', '"constructor"', '"OFF\\u0045R"']
const TARGETS = [...IDS.map(id => JSON.stringify(id)), '"absent"', '"*"', '"a/b"', '""', 'null', '5', '[]', '"\\u0000"', '"\\ud800"', `"${'y'.repeat(500)}"`, '"__proto__"']
const KEY_NAMES = ['"type"', '"dst"', '"payload"', '"src"', '"p\\u0061yload"', '"x"', '""']

function member (random: Random): string {
  const key = random(8) === 0 ? oneOf(random, KEY_NAMES) : oneOf(random, ['"type"', '"dst"', '"payload"', '"src"'])
  const value = key === '"type"' ? oneOf(random, TYPES) : key === '"dst"' || key === '"src"' ? oneOf(random, TARGETS) : oneOf(random, VALUES)
  return `${key}${oneOf(random, ['', ' ', '\n'])}:${oneOf(random, ['', ' '])}${value}`
}

/** Mostly well-formed: one that is not ends its socket, and what was sent behind it is not read. */
function frame (random: Random): string | Buffer {
  const kind = random(1000)
  if (kind < 1) return `{"type":"LEAVE"${oneOf(random, ['', ',"dst":""', ',"dst":null'])}}`
  if (kind < 2) return 'z'.repeat(66_000)
  if (kind < 20) return `{"type":"LEAVE","dst":${JSON.stringify(oneOf(random, IDS))}}`
  const text = random(3) === 0 ? `{${Array.from({ length: random(6) }, () => member(random)).join(',')}}` : `{"type":${oneOf(random, TYPES)},"dst":${oneOf(random, TARGETS)},"payload":${oneOf(random, VALUES)}}`
  if (kind > 23) return random(5) === 0 ? Buffer.from(text) : text
  const bytes = Buffer.from(text)
  for (let changes = random(4); changes >= 0; changes--) bytes[random(bytes.length)] = random(256)
  return oneOf(random, [bytes, bytes.subarray(0, random(bytes.length)), bytes.toString('latin1')])
}

/** What is wrong with what a client was told; null where nothing is. */
function wrongWith (text: string, self: string): string | null {
  const told = JSON.parse(text) as PeerjsFrame
  const { type, src, dst, payload } = told
  const keys = Object.keys(told).toSorted().join()
  if (type === 'ERROR') {
    const [, code = ''] = /\(([a-z-]+)\)$/.exec((payload as { msg: string }).msg) ?? []
    return keys === KEYS['ERROR'] && Object.hasOwn(ERRORS, code) ? null : 'no documented error'
  }
  if (type === 'OPEN') return keys === KEYS['OPEN'] ? null : 'more than OPEN'
  if (!RELAYED.has(type) || dst !== self) return 'an unknown type, or not for this peer'
  if (type === 'EXPIRE' && keys === KEYS['EXPIRE']) return null
  return IDS.includes(src ?? '') && /^dst,(payload,)?src,type$/.test(keys) ? null : 'not what another peer can have said'
}

const collect = ((): () => void => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()

/** Everything that was sent is processed: a pong comes behind it. */
async function settled (client: PeerjsClient): Promise<void> {
  let pongs = 0
  client.socket.once('pong', () => { pongs++ })
  if (client.socket.readyState === client.socket.OPEN) client.socket.ping()
  await until('a pong, or the end', () => pongs > 0 || client.closed !== null, 30_000)
}

class Fuzzed {
  readonly #app: TestApp
  readonly #id: string
  /** Its own, so that one seed is one run, whoever is served first. */
  readonly #random: Random
  #client: PeerjsClient | null = null
  readonly problems: string[] = []
  told = 0
  opened = 0

  constructor (app: TestApp, id: string) {
    this.#app = app
    this.#id = id
    this.#random = randomFrom(SEED + IDS.indexOf(id))
  }

  async batch (frames: number): Promise<void> {
    if (this.#client === null || this.#client.closed !== null) {
      this.#client = await connectPeerjs(this.#app, { id: this.#id, token: `token of ${IDS.indexOf(this.#id)}` })
      this.opened++
    }
    const client = this.#client
    const random = this.#random
    for (let i = 0; i < frames; i++) client.socket.send(frame(random), { binary: random(2) === 0 }, () => {})
    // Bytes that are no frame, now and then.
    if (random(40) === 0) (client.socket as unknown as { _socket: Socket | null })._socket?.write(Buffer.from(Array.from({ length: 20 }, () => random(256))))
    await settled(client)
    for (const text of client.texts.splice(0)) {
      this.told++
      const wrong = wrongWith(text, this.#id)
      if (wrong !== null) this.problems.push(`${wrong}: ${text.slice(0, 300)}`)
    }
    client.frames.length = 0
    if (client.closed !== null && !CLOSES.has(client.closed)) this.problems.push(`closed with ${client.closed}`)
  }
}

test(`${FRAMES} frames of the seed ${SEED} end no other socket, are answered as documented, and leave nothing`, { timeout: 60_000 + FRAMES * 5 }, async () => {
  const plenty = '1000000'
  const app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: plenty, TURNPIKE_SIGNALING_MAILBOX_SECONDS: '1', TURNPIKE_SIGNALING_OUTBOX_BYTES: '67108864', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: plenty })
  await allowPeerjs(app)
  const fuzzed = IDS.map(id => new Fuzzed(app, id))
  const [caller, callee] = [await connectPeerjs(app, { id: 'caller' }), await connectPeerjs(app, { id: 'callee' })]
  const memory: number[] = []
  let rounds = 0
  for (let sent = 0; sent < FRAMES; sent += BATCH * fuzzed.length) {
    await Promise.all(fuzzed.map(async one => await one.batch(BATCH)))
    caller.send({ type: 'OFFER', dst: 'callee', payload: sent })
    expect(await callee.next('OFFER')).toEqual({ type: 'OFFER', src: 'caller', dst: 'callee', payload: sent })
    if (++rounds % 4 > 0) continue
    collect()
    memory.push(process.memoryUsage().heapUsed)
  }
  expect(fuzzed.flatMap(({ problems }) => problems)).toEqual([])
  const count = (what: 'told' | 'opened'): number => fuzzed.reduce((sum, one) => sum + one[what], 0)
  expect(count('told')).toBeGreaterThan(FRAMES / 50)
  expect(count('opened')).toBeGreaterThan(fuzzed.length)
  expect([caller.closed, callee.closed]).toEqual([null, null])
  // A mailbox may hold 256 KiB for each of a few absent ids at any moment.
  expect(Math.max(...memory) - (memory[Math.floor(memory.length / 4)] ?? 0)).toBeLessThan(24 * 1_048_576)
})

test('whatever a socket is asked for with, the answer is OPEN or a refusal, and refused sockets may say anything', async () => {
  const app = await startApp({})
  await allowPeerjs(app)
  const parts = ['', 'peerjs', 'default', 'a', '*', 'a/b', '%00', '%ED%A0%80', 'undefined', 'x.y.z', `${'e'.repeat(400)}.f.g`, '__proto__', 'other', '..']
  const seen = new Set<string>()
  const random = randomFrom(SEED)
  for (let i = 0; i < 150; i++) {
    const query = ['key', 'id', 'token'].filter(() => random(12) > 0).flatMap(name => Array.from({ length: random(15) === 0 ? 2 : 1 }, () => `${name}=${oneOf(random, parts)}`)).join('&')
    const client = await connectPeerjs(app, { path: oneOf(random, ['/', '/peerjs/']), query: `?${query}` })
    const [first] = client.texts
    seen.add(client.frames[0]?.type ?? `closed with ${client.closed}`)
    client.socket.terminate()
    expect(first === '{"type":"OPEN"}' || first === '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}' || /^\{"type":"(ERROR|INVALID-KEY)","payload":\{"msg":"[^"]+"\}\}$/.test(first ?? ''), `${query}: ${first}`).toBe(true)
  }
  expect([...seen].toSorted()).toEqual(expect.arrayContaining(['ERROR', 'OPEN']))
  for (let i = 0; i < 20; i++) await connectPeerjs(app, { id: '*', firstBytes: Buffer.from(Array.from({ length: 20 }, () => random(256))) })
  expect(await refusalOf(app, { id: '*' })).toMatchObject({ closed: 4000 })
  expect((await app.request('/healthz')).status).toBe(200)
})
