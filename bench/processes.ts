/** What the benchmarks share: servers as processes on one core, the load on the other, medians, and nothing left running. */
import { spawn, type ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'

/** Starts a script pinned to core 0; resolves to its first line of output. */
export async function startServer (script: string, args: string[], nodeFlags: string[] = []): Promise<{ child: ChildProcess, line: string, say (text: string): Promise<string> }> {
  const pinned = availableParallelism() > 1 ? ['taskset', '-c', '0'] : []
  const [program = process.execPath, ...rest] = [...pinned, process.execPath, '--disable-warning=ExperimentalWarning', ...nodeFlags, script, ...args]
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  process.on('exit', () => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const nextLine = async (): Promise<string> => await new Promise(resolve => lines.once('line', resolve))
  const line = await nextLine()
  return {
    child,
    line,
    say: async text => {
      const answer = nextLine()
      child.stdin.write(`${text}\n`)
      return await answer
    },
  }
}

export function median (values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** One line: what, the ratio's median and range, and what was aimed at. */
export function report (what: string, ratios: readonly number[], goal: string): void {
  process.stdout.write(`${what.padEnd(66)} ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})  goal ${goal}\n`)
}
