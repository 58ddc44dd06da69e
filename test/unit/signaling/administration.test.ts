import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import type { Dialect } from '../../../src/signaling/dialect.ts'
import { DIALECT_TABLE } from '../../../src/signaling/dialects/dialects.ts'
import { createSignaling, type Kicked, type Socket } from '../../../src/signaling/signaling.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

const { config } = loadConfig({ env: {}, readFile: () => '' })

function house () {
  const kicked: Kicked[] = []
  const signaling = createSignaling({
    ...{ limits: config.signaling, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, announce: () => {}, isEnabled: () => true },
    iceServersFor: () => ({ iceServers: [], expiresAtSeconds: 4600 }),
    onKicked: async peer => {
      kicked.push(peer)
      return { allocationsClosed: 3 }
    },
  })
  const join = (peer: string, spoken: 'native' | 'ayame' = 'native', tokenId = 't'): string[] => {
    const done: string[] = []
    const socket: Socket = { send: text => done.push(text), close: code => done.push(`close ${code}`), terminate: () => done.push('terminate'), ping: () => {}, bufferedBytes: () => 0 }
    signaling.attach(socket, { project: 'p', room: 'r', peer, role: null, metadata: {}, kind: 'mesh', capacity: 5, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId }, '192.0.2.1', { spoken, ack: null })
    return done
  }
  return { signaling, join, kicked }
}

/** A dialect that has a word for a message, or none. */
function speakAyame (words: string[]): void {
  const before = DIALECT_TABLE.ayame
  const dialect: Dialect = { name: 'ayame', takesBinary: false, relay: () => '', fromNative: () => null, toNative: () => undefined, tell: ({ type }) => (type === 'message' ? words : []), receive: () => {} }
  Object.assign(DIALECT_TABLE, { ayame: dialect })
  onTestFinished(() => { Object.assign(DIALECT_TABLE, { ayame: before }) })
}

test('a peer whose dialect has no words for a message is not counted, and by itself is dialect-mismatch', () => {
  const { signaling, join } = house()
  join('a')
  speakAyame([])
  const deaf = join('b', 'ayame')
  expect(signaling.rooms.say('p', 'r', '*', 1)).toBe(1)
  expect(() => signaling.rooms.say('p', 'r', 'b', 1)).toThrow(expect.objectContaining({ code: 'dialect-mismatch' }))
  expect(deaf).toEqual([])
  expect(signaling.rooms.inspect('p', 'r').peers).toMatchObject([{ id: 'a', protocol: 'native' }, { id: 'b', protocol: 'ayame', address: '192.0.2.1', since: 1000 }])
  speakAyame(['"said"'])
  const hearing = join('c', 'ayame')
  expect([signaling.rooms.say('p', 'r', '*', 1), signaling.rooms.say('p', 'r', 'c', 1), hearing]).toEqual([2, 1, ['"said"', '"said"']])
})

test('who is kicked is handed on with all that could bring it back; who came without a token has none to revoke', async () => {
  const { signaling, join, kicked } = house()
  join('a')
  join('b', 'native', '')
  expect(await signaling.rooms.kick('p', 'r', 'a', 'key:k', work => work())).toEqual({ allocationsClosed: 3, tokenRevoked: true })
  expect(await signaling.rooms.kick('p', 'r', 'b', 'key:k', work => work())).toEqual({ allocationsClosed: 3, tokenRevoked: false })
  expect(kicked).toEqual([{ project: 'p', room: 'r', peer: 'a', session: expect.stringMatching(/^s_/), keyId: null, tokenId: 't', until: 4600 }, expect.objectContaining({ peer: 'b', tokenId: '' })])
  expect(signaling.rooms.list('p')).toEqual([])
})

test('a project that is gone leaves nobody behind: one of its name begins empty', () => {
  const { signaling, join } = house()
  const [a, b] = [join('a'), join('b')]
  signaling.rooms.forgetProject('another')
  expect(signaling.rooms.list('p')).toHaveLength(1)
  signaling.rooms.forgetProject('p')
  for (const done of [a, b]) expect(done.at(-1)).toBe('close 4004')
  expect(signaling.rooms.list('p')).toEqual([])
})
