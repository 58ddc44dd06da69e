/**
 * Frames of the PeerJS dialect that nobody meant, over real sockets: everything it answers is of the set that docs/dialects.md names,
 * nobody else notices, and nothing stays in memory.
 */
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/protocol/errors.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { framesOf, fuzz, settled, SLICE } from '../kit/fuzz.ts'
import { allowPeerjs, connectPeerjs, readFrame, refusalOf, type PeerjsClient } from '../kit/peerjs.ts'
import { oneOf, randomFrom, type Random } from '../kit/random.ts'

const FRAMES = 20_000
const BATCH = 100
/** A frame that is none, text that is no UTF-8, a frame that is too large, bytes that are no frame, one who left, or who is taken over. */
const CLOSES: ReadonlySet<number> = new Set([1000, 1002, 1006, 1007, 1009, 4001, 4008])
const KEYS: Readonly<Record<string, string>> = { OPEN: 'type', EXPIRE: 'dst,src,type', ERROR: 'payload,type' }
const RELAYED: ReadonlySet<string> = new Set(['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE'])
const IDS = ['ann', 'bob', 'c"ä', 'dan.1', 'e e']

const NESTED = 8000
const VALUES = ['1', 'null', '"v=0\\r\\n"', '{"sdp":{"type":"offer","sdp":"v=0"},"type":"data","connectionId":"dc_1"}', '[]', '{"__proto__":{"x":1}}', '"\\ud800"', '1e999', '-0', '{"payload":{"type":"LEAVE"}}', '"},"', '['.repeat(NESTED) + ']'.repeat(NESTED), `"${'x'.repeat(60_000)}"`]
/** Those that are carried, and peers that are there, more often. */
const CARRIED = ['"OFFER"', '"ANSWER"', '"CANDIDATE"']
const TYPES = [...CARRIED, ...CARRIED, ...CARRIED, ...CARRIED, '"EXPIRE"', '"HEARTBEAT"', '"OPEN"', '"ERROR"', '"ID-TAKEN"', '"offer"', '""', 'null', '["OFFER"]', '{}', '7', '"__proto__"', '"constructor"', '"OFF\\u0045R"']
const TARGETS = [...IDS, ...IDS, ...IDS].map(id => JSON.stringify(id)).concat(['"absent"', '"*"', '"a/b"', '""', 'null', '5', '[]', '"\\u0000"', '"\\ud800"', `"${'y'.repeat(500)}"`, '"__proto__"'])
/** Such as the client itself sends in most frames. */
const PAYLOADS = [...VALUES.filter(value => value.startsWith('{')), '{}', '{"sdp":{"type":"answer","sdp":"v=0"},"dst":"bob"}', '{"x":"},\\"dst\\":\\"bob\\"}"}', '{"a":{"b":1},"dst":"ann"}', '{"a": [{}] }']
const BROKEN_PAYLOADS = ['{"a":}', '{"a":1},"dst":"bob"}', '{"a":1', '{}}', "{'a':1}", '{"a":"\n"}']
const KEY_NAMES = ['"type"', '"dst"', '"payload"', '"src"', '"p\\u0061yload"', '"x"', '""']

function member (random: Random): string {
  const key = random(8) === 0 ? oneOf(random, KEY_NAMES) : oneOf(random, ['"type"', '"dst"', '"payload"', '"src"'])
  const value = key === '"type"' ? oneOf(random, TYPES) : key === '"dst"' || key === '"src"' ? oneOf(random, TARGETS) : oneOf(random, VALUES)
  return `${key}${oneOf(random, ['', ' ', '\n'])}:${oneOf(random, ['', ' '])}${value}`
}

function wellFormed (random: Random): string {
  const [type, dst] = [oneOf(random, TYPES), oneOf(random, TARGETS)]
  switch (random(3)) {
    case 0: return `{${Array.from({ length: random(6) }, () => member(random)).join(',')}}`
    case 1: return `{"type":${type},"dst":${dst},"payload":${oneOf(random, VALUES)}}`
    // In the order of the client.
    default: return `{"type":${type},"payload":${oneOf(random, PAYLOADS)},"dst":${dst}}`
  }
}

/** Mostly well-formed: one that is not ends its socket, and what was sent behind it is not read. */
function frame (random: Random): string | Buffer {
  const kind = random(1000)
  if (kind < 1) return `{"type":"LEAVE"${oneOf(random, ['', ',"dst":""', ',"dst":null'])}}`
  if (kind < 2) return 'z'.repeat(66_000)
  if (kind < 20) return `{"type":"LEAVE","dst":${JSON.stringify(oneOf(random, IDS))}}`
  if (kind < 26) return `{"type":"OFFER","payload":${oneOf(random, BROKEN_PAYLOADS)},"dst":${JSON.stringify(oneOf(random, IDS))}}`
  const text = wellFormed(random)
  if (kind > 29) return random(5) === 0 ? Buffer.from(text) : text
  const bytes = Buffer.from(text)
  for (let changes = random(4); changes >= 0; changes--) bytes[random(bytes.length)] = random(256)
  return oneOf(random, [bytes, bytes.subarray(0, random(bytes.length)), bytes.toString('latin1')])
}

/** What is wrong with what a client was told; null where nothing is. */
function wrongWith (text: string, self: string): string | null {
  const told = readFrame(text)
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

/** One after another under one id. */
class Caller {
  readonly #app: TestApp
  readonly #id: string
  /** Its own, so that one seed is one run, whoever is served first. */
  readonly #random: Random
  #client: PeerjsClient | null = null
  readonly problems: string[] = []
  told = 0
  opened = 0

  constructor (app: TestApp, id: string, random: Random) {
    this.#app = app
    this.#id = id
    this.#random = random
  }

  async batch (frames: number): Promise<void> {
    if (this.#client === null || this.#client.closed !== null) {
      // Thousands of them, whose memory is looked at.
      this.#client = await connectPeerjs(this.#app, { id: this.#id, token: `token of ${IDS.indexOf(this.#id)}`, endsWithTest: false })
      this.opened++
    }
    const client = this.#client
    const random = this.#random
    for (let i = 0; i < frames; i++) client.socket.send(frame(random), { binary: random(2) === 0 }, () => {})
    // Bytes that are no frame, now and then.
    if (random(40) === 0) (client.socket as unknown as { _socket: Socket | null })._socket?.write(Buffer.from(Array.from({ length: 20 }, () => random(256))))
    await this.#look(client)
  }

  /** After all of them have said everything. */
  async end (): Promise<void> {
    if (this.#client === null) return
    await this.#look(this.#client)
    await this.#client.close()
  }

  async #look (client: PeerjsClient): Promise<void> {
    await settled(client.socket)
    for (const text of client.texts.splice(0)) {
      this.told++
      const wrong = wrongWith(text, this.#id)
      if (wrong !== null) this.problems.push(`${wrong}: ${text.slice(0, 300)}`)
    }
    client.frames.length = 0
    if (client.closed !== null && !CLOSES.has(client.closed)) this.problems.push(`closed with ${client.closed}`)
  }
}

test('frames of any kind end no other socket, are answered as documented, and leave nothing', { timeout: 60_000 + framesOf(FRAMES) * 5 }, async () => {
  const plenty = '1000000'
  const app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: plenty, TURNPIKE_SIGNALING_MAILBOX_SECONDS: '1', TURNPIKE_SIGNALING_OUTBOX_BYTES: '67108864', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: plenty })
  await allowPeerjs(app)
  const [caller, callee] = [await connectPeerjs(app, { id: 'caller' }), await connectPeerjs(app, { id: 'callee' })]
  let [told, opened] = [0, 0]
  const slice = async (random: Random, count: number, name: string): Promise<string[]> => {
    const callers = IDS.map(id => new Caller(app, id, randomFrom(random(2 ** 32))))
    for (let sent = 0; sent < count; sent += BATCH * callers.length) await Promise.all(callers.map(async one => await one.batch(BATCH)))
    caller.send({ type: 'OFFER', dst: 'callee', payload: name })
    expect(await callee.next('OFFER')).toEqual({ type: 'OFFER', src: 'caller', dst: 'callee', payload: name })
    await Promise.all(callers.map(async one => await one.end()))
    for (const one of callers) {
      told += one.told
      opened += one.opened
    }
    return callers.flatMap(({ problems }) => problems)
  }
  const meets = (frames: number): void => {
    expect(told).toBeGreaterThan(frames / 50)
    expect(opened).toBeGreaterThan(frames / SLICE * IDS.length)
  }
  await fuzz({ protocol: 'peerjs', frames: FRAMES, slice, meets })
  expect([caller.closed, callee.closed]).toEqual([null, null])
})

test('whatever a socket is asked for with, the answer is OPEN or a refusal, and refused sockets may say anything', async () => {
  const app = await startApp({})
  await allowPeerjs(app)
  const parts = ['', 'peerjs', 'default', 'a', '*', 'a/b', '%00', '%ED%A0%80', 'undefined', 'x.y.z', `${'e'.repeat(400)}.f.g`, '__proto__', 'other', '..']
  const seen = new Set<string>()
  const random = randomFrom(Date.now())
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
