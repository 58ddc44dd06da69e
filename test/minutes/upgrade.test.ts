/** A call of a minute while its relay is replaced. It waits more than it works, so it runs beside the others. */
import { beforeAll, expect, test } from 'vitest'
import { isRefusal } from '../../src/stun/turn-client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { until } from '../kit/files.ts'
import { alternatePort, ask, metric, relay, untilPhase } from '../kit/operations.ts'
import { allocate, allocated, issue, relayPort, startCall } from '../kit/turn.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

// Ports that no test beside has.
const DEBIAN = { TURNPIKE_RELAY_MIN_PORT: '22000', TURNPIKE_RELAY_MAX_PORT: '22199' }
const DOCKER = { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE, TURNPIKE_RELAY_MIN_PORT: '22200', TURNPIKE_RELAY_MAX_PORT: '22399' }

/** A call of a minute, through whose middle the relay is replaced; what was lost of it. */
async function upgradeUnderACall (driver: Record<string, string>): Promise<{ app: TestApp, lost: number, sent: number }> {
  const app = await startApp({ ...driver, TURNPIKE_RELAY_HAND_OVER_SECONDS: '2' })
  const call = await startCall(app)
  const began = performance.now()
  await until('the call is under way', () => call.received() > 100)
  expect((await ask(app, 'upgrade')).status).toBe(202)
  await untilPhase(app, 'draining', 'alternate')
  // New calls go to the new coturn; the old one takes none.
  const issued = await issue(app)
  expect(issued.iceServers.flatMap(({ urls }) => urls)).toContain(`turn:127.0.0.1:${alternatePort(app)}?transport=udp`)
  await allocated(alternatePort(app), issued)
  const { outcome } = await allocate(relayPort(app), issued)
  expect(isRefusal(outcome) && [401, 403].includes(outcome.code)).toBe(true)
  expect((await relay(app)).leaving).toMatchObject({ allocations: 2 })
  await until('a minute is over', () => performance.now() - began > 60_000, 70_000)
  const { sent, received } = await call.end()
  await call.hangUp()
  return { app, lost: sent - received, sent }
}

test('a call of a minute loses nothing while coturn is replaced beside it, on 4.6.1 and 4.18.0; then the main ports serve again', async () => {
  const [debian, newest] = await Promise.all([upgradeUnderACall(DEBIAN), upgradeUnderACall(DOCKER)])
  for (const { app, lost, sent } of [debian, newest]) {
    expect(sent).toBeGreaterThan(5000)
    expect(lost).toBe(0)
    // The allocation of the one that was issued meanwhile is closed by its client's end, or at the deadline.
    await ask(app, 'upgrade', { drainSeconds: 1 })
    await untilPhase(app, 'done', 'main', 40_000)
    expect(await relay(app)).toMatchObject({ state: 'healthy', handedOut: true, leaving: null, port: relayPort(app) })
    expect(await metric(app, 'turnpike_relay_upgrades_total{relay="turnpike",result="done"}')).toBe(1)
    // Alice and bob: what was relayed over the old coturn is in the books, its last bytes too.
    const { body } = await app.request('/v1/usage?by=user', { key: app.adminKey })
    const users = (body['usage'] as { user: string, packetsFromClient: number }[]).filter(({ user }) => user === 'alice' || user === 'bob')
    expect(users.map(({ user }) => user)).toEqual(['alice', 'bob'])
    for (const { packetsFromClient } of users) expect(packetsFromClient).toBeGreaterThanOrEqual(sent / 2)
  }
}, 180_000)
