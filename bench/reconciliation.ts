/** The minute's comparison of our table with coturn's own, at 10,000 sessions that have all relayed since: how late the event loop is meanwhile, what of it is reading what `ps` has printed, and whether all of it is in the ledger. */
import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { createLogger } from '../src/cli/logger.ts'
import { createMetrics } from '../src/metrics/metrics.ts'
import { DEFAULT_PROJECT_SETTINGS } from '../src/protocol/project-settings.ts'
import { Allocations } from '../src/relay/allocations.ts'
import { Control } from '../src/relay/control.ts'
import { Cutter } from '../src/relay/cutter.ts'
import { openStore } from '../src/store/store.ts'
import { createUsage, migrations } from '../src/usage/usage.ts'
import { nowSeconds } from './house.ts'
import { report } from './processes.ts'

const SESSIONS = 10_000
const PROJECTS = 20
const ROUNDS = 9
const LAG_RESOLUTION_MS = 5
/** Until the ledger has been written, and longer. */
const REST_MS = 700

const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'bench/command-line.ts', String(SESSIONS), String(PROJECTS)], { stdio: ['pipe', 'pipe', 'inherit'] })
process.on('exit', () => child.kill('SIGKILL'))
const port = Number(await new Promise<string>(resolve => createInterface({ input: child.stdout }).once('line', resolve)))

const metrics = createMetrics()
const log = createLogger('silent', false)
const store = openStore(`${mkdtempSync(`${tmpdir()}/turnpike-bench-`)}/turnpike.db`, migrations)
const usage = createUsage({ store, log, metrics, nowSeconds, config: { detailDays: 92, keepDays: 1096 }, projects: () => [], settingsOf: () => DEFAULT_PROJECT_SETTINGS, announce: () => {} })
const allocations = new Allocations({
  relay: 'turnpike',
  coturn: 'turnpike.main',
  metrics,
  nowSeconds,
  onTraffic: event => usage.addTraffic(event),
  onBegun: event => usage.addAllocation(event),
  onEnded: session => usage.endAllocation({ coturn: 'turnpike.main', session }),
  onListed: () => {},
  onCount: () => {},
  isOwn: () => false,
  knowsProject: () => true,
})
const control = new Control({ host: '127.0.0.1', port, password: 'any' })
const reading: number[] = []
const cutter = new Cutter({
  relay: 'turnpike',
  isExternal: false,
  log,
  metrics,
  allocations,
  reasonToCut: ({ project }) => usage.reasonToCut(project, null),
  control: {
    cut: sessions => control.cut(sessions),
    sessions: async () => {
      const sessions = await control.sessions()
      reading.push(sessions.length)
      return sessions
    },
  },
})
await usage.start()
cutter.start()
const [lags, seconds]: [number[], number[]] = [[], []]
for (let i = 0; i <= ROUNDS; i++) {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  lag.enable()
  const began = performance.now()
  await cutter.compare()
  const took = performance.now() - began
  await wait(REST_MS)
  lag.disable()
  // The first makes all of them known.
  if (i === 0) continue
  lags.push(lag.max / 1e6 - LAG_RESOLUTION_MS)
  seconds.push(took / 1000)
}
const { groups } = usage.query({ project: null, from: nowSeconds() - 86_400, to: nowSeconds(), by: ['relay'], cursor: null, limit: 10 })
const inBooks = groups.reduce((sum, group) => sum + group.bytesFromClient, 0)
const listed = allocations.list().reduce((sum, { counted }) => sum + counted.receivedBytes, 0)
report(`ms of event loop lag at worst, ${SESSIONS} sessions compared`, lags, '≤ 100')
report('the same: seconds from the question to the table', seconds, '< 2')
report('the same: sessions, and bytes listed that are not in the books', [SESSIONS - (reading.at(-1) ?? 0), listed - inBooks], '0')
cutter.stop()
process.exit(0)
