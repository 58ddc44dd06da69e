/** `npm run bench`: every benchmark, one after another. Ratios of one run; the figures beside them mean little on another machine. */
import { spawnSync } from 'node:child_process'

const ON_CORE_1 = ['credentials', 'signaling', 'signaling-memory']
const ANYWHERE = ['startup', 'call-setup', 'revocation', 'relayed-packets', 'telemetry', 'feed', 'feed-table', 'reconciliation']

const flags = ['--disable-warning=ExperimentalWarning', '--expose-gc']
for (const name of ON_CORE_1) spawnSync('taskset', ['-c', '1', process.execPath, ...flags, `bench/${name}.ts`], { stdio: ['ignore', 'inherit', 'ignore'] })
for (const name of ANYWHERE) spawnSync(process.execPath, [...flags, `bench/${name}.ts`], { stdio: ['ignore', 'inherit', 'ignore'] })
