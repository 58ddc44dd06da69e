import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createSignaling, type SignalGrant, type Socket, type SocketEvents } from '../../../src/signaling/signaling.ts'
import { randomFrom } from '../../kit/random.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

/** All of them: FUZZ_FRAMES=1000000. A failure names the seed: FUZZ_SEED. */
const FRAMES = Number(process.env['FUZZ_FRAMES'] ?? 60_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
const PEERS = 8

const VALUES = ['"a"', '"*"', '"p1"', '"p2"', '"nobody"', '""', '"__proto__"', '"constructor"', '-1', '0', '1', '7', '1e400', '9007199254740993', 'null', 'true', '[]', '{}', '{"a":1}', '[[[[]]]]', '"\\u0000"', '"\\ud800"', `"${'x'.repeat(300)}"`, `${'{"a":'.repeat(50)}1${'}'.repeat(50)}`]
const KEYS = ['type', 'to', 'data', 'cid', 'ack', 'seq', 'metadata', '__proto__', 'd\\u0061ta', 'x']
const TYPES = ['"signal"', '"signal"', '"signal"', '"ack"', '"update"', '"leave"', '"dance"', '"__proto__"', '1']

/** Mostly nearly right, because what is far from right is refused at the first look. */
function frame (random: (below: number) => number): Buffer {
  const fields = [`"type":${TYPES[random(TYPES.length)]}`]
  for (let i = random(6); i > 0; i--) fields.push(`"${KEYS[random(KEYS.length)]}":${VALUES[random(VALUES.length)]}`)
  const bytes = Buffer.from(`{${fields.join(random(40) === 0 ? ';' : ',')}}`)
  if (random(12) === 0) for (let i = random(4); i >= 0; i--) bytes[random(bytes.length)] = random(256)
  return random(30) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

test(`frames of any kind (seed ${SEED}): every answer is a documented one, nobody else is ended, nothing is kept`, () => {
  const random = randomFrom(SEED)
  const { config } = loadConfig({ env: {}, readFile: () => '' })
  const limits = { ...config.signaling, signalsPerSecond: 100_000, signalsBurst: 1_000_000, graceSeconds: 0, mailboxSeconds: 0, unackedFrames: 100 }
  const signaling = createSignaling({ limits, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })
  const seen = { answers: new Set<string>(), codes: new Set<string>(), closes: new Set<number>() }
  const peers = new Map<string, SocketEvents>()
  let speaking = ''
  const join = (peer: string): void => {
    const socket: Socket = {
      send: text => {
        const { type, code } = JSON.parse(text) as { type: string, code?: string }
        seen.answers.add(type)
        if (code !== undefined) seen.codes.add(code)
      },
      close: code => {
        expect(peer, `seed ${SEED}`).toBe(speaking)
        seen.closes.add(code)
        peers.delete(peer)
      },
      terminate: () => {},
      ping: () => {},
      bufferedBytes: () => 0,
    }
    const grant: SignalGrant = { project: 'p', room: 'r', peer, role: null, metadata: {}, kind: 'mesh', capacity: 50, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' }
    peers.set(peer, signaling.attach(socket, grant, '127.0.0.1', { spoken: 'native', ack: null }))
  }
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) {
      speaking = `p${random(PEERS)}`
      if (!peers.has(speaking)) join(speaking)
      peers.get(speaking)?.onMessage(frame(random), random(200) === 0)
    }
  }
  send(FRAMES / 2)
  const before = process.memoryUsage().heapUsed
  send(FRAMES / 2)
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(150_000_000)
  // How many changes are told at once is a matter of time.
  expect([...seen.answers].filter(type => type !== 'presence' && type !== 'peer-updated').sort()).toEqual(['accepted', 'error', 'peer-joined', 'peer-left', 'signal', 'welcome'])
  expect([...seen.codes].filter(code => code !== 'signal-undelivered').sort()).toEqual(['frame-binary', 'frame-invalid', 'frame-not-json', 'frame-unknown', 'peer-unavailable'])
  // 4109: one that has acknowledged something, and then nothing.
  expect([...seen.closes].filter(code => code !== 4109).sort()).toEqual([1000, 4008])
})
