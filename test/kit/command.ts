/** The program as a person starts it: `npm start`, or `turnpike …`, in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { runCommand } from '../../src/cli/commands.ts'
import { describeFailure, exitCodeOf } from '../../src/cli/failure.ts'
import { until } from './files.ts'
import { whenDone } from './cleanup.ts'

export type Run = { child: ChildProcess, out (): string, err (): string, all (): string, exit: Promise<{ code: number | null, signal: string | null }>, until (words: string | RegExp, withinMs?: number): Promise<void> }

/** Starts it with these variables and nothing else of ours. */
export function run (program: string, args: string[], env: Record<string, string>): Run {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(program, args, { env: { PATH, HOME, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const texts = { out: '', err: '' }
  child.stdout.on('data', (bytes: Buffer) => { texts.out += bytes.toString() })
  child.stderr.on('data', (bytes: Buffer) => { texts.err += bytes.toString() })
  const exit = new Promise<{ code: number | null, signal: string | null }>(resolve => child.on('exit', (code, signal) => resolve({ code, signal })))
  whenDone(async () => {
    if (child.exitCode === null && child.signalCode === null) signalGroup(child, 'SIGTERM')
    await exit
  })
  const all = (): string => texts.out + texts.err
  return { child, out: () => texts.out, err: () => texts.err, all, exit, until: (words, withinMs = 30_000) => until(`the words ${words} in:\n${all().slice(-2000)}`, () => (typeof words === 'string' ? all().includes(words) : words.test(all())), withinMs) }
}

/** What Ctrl-C does: the signal goes to everybody in the foreground. */
export function signalGroup ({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal)
}

export type Said = { code: number, out: string, err: string }

/** A command as it is typed, in this process: a second is saved for each. One at a time, because what it writes is caught. */
export async function runHere (env: Record<string, string>, ...args: string[]): Promise<Said> {
  const { PATH = '', HOME = '' } = process.env
  const written = { out: '', err: '' }
  const before = { env: process.env, out: process.stdout.write, err: process.stderr.write }
  const into = (stream: 'out' | 'err') => ((text: string | Uint8Array) => {
    written[stream] += typeof text === 'string' ? text : Buffer.from(text).toString('utf8')
    return true
  }) as typeof process.stdout.write
  process.env = { PATH, HOME, ...env }
  process.stdout.write = into('out')
  process.stderr.write = into('err')
  try {
    return { code: await runCommand(args), ...written }
  } catch (error) {
    return { code: exitCodeOf(error), out: written.out, err: written.err + describeFailure(error) }
  } finally {
    process.env = before.env
    process.stdout.write = before.out
    process.stderr.write = before.err
  }
}
