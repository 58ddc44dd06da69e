/** Writes to the ledger of a data directory until it is killed; says so when the first is written. For tests that kill it. */
import { createMetrics } from '../../src/metrics/metrics.ts'
import { openStore } from '../../src/store/store.ts'
import { createUsage, migrations } from '../../src/usage/usage.ts'

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const nowSeconds = (): number => Math.floor(Date.now() / 1000)
const COUNTS = { receivedPackets: 1, receivedBytes: 100, sentPackets: 1, sentBytes: 7 }
const store = openStore(`${process.argv[2]}/turnpike.db`, migrations)
const usage = createUsage({ store, log, metrics: createMetrics(), nowSeconds, config: { detailDays: 92, keepDays: 1096 }, projects: () => [], settingsOf: () => null, announce: () => {} })
for (let i = 0; ; i++) {
  for (let user = 0; user < 20; user++) usage.addTraffic({ relay: 'turnpike', coturn: 'turnpike.main', session: `${i % 50}-${user}`, username: 'x', room: '', transport: 'udp', project: `p${user % 3}`, user: `u${i % 50}-${user}`, counts: COUNTS, counted: COUNTS, told: COUNTS })
  usage.query({ project: null, from: 0, to: nowSeconds(), by: ['relay'], cursor: null, limit: 1 })
  if (i === 0) process.stdout.write('writing\n')
}
