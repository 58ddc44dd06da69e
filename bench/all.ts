/** `npm run bench`: every benchmark, one after another. Ratios of one run; the figures beside them mean little on another machine. */
import { spawnSync } from 'node:child_process'

const ON_CORE_1 = ['credentials', 'signaling', 'signaling-latency', 'signaling-memory', 'signaling-resumes']
const ANYWHERE = ['startup', 'call-setup', 'revocation', 'relayed-packets', 'edge', 'telemetry', 'feed', 'feed-table', 'reconciliation', 'appliance']

const flags = ['--disable-warning=ExperimentalWarning', '--expose-gc']
function run (name: string, pinned: string[]): void {
  const [program = '', ...args] = [...pinned, process.execPath, ...flags, `bench/${name}.ts`]
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'ignore'] })
  if (status === 0) return
  process.stdout.write(`bench/${name}.ts failed: run it alone to see why\n`)
  process.exitCode = 1
}

for (const name of ON_CORE_1) run(name, ['taskset', '-c', '1'])
for (const name of ANYWHERE) run(name, [])
