import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createSignaling, type SignalGrant, type Socket } from '../../../src/signaling/signaling.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

/** What a client may close with (RFC 6455 §7.4.2, §7.4.1), and what is said where it closed with nothing. */
const OF_CLIENTS = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, ...Array.from({ length: 2000 }, (_, i) => 3000 + i)]

test('a client that closes with every code there is makes no more series than there are codes of the standard and ours', async () => {
  const metrics = createMetrics()
  const { config } = loadConfig({ env: {}, readFile: () => '' })
  const signaling = createSignaling({ limits: config.signaling, metrics, log: silentLog, nowSeconds: () => 1000, store: scratchStore(), limitsOf: () => null, iceServersFor: () => null, announce: () => {}, isEnabled: () => true, onKicked: async () => ({ allocationsClosed: 0 }) })
  const socket: Socket = { send: () => {}, close: () => {}, terminate: () => {}, ping: () => {}, bufferedBytes: () => 0 }
  OF_CLIENTS.forEach((code, i) => {
    const grant: SignalGrant = { project: 'p', room: `r${i}`, peer: 'a', role: null, metadata: {}, kind: 'mesh', capacity: 2, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't' }
    signaling.attach(socket, grant, '127.0.0.1', { spoken: 'native', ack: null }).onClose(code)
  })
  const lines = (await metrics.render()).text.split('\n').filter(line => line.startsWith('turnpike_signaling_closes_total'))
  const counts = Object.fromEntries(lines.map(line => /code="(\w+)"\} (\d+)/.exec(line)?.slice(1) ?? []))
  const named = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 4000, 4001, 4003, 4004, 4008, 4010, 4100, 4108, 4109, 4129, 4200]
  expect(counts).toEqual({ ...Object.fromEntries(named.map(code => [code, '1'])), other: String(OF_CLIENTS.length - named.length) })
})
