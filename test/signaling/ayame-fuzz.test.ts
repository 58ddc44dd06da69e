/**
 * Frames of Ayame clients that nobody meant, over real sockets, before and after they have registered: every answer is a documented
 * one, nobody else notices, and nothing stays in memory. FUZZ_FRAMES says how many (a million: FUZZ_FRAMES=1000000), FUZZ_SEED which.
 */
import { expect, test } from 'vitest'
import WebSocket from 'ws'
import { ERRORS } from '../../src/protocol/errors.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { allowDialects } from '../kit/dialects.ts'
import { until } from '../kit/files.ts'
import { heapInUse } from '../kit/memory.ts'
import { joinAs } from '../kit/peer.ts'
import { randomFrom } from '../kit/random.ts'

const FRAMES = Number(process.env['FUZZ_FRAMES'] ?? 8000)
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
const BATCH = 50
const ROOMS = 3
const VALUES = ['"v=0\\r\\n"', '""', 'null', '1e999', '-0', '{}', '[]', '{"candidate":"candidate:1","sdpMid":"0"}', '{"candidate":null}', '"\\ud800"', '{"__proto__":{"x":1}}', '['.repeat(5000) + ']'.repeat(5000), `"${'x'.repeat(50_000)}"`]
const TYPES = ['"offer"', '"offer"', '"answer"', '"candidate"', '"candidate"', '"pong"', '"ping"', '"register"', '"accept"', '"offer2"', '""', 'null', '["offer"]', '7', '"__proto__"']
const KEYS = ['"sdp"', '"ice"', '"roomId"', '"clientId"', '"key"', '"signalingKey"', '"authnMetadata"', '"type"', '"t\\u0079pe"', '"x"']
const HEARD = new Set(['accept', 'reject', 'bye', 'ping', 'offer', 'answer', 'candidate'])
/** Left, as the last of two or by its own wish; taken over; text that is no UTF-8; too large; binary, or no JSON object; not pinged back. */
const CLOSES = new Set([1000, 1005, 1006, 1007, 1009, 4008])

type Random = (below: number) => number
const oneOf = <T>(random: Random, values: readonly T[]): T => values[random(values.length)] as T

function frame (random: Random): string | Buffer {
  const text = `{"type":${oneOf(random, TYPES)}${Array.from({ length: random(4) }, () => `,${oneOf(random, KEYS)}:${oneOf(random, VALUES)}`).join('')}}`
  const kind = random(400)
  if (kind === 0) return 'z'.repeat(70_000)
  if (kind === 1) return Buffer.from(text)
  if (kind === 2) return '{"type":"connected"}'
  if (kind > 4) return text
  const bytes = Buffer.from(text)
  for (let changes = random(4); changes >= 0; changes--) bytes[random(bytes.length)] = random(256)
  return bytes.toString('latin1')
}

class Fuzzed {
  readonly #url: string
  readonly #random: Random
  readonly problems: unknown[] = []
  readonly heard = new Set<string>()
  #socket: WebSocket | null = null

  constructor (app: TestApp, random: Random) {
    this.#url = `${app.url().replace('http', 'ws').replace('localhost', '127.0.0.1')}/ayame`
    this.#random = random
  }

  async send (count: number, room: string): Promise<void> {
    const socket = await this.#open(room)
    for (let i = 0; i < count; i++) socket.send(frame(this.#random), () => {})
    let isAnswered = false
    socket.once('pong', () => { isAnswered = true })
    socket.ping(undefined, undefined, () => {})
    await until('a pong, or the end', () => isAnswered || socket.readyState === WebSocket.CLOSED, 30_000)
  }

  close (): void {
    this.#socket?.terminate()
  }

  async #open (room: string): Promise<WebSocket> {
    if (this.#socket?.readyState === WebSocket.OPEN) return this.#socket
    const socket = this.#socket = new WebSocket(this.#url)
    socket.on('error', () => {})
    socket.on('message', (data: Buffer) => {
      const text = data.toString()
      const { type, reason } = JSON.parse(text) as { type: string, reason?: string }
      this.heard.add(type)
      if (type === 'ping') socket.send('{"type":"pong"}', () => {})
      if (!HEARD.has(type) || (type === 'reject' && reason !== 'full' && !Object.hasOwn(ERRORS, reason ?? ''))) this.problems.push(text.slice(0, 200))
    })
    socket.on('close', code => { if (!CLOSES.has(code)) this.problems.push(`closed with ${code}`) })
    await until('the socket', () => socket.readyState !== WebSocket.CONNECTING)
    if (this.#random(5) > 0) socket.send(JSON.stringify({ type: 'register', roomId: room, clientId: oneOf(this.#random, ['', 'a', 'b', 'c"', '__proto__']) }), () => {})
    return socket
  }
}

test(`frames of any kind (seed ${SEED}): every answer is documented, nobody else notices, nothing is kept`, { timeout: 60_000 + FRAMES * 10 }, async () => {
  const app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000' })
  await allowDialects(app, { dialects: ['ayame'], anonymousDialects: true })
  const random = randomFrom(SEED)
  const clients = Array.from({ length: 2 * ROOMS }, () => new Fuzzed(app, random))
  const [quiet, witness] = [await joinAs(app, 'quiet', 'a'), await joinAs(app, 'quiet', 'b')]
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += BATCH) {
      const which = random(clients.length)
      await clients[which]?.send(BATCH, `room ${which % ROOMS}`)
      quiet.send({ type: 'signal', to: 'b', data: i })
    }
  }
  await send(FRAMES / 2)
  const before = heapInUse()
  await send(FRAMES / 2)
  expect(clients.flatMap(({ problems }) => problems), `seed ${SEED}`).toEqual([])
  expect(heapInUse() - before, `seed ${SEED}`).toBeLessThan(30_000_000)
  await until('the others have had everything', () => witness.frames.filter(({ type }) => type === 'signal').length === Math.ceil(FRAMES / BATCH))
  expect(clients.flatMap(({ heard }) => [...heard])).toEqual(expect.arrayContaining(['accept', 'reject', 'bye', 'offer', 'candidate']))
  clients.forEach(client => client.close())
  await until('nobody is left of them', async () => (await (await fetch(app.metricsUrl())).text()).includes('turnpike_signaling_sockets{project="default"} 2\n'))
})
