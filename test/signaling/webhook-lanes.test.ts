/** Webhooks against real receivers that fail in every way: order, pauses, who waits for whom, and what is never said. */
import { expect, onTestFinished, test } from 'vitest'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { applyPatch } from '../../src/protocol/project-settings.ts'
import { createWebhooks, type Webhooks, type WebhooksNeeds } from '../../src/webhooks/webhooks.ts'
import { freePorts, until } from '../kit/files.ts'
import { startReceiver, type Receiver } from '../kit/receiver.ts'
import { scratchStore, silentLog } from '../kit/store.ts'

const START = 1_800_000_000
type Bench = { webhooks: Webhooks, clock: { now: number }, text: () => Promise<string> }

/** Each project with its own receiver. */
async function startWebhooks (urls: Record<string, string>, more: Partial<WebhooksNeeds> = {}): Promise<Bench> {
  const clock = { now: START }
  const metrics = createMetrics()
  const webhooks = createWebhooks({ store: scratchStore(), log: silentLog, metrics, nowSeconds: () => clock.now, settingsOf: project => applyPatch({}, { webhook: urls[project] ?? null }).settings, secretOf: () => 'whsec_x', ...more })
  await webhooks.start()
  onTestFinished(async () => { await webhooks.stop(1000) })
  return { webhooks, clock, text: async () => (await metrics.render()).text }
}

const all = { state: null, cursor: null, limit: 1000 }
const peersOf = (sent: Receiver['sent']): unknown[] => sent.map(({ event }) => event['peer'])
const join = ({ webhooks }: Bench, project: string, peer: string): void => webhooks.announceSoon(project, 'peer.joined', { room: 'lobby', peer, role: null, session: 's' })
const isPoison = (peer: unknown): boolean => String(peer).startsWith('poison')

test('events of one project come one at a time and in order, also where one is taken only at its third attempt', async () => {
  const receiver = await startReceiver()
  const bench = await startWebhooks({ shop: receiver.url })
  let [refusals, open, mostOpen] = [2, 0, 0]
  receiver.answerWith(({ event }) => response => {
    mostOpen = Math.max(mostOpen, ++open)
    setImmediate(() => {
      open--
      const isRefused = event['peer'] === '7' && refusals-- > 0
      if (!isRefused) receiver.taken.push(receiver.sent.at(-1) as Receiver['sent'][number])
      response.writeHead(isRefused ? 503 : 204).end()
    })
  })
  const names = Array.from({ length: 40 }, (_, i) => String(i))
  for (const name of names) join(bench, 'shop', name)
  for (const attempts of [1, 2]) {
    await until(`attempt ${attempts} has failed`, () => bench.webhooks.list('shop', all).deliveries[0]?.attempts === attempts)
    expect(bench.webhooks.list('shop', all).deliveries).toHaveLength(33)
    bench.clock.now = bench.webhooks.list('shop', all).deliveries[0]?.nextAttemptAt ?? 0
  }
  await until('all are taken', () => bench.webhooks.list('shop', all).deliveries.length === 0)
  expect([peersOf(receiver.taken), mostOpen, receiver.sent.length, bench.clock.now]).toEqual([names, 1, 42, START + 3])
  expect(await bench.text()).toMatch(/turnpike_webhooks_total\{result="delivered"\} 40\n.*\{result="failed"\} 2|\{result="failed"\} 2\n.*\{result="delivered"\} 40/)
})

test('an event that is never taken holds the others for four attempts, and is then passed; its pauses grow to an hour, until it is given up', async () => {
  const receiver = await startReceiver(({ event }) => (isPoison(event['peer']) ? 400 : 200))
  const bench = await startWebhooks({ shop: receiver.url, fence: receiver.url })
  for (const peer of ['poison', 'a', 'b']) join(bench, 'shop', peer)
  const pauses: number[] = []
  const poison = () => bench.webhooks.list('shop', all).deliveries.find(({ event }) => event['peer'] === 'poison')
  for (let attempts = 1; attempts <= 14; attempts++) {
    await until(`attempt ${attempts} has failed`, () => poison()?.attempts === attempts)
    if (attempts === 4) {
      // The receiver took nothing for seven seconds, so what waits is sent at once when it takes something; then it has a second's rest.
      bench.clock.now++
      await until('it was tried again', () => poison()?.attempts === 5)
      bench.clock.now++
      await until('the others are taken', () => bench.webhooks.list('shop', all).deliveries.length === 1)
      attempts++
    }
    const next = poison()?.nextAttemptAt ?? 0
    pauses.push(next - bench.clock.now)
    bench.clock.now = next - 1
    join(bench, 'fence', `before ${attempts}`)
    await until('others are sent meanwhile', () => peersOf(receiver.taken).includes(`before ${attempts}`))
    expect(poison()?.attempts, 'nothing is sent before its time').toBe(attempts)
    bench.clock.now = next
  }
  const longest = [1, 2, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
  expect(pauses.map((pause, i) => pause <= (longest[i] ?? 0) && pause >= Math.floor((longest[i] ?? 0) * 0.8))).toEqual(longest.map(() => true))
  expect(peersOf(receiver.taken).filter(peer => peer === 'a' || peer === 'b')).toEqual(['a', 'b'])
  bench.clock.now = START + 3 * 86_400
  await until('it is given up', () => poison()?.state === 'dead')
  expect(poison()).toMatchObject({ attempts: 15, reason: 'it answered 400', nextAttemptAt: null, givenUpAt: bench.clock.now })
  expect(await bench.text()).toMatch(/turnpike_webhook_deliveries\{state="dead"\} 1/)
  receiver.answerWith(() => 200)
  bench.webhooks.replayDead('shop')
  await until('it is taken', () => peersOf(receiver.taken).includes('poison'))
})

test('a receiver that was down for an hour is sent all that waited at once, oldest first, when it takes something again', async () => {
  const receiver = await startReceiver(() => 503)
  const bench = await startWebhooks({ shop: receiver.url })
  for (let i = 0; i < 6; i++) {
    join(bench, 'shop', String(i))
    await until('it is written down', () => bench.webhooks.list('shop', all).deliveries.length === i + 1)
    bench.clock.now++
  }
  const attempts = (): number => bench.webhooks.list('shop', all).deliveries.reduce((sum, one) => sum + one.attempts, 0)
  for (let second = 0; attempts() < 30; second++) {
    if (second > 5000) throw new Error(`only ${attempts()} attempts`)
    const before = attempts()
    bench.clock.now = Math.min(...bench.webhooks.list('shop', all).deliveries.map(({ nextAttemptAt }) => Math.max(nextAttemptAt ?? 0, bench.clock.now)))
    await until('there was another attempt', () => attempts() > before)
  }
  receiver.answerWith(() => 200)
  // The pauses of most of them are longer than this; one is due by then.
  bench.clock.now = Math.min(...bench.webhooks.list('shop', all).deliveries.map(({ nextAttemptAt }) => nextAttemptAt ?? 0).filter(next => next > bench.clock.now))
  await until('all are taken', () => receiver.taken.length === 6)
  const [first, ...others] = peersOf(receiver.taken)
  expect(others).toEqual(['0', '1', '2', '3', '4', '5'].filter(peer => peer !== first))
})

test('receivers that hang or are not there keep nobody else waiting', async () => {
  const [port = 0] = await freePorts(1)
  const hanging = await startReceiver(() => () => {})
  const receiver = await startReceiver()
  const bench = await startWebhooks({ hangs: hanging.url, refuses: `http://127.0.0.1:${port}/`, shop: receiver.url })
  for (let i = 0; i < 50; i++) for (const project of ['hangs', 'refuses']) join(bench, project, String(i))
  await until('the first of them hangs', () => hanging.sent.length === 1)
  for (let i = 0; i < 20; i++) join(bench, 'shop', String(i))
  await until('the others are taken', () => receiver.taken.length === 20)
  expect([hanging.sent.length, hanging.aborted()]).toEqual([1, 0])
  await until('the one that hangs is given five seconds', () => bench.webhooks.list('hangs', all).deliveries[0]?.reason === 'TimeoutError', 20_000)
  expect(bench.webhooks.list('refuses', all).deliveries[0]).toMatchObject({ reason: 'ECONNREFUSED', state: 'waiting' })
})

test('a receiver that says it is gone is believed at once; a redirect is not followed', async () => {
  const elsewhere = await startReceiver()
  const gone = await startReceiver(() => 410)
  const redirecting = await startReceiver(() => response => { response.writeHead(307, { location: elsewhere.url }).end() })
  const bench = await startWebhooks({ gone: gone.url, redirecting: redirecting.url })
  for (const project of ['gone', 'redirecting']) join(bench, project, 'a')
  const [one, other] = [() => bench.webhooks.list('gone', all).deliveries[0], () => bench.webhooks.list('redirecting', all).deliveries[0]]
  await until('both were tried', () => (one()?.attempts ?? 0) + (other()?.attempts ?? 0) === 2)
  expect(one()).toMatchObject({ state: 'dead', attempts: 1, reason: 'it answered 410' })
  expect(other()).toMatchObject({ state: 'waiting', attempts: 1, reason: 'it answered 307' })
  expect(elsewhere.sent).toEqual([])
})

test('what was sent and could not be written down is not sent again before it is', async () => {
  const receiver = await startReceiver()
  const store = scratchStore()
  let isFull = false
  const failures: string[] = []
  const run: typeof store.run = (sql, ...values) => {
    if (!isFull) return store.run(sql, ...values)
    failures.push(sql)
    throw new Error('the disk is full')
  }
  const bench = await startWebhooks({ shop: receiver.url }, { store: { ...store, run } })
  bench.webhooks.announce('shop', 'room.started', { room: 'a', kind: 'mesh' })
  isFull = true
  await until('it was tried to be written several times', () => failures.length > 4)
  expect(receiver.sent).toHaveLength(1)
  isFull = false
  await until('it is written down', () => bench.webhooks.list('shop', all).deliveries.length === 0)
  expect(receiver.sent).toHaveLength(1)
})

test('neither the secret nor the address is ever logged, or stands in a reason', async () => {
  const lines: string[] = []
  const into = (level: string) => (fields: object, message: string): void => { lines.push(`${level} ${JSON.stringify(fields)} ${message}`) }
  const log = { debug: into('debug'), info: into('info'), warn: into('warn'), error: into('error') }
  const [port = 0] = await freePorts(1)
  const receivers = { fails: `${(await startReceiver(() => 500)).url}?key=in-the-url`, gone: `${(await startReceiver(() => 410)).url}?key=in-the-url`, refuses: `http://127.0.0.1:${port}/in-the-url`, 'no-name': 'http://in-the-url.invalid/', login: 'http://user:in-the-url@127.0.0.1/', 'no-url': 'http://in-the-url:99999/' }
  const bench = await startWebhooks(receivers, { log, secretOf: () => 'whsec_of-the-project' })
  for (const project of Object.keys(receivers)) join(bench, project, 'a')
  const found = () => Object.keys(receivers).flatMap(project => bench.webhooks.list(project, all).deliveries)
  await until('all were tried', () => found().length === 6 && found().every(({ attempts }) => attempts === 1))
  expect(lines.filter(line => /^(warn|error)/.test(line))).toHaveLength(6)
  expect(found().map(({ reason }) => reason)).toEqual(['it answered 500', 'it answered 410', 'ECONNREFUSED', expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/), 'TypeError', 'ERR_INVALID_URL'])
  expect([...lines, JSON.stringify(found())].filter(text => /in-the-url|whsec_/.test(text))).toEqual([])
})
