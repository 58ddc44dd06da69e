import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createSignaling, type SignalGrant, type Socket, type SocketEvents } from '../../../src/signaling/signaling.ts'
import { framesOf, fuzz } from '../../kit/fuzz.ts'
import { oneOf, type Random } from '../../kit/random.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

/** What it may answer; how many changes of presence are told at once is a matter of time. */
const ANSWERS = ['accepted', 'error', 'peer-joined', 'peer-left', 'signal', 'welcome']
const RARE_ANSWERS = ['presence', 'peer-updated']
const CODES = ['frame-binary', 'frame-invalid', 'frame-not-json', 'frame-unknown', 'peer-unavailable']
const RARE_CODES = ['signal-undelivered']
const CLOSES = [1000, 4008]
/** 4109: one that has acknowledged something, and then nothing. */
const RARE_CLOSES = [4109]
const FRAMES = 60_000
const PEERS = 8

const VALUES = ['"a"', '"*"', '"p1"', '"p2"', '"nobody"', '""', '"__proto__"', '"constructor"', '-1', '0', '1', '7', '1e400', '9007199254740993', 'null', 'true', '[]', '{}', '{"a":1}', '[[[[]]]]', '"\\u0000"', '"\\ud800"', `"${'x'.repeat(300)}"`, `${'{"a":'.repeat(50)}1${'}'.repeat(50)}`]
const KEYS = ['type', 'to', 'data', 'cid', 'ack', 'seq', 'metadata', '__proto__', 'd\\u0061ta', 'x']
const TYPES = ['"signal"', '"signal"', '"signal"', '"ack"', '"update"', '"leave"', '"dance"', '"__proto__"', '1']

/** Mostly nearly right, because what is far from right is refused at the first look; some are right. */
function frame (random: Random, number: number): Buffer {
  if (random(8) === 0) return Buffer.from(`{"type":"signal","cid":${number},"to":"p${random(PEERS)}","data":${oneOf(random, VALUES)}}`)
  const fields = [`"type":${oneOf(random, TYPES)}`]
  for (let i = random(6); i > 0; i--) fields.push(`"${oneOf(random, KEYS)}":${oneOf(random, VALUES)}`)
  const bytes = Buffer.from(`{${fields.join(random(40) === 0 ? ';' : ',')}}`)
  if (random(12) === 0) for (let i = random(4); i >= 0; i--) bytes[random(bytes.length)] = random(256)
  return random(30) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

test('frames of any kind: every answer is a documented one, nobody else is ended, nothing is kept', { timeout: 60_000 + framesOf(FRAMES) }, async () => {
  const { config } = loadConfig({ env: {}, readFile: () => '' })
  const limits = { ...config.signaling, signalsPerSecond: 100_000, signalsBurst: 1_000_000, graceSeconds: 0, mailboxSeconds: 0, unackedFrames: 100 }
  const signaling = createSignaling({ limits, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })
  const seen = new Set<unknown>()
  const slice = async (random: Random, count: number, name: string): Promise<string[]> => {
    const problems: string[] = []
    const peers = new Map<string, SocketEvents>()
    // Told when the server is done with the frame, as by a WebSocket.
    const closed: (() => void)[] = []
    let speaking = ''
    const join = (peer: string): void => {
      const socket: Socket = {
        send: text => {
          const { type, code } = JSON.parse(text) as { type: string, code?: string }
          const isKnown = [...ANSWERS, ...RARE_ANSWERS].includes(type) && (code === undefined || [...CODES, ...RARE_CODES].includes(code))
          if (!isKnown) problems.push(text.slice(0, 200))
          seen.add(type).add(code)
        },
        close: code => {
          if (peer !== speaking || ![...CLOSES, ...RARE_CLOSES].includes(code)) problems.push(`${speaking} ended ${peer} with ${code}`)
          seen.add(code)
          const events = peers.get(peer)
          closed.push(() => events?.onClose(code))
          peers.delete(peer)
        },
        terminate: () => {},
        ping: () => {},
        bufferedBytes: () => 0,
      }
      const grant: SignalGrant = { project: 'p', room: name, peer, role: null, metadata: {}, kind: 'mesh', capacity: 50, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' }
      peers.set(peer, signaling.attach(socket, grant, '127.0.0.1', { spoken: 'native', ack: null }))
    }
    for (let i = 0; i < count; i++) {
      speaking = `p${random(PEERS)}`
      if (!peers.has(speaking)) join(speaking)
      peers.get(speaking)?.onMessage(frame(random, i), random(200) === 0)
      for (const tell of closed.splice(0)) tell()
    }
    for (const events of peers.values()) events.onClose(1000)
    // What is told of presence together.
    await new Promise(resolve => setImmediate(resolve))
    return problems
  }
  const meets = (): void => { expect([...seen]).toEqual(expect.arrayContaining([...ANSWERS, ...CODES, ...CLOSES])) }
  await fuzz({ protocol: 'native', frames: FRAMES, slice, meets })
})
