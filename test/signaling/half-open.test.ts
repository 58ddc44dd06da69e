/** A socket that is dead and does not say so is found by its silence, and its round trip is measured as long as it lives. */
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { startApp } from '../kit/app.ts'
import { Cable } from '../kit/cable.ts'
import { until } from '../kit/files.ts'
import { joinAs, tokenFor } from '../kit/peer.ts'
import { ResumingPeer } from '../kit/resuming-peer.ts'

const HEARTBEAT_SECONDS = 2
/** After so many heartbeats without a word, and then by the next looks: one for the socket, one for the place of its peer. */
const SILENT_HEARTBEATS = 2
const LOOKS_SECONDS = 3
const PEERS = 24

test('half-open sockets are found when they have been silent for two heartbeats: within 25 s with the settings as they come', async () => {
  const { config } = loadConfig({ env: {}, readFile: () => '' })
  expect(config.signaling.heartbeatSeconds * SILENT_HEARTBEATS + LOOKS_SECONDS).toBeLessThanOrEqual(25)
  const app = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: String(HEARTBEAT_SECONDS), TURNPIKE_SIGNALING_GRACE_SECONDS: '0' }, { programPath: [] })
  const watcher = await joinAs(app, 'r', 'watcher')
  const port = Number(new URL(app.url()).port)
  const stalledAt = new Map<string, number>()
  const foundAfterMs = new Map<string, number>()
  watcher.socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as { type: string, id?: string, left?: { id: string }[] }
    for (const { id } of frame.type === 'peer-left' ? [{ id: frame.id ?? '' }] : frame.left ?? []) foundAfterMs.set(id, performance.now() - (stalledAt.get(id) ?? Infinity))
  })
  const token = await tokenFor(app, 'r', { peer: '*' })
  for (let i = 0; i < PEERS; i++) {
    const cable = await Cable.to(port)
    const name = `p${i}`
    const peer = new ResumingPeer({ url: () => `ws://127.0.0.1:${cable.port}/v1/signal`, token, query: { peer: name }, comeBackAfterMs: () => 60_000 })
    await until('it is in', () => peer.isIn)
    // At another time of the heartbeat each; one way or both.
    setTimeout(() => {
      stalledAt.set(name, performance.now())
      cable.stall(i % 2 === 0 ? 'both' : 'up')
    }, i / PEERS * HEARTBEAT_SECONDS * 1000)
  }
  await until('all are found', () => foundAfterMs.size === PEERS, 20_000)
  const found = [...foundAfterMs.values()].sort((a, b) => a - b)
  process.stdout.write(`half-open sockets were found after ${Math.round(found[0] ?? 0)} to ${Math.round(found.at(-1) ?? 0)} ms of heartbeats of ${HEARTBEAT_SECONDS * 1000} ms\n`)
  expect(found.at(-1)).toBeLessThan((HEARTBEAT_SECONDS * SILENT_HEARTBEATS + LOOKS_SECONDS) * 1000)
  expect(found[0]).toBeGreaterThan(HEARTBEAT_SECONDS * 1000)
  expect(watcher.closed).toBe(null)
  const metrics = await (await fetch(app.metricsUrl())).text()
  const [, trips = '0'] = /^turnpike_signaling_round_trip_seconds_count (\d+)/m.exec(metrics) ?? []
  expect(Number(trips)).toBeGreaterThan(0)
})
