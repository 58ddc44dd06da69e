/** When connections leave paths whose credentials expire: by a clock of the test's own, with what an RTCPeerConnection says of its path. test/minutes does it with real ones. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Connections } from '../../../src/client/connections.ts'

const MINUTE = 60_000
const seconds = (minutes: number): number => minutes * 60

beforeEach(() => { vi.useFakeTimers({ now: 0 }) })
afterEach(() => { vi.useRealTimers() })

/** One that is connected: over a relay, or directly. */
class FakePeer {
  user = 'first'
  kind = 'relay'
  restarts = 0

  get localDescription (): object {
    return { sdp: `v=0\r\na=ice-ufrag:${this.user}\r\n` }
  }

  restartIce (): void {
    this.user = `after ${++this.restarts}`
  }

  setConfiguration (): void {}

  close (): void {}

  async getStats (): Promise<Map<string, object>> {
    const ends = ['local', 'remote'].map(id => [id, { id, candidateType: this.kind }] as const)
    return new Map<string, object>([['pair', { id: 'pair', type: 'candidate-pair', nominated: true, state: 'succeeded', localCandidateId: 'local', remoteCandidateId: 'remote' }], ...ends])
  }
}

/** A connection whose ICE servers expire after an hour. */
function connected (polite: boolean): { connections: Connections, peer: FakePeer } {
  const peer = new FakePeer()
  const connections = new Connections({ isOnline: () => true, iceServers: () => [], create: () => peer as unknown as RTCPeerConnection, send: () => {}, invite: () => {}, onTrouble: () => {} })
  connections.renew(seconds(60))
  connections.open({ id: 'bob', role: null, metadata: {}, polite }, { media: null, relayOnly: true })
  return { connections, peer }
}

/** Lets the time pass until that minute. */
async function until (minute: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(minute * MINUTE - Date.now())
}

test('the side that does not yield leaves the path 10 s before its credentials expire, the other one 5 s later where nobody has', async () => {
  const [impolite, polite] = [connected(false), connected(true)]
  for (const [minute, restarts] of [[45, [0, 0]], [59.8, [0, 0]], [59.85, [1, 0]], [59.9, [1, 0]], [59.95, [1, 1]]] as const) {
    await until(minute)
    if (minute === 45) for (const { connections } of [impolite, polite]) connections.renew(seconds(105))
    expect([impolite.peer.restarts, polite.peer.restarts], `${minute}`).toEqual(restarts)
  }
})

test('ICE servers that came with a resumed session do not put it off: the path has the credentials that it was found with', async () => {
  const { connections, peer } = connected(false)
  for (const minute of [10, 30, 50]) {
    await until(minute)
    connections.renew(seconds(minute + 60))
  }
  await until(59.9)
  expect(peer.restarts).toBe(1)
  // It has those of minute 50 now.
  await until(95)
  connections.renew(seconds(155))
  await until(109.8)
  expect(peer.restarts).toBe(1)
  await until(109.9)
  expect(peer.restarts).toBe(2)
})

test('a path that is direct, or was found meanwhile with fresh ones, is not left', async () => {
  const [direct, found] = [connected(false), connected(false)]
  await until(45)
  for (const { connections } of [direct, found]) connections.renew(seconds(105))
  direct.peer.kind = 'host'
  await until(50)
  found.peer.user = 'after another network'
  await until(61)
  expect([direct.peer.restarts, found.peer.restarts]).toEqual([0, 0])
  await until(90)
  for (const { connections } of [direct, found]) connections.renew(seconds(150))
  await until(106)
  expect([direct.peer.restarts, found.peer.restarts]).toEqual([0, 1])
})

test('timers hold 24 days: what lives for longer is left earlier, and never at once', async () => {
  const { connections, peer } = connected(false)
  await until(1)
  peer.user = 'found in minute 1'
  connections.renew(seconds(365 * 24 * 60))
  await until(59)
  peer.user = 'after another network'
  connections.renew(seconds(2 * 365 * 24 * 60))
  await until(24 * 24 * 60)
  expect(peer.restarts).toBe(0)
  await until(25 * 24 * 60)
  expect(peer.restarts).toBe(1)
})
