/** What the benchmarks share: servers as processes on one core, the load on the other, medians, and nothing left running. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'

export type Program = {
  child: ChildProcess
  /** Its first line of output. */
  line: string
  /** Sends it a line; resolves to its answer. */
  say (text: string): Promise<string>
  /** CPU that it has used. */
  cpuSeconds (): number
}

/** As bin/turnpike.mjs starts it. */
export const AS_SHIPPED = ['--max-semi-space-size=16']

/** Starts a script of ours pinned to core 0. */
export async function startServer (script: string, args: string[], nodeFlags: string[] = []): Promise<Program> {
  return await startProgram([process.execPath, '--disable-warning=ExperimentalWarning', ...nodeFlags, script, ...args])
}

/** Starts a program pinned to core 0; resolves when it has printed a line. */
export async function startProgram (command: string[]): Promise<Program> {
  const pinned = availableParallelism() > 1 ? ['taskset', '-c', '0'] : []
  const [program = '', ...args] = [...pinned, ...command]
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  process.on('exit', () => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const nextLine = async (): Promise<string> => await new Promise((resolve, reject) => {
    lines.once('line', resolve)
    child.once('exit', () => reject(new Error(`ended: ${command.join(' ')}`)))
  })
  const line = await nextLine()
  return {
    child,
    line,
    say: async text => {
      const answer = nextLine()
      child.stdin.write(`${text}\n`)
      return await answer
    },
    cpuSeconds: () => cpuSeconds(child.pid ?? 0),
  }
}

/** Of all its threads, in nanoseconds: the ticks of proc(5), stat, are a hundredth of a second, and a short round on a busy machine has few of them. */
function cpuSeconds (pid: number): number {
  const threads = `/proc/${pid}/task`
  return readdirSync(threads).reduce((sum, thread) => sum + Number(readFileSync(`${threads}/${thread}/schedstat`, 'utf8').split(' ')[0]), 0) / 1e9
}

export function median (values: readonly number[]): number {
  return percentile(values, 0.5)
}

export function percentile (values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN
}

/** One line: what, the ratio's median and range, and what was aimed at. */
export function report (what: string, ratios: readonly number[], goal: string): void {
  process.stdout.write(`${what.padEnd(66)} ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})  goal ${goal}\n`)
}
