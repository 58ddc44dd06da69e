/** A real Prometheus over the whole app under real traffic: every expression of every panel has an answer, every rule is evaluated, and a healthy Turnpike raises no alert. */
import { expect, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { METRICS } from '../../src/metrics/metrics.ts'
import { alertRules } from '../kit/alerts.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { annotationExpressions, dashboardExpressions } from '../kit/dashboards.ts'
import { metricsIn } from '../kit/expressions.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { connect, joinAs } from '../kit/peer.ts'
import { startPrometheus, type Prometheus } from '../kit/prometheus.ts'
import { allocate, issue, relayPort, type Issued } from '../kit/turn.ts'

/** A rate needs two scrapes; what the probe and the ledger do takes some seconds more. */
const WITHIN_MS = 40_000

/** What does not happen here, and so may have no series: a panel shows 0 for it. */
const DOES_NOT_HAPPEN: Readonly<Record<string, string>> = {
  turnpike_relay_restarts_total: 'coturn does not crash',
  turnpike_relay_upgrades_total: 'no coturn is replaced',
  turnpike_relay_draining_allocations: 'nothing is drained',
  turnpike_relay_address_changes_total: 'the address stays',
  turnpike_relay_reconciliations_total: 'may come later than this test waits',
  turnpike_certificate_reloads_total: 'the certificate stays',
  turnpike_acme_orders_total: 'no certificate is ordered: acme.test.ts counts those',
  turnpike_acme_last_success_timestamp_seconds: 'the same',
  turnpike_webhooks_total: 'no quota is passed',
  turnpike_webhook_events_dropped_total: 'no event is dropped',
}

/** The certificate of the test holds for two days; how busy and how full the machine is, others decide. */
const MAY_BE_SO = /^Turnpike(CertificateEnds|EventLoopLag|DiskNearlyFull)/

async function startBoth (): Promise<{ app: TestApp, prometheus: Prometheus }> {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  const app = await startApp({ TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key, TURNPIKE_RELAY_PROBE_SECONDS: '1', TURNPIKE_SIGNALING_MAILBOX_SECONDS: '0', TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1' })
  await until('the relay is proved', async () => (await app.request('/readyz', { key: null })).status === 200, 20_000)
  return { app, prometheus: await startPrometheus(app.metricsUrl()) }
}

/** Two allocations that relay to each other; released, so that coturn reports what they relayed. */
async function relayBytes (app: TestApp, { username, credential }: Issued): Promise<void> {
  const [one, other] = await Promise.all([0, 1].map(() => TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port: relayPort(app), timeoutMs: 2000 })))
  if (one === undefined || other === undefined) throw new Error('no client')
  try {
    const login = { username, password: credential }
    const allocations = [await one.allocate(login), await other.allocate(login)]
    const [, target] = allocations
    if (target === undefined || isRefusal(target)) throw new Error(JSON.stringify(allocations))
    await Promise.all([one.createPermission('127.0.0.1'), other.createPermission('127.0.0.1')])
    let received = 0
    other.onData((_from, data) => { received += data.length })
    for (let i = 1; i <= 5; i++) {
      one.send(target.relayed, Buffer.alloc(1000, i))
      await until('it arrives', () => received === i * 1000)
    }
  } finally {
    await Promise.all([one.close(), other.close()])
  }
}

/** A user who is revoked: the allocation is cut, and another credential is refused. */
async function revoke (app: TestApp, user: string): Promise<void> {
  await allocate(relayPort(app), await issue(app, { user }))
  const { status } = await app.request(`/v1/turn/credentials/${user}`, { method: 'DELETE' })
  expect(status).toBe(200)
  const refused = await app.request('/v1/turn/credentials', { method: 'POST', body: JSON.stringify({ user }) })
  expect(refused.body['code']).toBe('user-revoked')
}

/** The names in the table that Prometheus has a series of. */
async function metricsWithSeries (prometheus: Prometheus): Promise<string[]> {
  const counted = await prometheus.query('count by (__name__) ({__name__=~"turnpike_.+"})')
  return counted.flatMap(({ metric }) => metricsIn(metric['__name__'] ?? ''))
}

/** Something of everything that people do, and that they do wrong. */
async function visit (app: TestApp, round: number): Promise<void> {
  const issued = await issue(app, { user: 'alice' })
  await relayBytes(app, issued)
  await allocate(relayPort(app), { ...issued, credential: 'wrong' })
  await revoke(app, `gone-${round}`)
  const [a, b] = [await joinAs(app, `room-${round}`, 'a'), await joinAs(app, `room-${round}`, 'b')]
  a.send({ type: 'signal', to: '*', data: 1 })
  await b.next('signal')
  a.send({ type: 'signal', to: 'nobody', data: 1 })
  await a.next('error')
  await connect(app, { token: 'no-token' })
  b.socket.terminate()
  await until('its socket is gone', () => b.closed !== null)
  await connect(app, { protocols: ['turnpike.v1', `turnpike.resume.${String(b.welcome['resume'])}`] })
  await a.close()
  await app.request('/v1/turn/credentials', { method: 'POST', key: 'tpk_wrong' })
  await app.request('/v1/turn/credentials', { method: 'POST', body: '{"ttl": "long"}' })
}

test('under real traffic every expression of every panel has an answer, all that happens is counted, and every rule is evaluated', async () => {
  const { app, prometheus } = await startBoth()
  const quota = await app.request('/v1/projects/default', { method: 'PATCH', key: app.adminKey, body: '{"quotas": {"bytesPerDay": 1000000000}}' })
  expect(quota.status).toBe(200)
  const expressions = dashboardExpressions()
  expect(expressions.length).toBeGreaterThan(60)
  const endsAt = performance.now() + WITHIN_MS
  let silent = expressions
  let missing = Object.keys(METRICS)
  for (let round = 0; silent.length + missing.length > 0 && performance.now() < endsAt; round++) {
    await visit(app, round)
    const results = await Promise.all(silent.map(async asked => ({ asked, series: await prometheus.query(asked.expr) })))
    silent = results.filter(({ series }) => series.length === 0).map(({ asked }) => asked)
    const present = await metricsWithSeries(prometheus)
    missing = Object.keys(METRICS).filter(name => !present.includes(name) && !Object.hasOwn(DOES_NOT_HAPPEN, name))
    // So that there is something new to be scraped.
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
  expect(silent.map(({ dashboard, panel, expr }) => `${dashboard}: ${panel}: ${expr}`)).toEqual([])
  // A panel may fall back to 0; what happened must have been counted.
  expect(missing).toEqual([])
  // What only events make has no answer here; that it is taken is enough.
  for (const { expr } of annotationExpressions()) await prometheus.query(expr)

  const { groups } = await prometheus.get('/api/v1/rules') as { groups: { rules: { name: string, health: string, state: string }[] }[] }
  const rules = groups.flatMap(({ rules: inGroup }) => inGroup)
  expect(rules.map(({ name }) => name)).toEqual(alertRules().map(({ alert }) => alert))
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
  expect(rules.filter(({ name, state }) => state !== 'inactive' && !MAY_BE_SO.test(name)).map(({ name }) => name)).toEqual([])
}, 120_000)

test('numbers that people read are those that happened', async () => {
  const { app, prometheus } = await startBoth()
  const panel = (title: string): string => dashboardExpressions().find(asked => asked.panel === title)?.expr ?? title
  const value = async (title: string): Promise<number> => Number((await prometheus.query(panel(title)))[0]?.value[1])
  await joinAs(app, 'room', 'a')
  await joinAs(app, 'room', 'b')
  const { outcome } = await allocate(relayPort(app), await issue(app))
  expect(isRefusal(outcome)).toBe(false)
  await until('both peers are shown', async () => await value('Peers in rooms') === 2)
  // Those of the probe do not count.
  await until('the allocation is shown', async () => await value('Allocations now') === 1)
  expect(await value('Control plane')).toBe(1)
  expect(await value('Alerts')).toBe(0)
  expect(await value('Credentials refused')).toBe(0)
  expect(await value('Restarts')).toBe(0)
})
