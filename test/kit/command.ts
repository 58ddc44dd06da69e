/** The program as a person starts it: `npm start`, or `turnpike …`, in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
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
