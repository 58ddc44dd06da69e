/**
 * Frames of Ayame clients that nobody meant, over real sockets, before and after they have registered: every answer is a documented
 * one, nobody else notices, and nothing stays in memory.
 */
import { expect, test } from 'vitest'
import WebSocket from 'ws'
import { ERRORS } from '../../src/protocol/errors.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { allowDialects } from '../kit/dialects.ts'
import { until } from '../kit/files.ts'
import { framesOf, fuzz, settled } from '../kit/fuzz.ts'
import { joinAs } from '../kit/peer.ts'
import { oneOf, type Random } from '../kit/random.ts'

const FRAMES = 6000
const BATCH = 50
const ROOMS = 3
const VALUES = ['"v=0\\r\\n"', '""', 'null', '1e999', '-0', '{}', '[]', '{"candidate":"candidate:1","sdpMid":"0"}', '{"candidate":null}', '"\\ud800"', '{"__proto__":{"x":1}}', '['.repeat(5000) + ']'.repeat(5000), `"${'x'.repeat(50_000)}"`]
const TYPES = ['"offer"', '"offer"', '"answer"', '"candidate"', '"candidate"', '"pong"', '"ping"', '"register"', '"accept"', '"offer2"', '""', 'null', '["offer"]', '7', '"__proto__"']
const KEYS = ['"sdp"', '"ice"', '"roomId"', '"clientId"', '"key"', '"signalingKey"', '"authnMetadata"', '"type"', '"t\\u0079pe"', '"x"']
/** What it answers, with what; null: the very text of the other one. */
const KEYS_HEARD: Readonly<Record<string, readonly string[] | null>> = { accept: ['connectionId', 'iceServers', 'isExistClient', 'isExistUser'], reject: [], bye: [], ping: [], offer: null, answer: null, candidate: null }
/** Left, as the last of two or by its own wish; taken over; text that is no UTF-8; too large; binary, or no JSON object; not pinged back. */
const CLOSES = new Set([1000, 1005, 1006, 1007, 1009, 4008])

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

function read (text: string): { type: string, wrong: boolean } {
  try {
    const { type, reason, ...more } = JSON.parse(text) as { type: string, reason?: string }
    if (!Object.hasOwn(KEYS_HEARD, type)) return { type, wrong: true }
    const keys = KEYS_HEARD[type] ?? Object.keys(more)
    return { type, wrong: Object.keys(more).some(key => !keys.includes(key)) || (type === 'reject' && reason !== 'full' && !Object.hasOwn(ERRORS, reason ?? '')) }
  } catch {
    return { type: 'no JSON', wrong: true }
  }
}

/** One after another under the ids of one slice. */
class Client {
  readonly #url: string
  readonly #random: Random
  readonly #room: string
  readonly #heard: Set<string>
  readonly problems: unknown[] = []
  #socket: WebSocket | null = null

  constructor (app: TestApp, random: Random, room: string, heard: Set<string>) {
    this.#url = `${app.url().replace('http', 'ws').replace('localhost', '127.0.0.1')}/ayame`
    this.#random = random
    this.#room = room
    this.#heard = heard
  }

  async send (count: number): Promise<void> {
    const socket = await this.#open()
    for (let i = 0; i < count; i++) socket.send(frame(this.#random), () => {})
    await settled(socket)
  }

  close (): void {
    this.#socket?.terminate()
  }

  async #open (): Promise<WebSocket> {
    if (this.#socket?.readyState === WebSocket.OPEN) return this.#socket
    const socket = this.#socket = new WebSocket(this.#url, { perMessageDeflate: false })
    socket.on('error', () => {})
    socket.on('message', (data: Buffer) => {
      const text = data.toString()
      const { type, wrong } = read(text)
      this.#heard.add(type)
      if (type === 'ping') socket.send('{"type":"pong"}', () => {})
      if (wrong) this.problems.push(text.slice(0, 200))
    })
    socket.on('close', code => { if (!CLOSES.has(code)) this.problems.push(`closed with ${code}`) })
    await new Promise(resolve => socket.once('open', resolve).once('close', resolve))
    if (this.#random(5) > 0) socket.send(JSON.stringify({ type: 'register', roomId: this.#room, clientId: oneOf(this.#random, ['', 'a', 'b', 'c"', '__proto__']) }), () => {})
    return socket
  }
}

test('frames of any kind: every answer is documented, nobody else notices, nothing is kept', { timeout: 60_000 + framesOf(FRAMES) * 20 }, async () => {
  const app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000000' })
  await allowDialects(app, { dialects: ['ayame'], anonymousDialects: true })
  const [quiet, witness] = [await joinAs(app, 'quiet', 'a'), await joinAs(app, 'quiet', 'b')]
  const heard = new Set<string>()
  const slice = async (random: Random, count: number, name: string): Promise<unknown[]> => {
    const clients = Array.from({ length: 2 * ROOMS }, (_, i) => new Client(app, random, `room ${i % ROOMS} of ${name}`, heard))
    for (let i = 0; i < count; i += BATCH) await clients[random(clients.length)]?.send(BATCH)
    clients.forEach(client => client.close())
    quiet.send({ type: 'signal', to: 'b', data: name })
    expect(await witness.next('signal')).toMatchObject({ data: name })
    return clients.flatMap(({ problems }) => problems)
  }
  const meets = (): void => { expect([...heard]).toEqual(expect.arrayContaining(['accept', 'reject', 'bye', 'offer', 'candidate'])) }
  await fuzz({ protocol: 'ayame', frames: FRAMES, slice, meets })
  await until('nobody is left of them', async () => (await (await fetch(app.metricsUrl())).text()).includes('turnpike_signaling_sockets{project="default"} 2\n'))
})
