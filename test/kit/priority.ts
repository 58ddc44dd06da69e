/** Who has the processor first, where a test measures how long something takes on a machine that has other things to do. */
import { spawnSync } from 'node:child_process'

/** Its main thread comes before everything that is not put first too (sched(7)); as it is where that is not allowed. What it starts later does not inherit it. */
export function putFirst (pid: number): void {
  spawnSync('chrt', ['--reset-on-fork', '--fifo', '--pid', '10', String(pid)])
}

/** Like everything else again. */
export function putBack (pid: number): void {
  spawnSync('chrt', ['--other', '--pid', '0', String(pid)])
}
