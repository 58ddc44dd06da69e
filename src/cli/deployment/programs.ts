/** Other programs (docker, systemctl), run by their arguments and never through a shell. What is secret is never among the arguments: process lists show them. */
import { spawn, type StdioOptions } from 'node:child_process'
import { TurnpikeError } from '../../protocol/errors.ts'
import { isUndisturbed } from './undisturbed.ts'

export type Ended = { code: number, out: string, err: string }
export type Programs = {
  /** Resolves to how it ended, and what it said. */
  ask (program: string, args: readonly string[]): Promise<Ended>
  /** What it printed. Throws deployment-failed with its last words. */
  output (program: string, args: readonly string[]): Promise<string>
  /** What it says is shown as it comes, beside our own remarks. Throws deployment-failed. */
  show (program: string, args: readonly string[]): Promise<void>
  /** It has the terminal until it ends. Resolves to its exit code. */
  handOver (program: string, args: readonly string[]): Promise<number>
}

const NOT_FOUND = 127
const WORDS = 1500

export function createPrograms (env: Readonly<Record<string, string | undefined>>, cwd: string): Programs {
  const ask: Programs['ask'] = async (program, args) => await new Promise(resolve => {
    const said = { out: '', err: '' }
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: isUndisturbed() })
    child.stdout.on('data', (bytes: Buffer) => { said.out += bytes.toString('utf8') })
    child.stderr.on('data', (bytes: Buffer) => { said.err += bytes.toString('utf8') })
    child.on('error', error => resolve({ code: NOT_FOUND, out: '', err: error.message }))
    child.on('close', code => resolve({ code: code ?? 1, ...said }))
  })
  const passed = async (program: string, args: readonly string[], stdio: StdioOptions): Promise<number> => await new Promise(resolve => {
    const child = spawn(program, args, { cwd, env, stdio, detached: isUndisturbed() })
    // Through us, where the terminal may go away meanwhile: we do not mind that.
    child.stdout?.on('data', (bytes: Buffer) => process.stderr.write(bytes))
    child.stderr?.on('data', (bytes: Buffer) => process.stderr.write(bytes))
    child.on('error', () => resolve(NOT_FOUND))
    child.on('close', code => resolve(code ?? 1))
  })
  return {
    ask,
    output: async (program, args) => {
      const { code, out, err } = await ask(program, args)
      if (code === 0) return out.trim()
      throw new TurnpikeError('deployment-failed', `${program} ${args.join(' ')} ended with ${code}: ${(err.trim() || out.trim()).slice(-WORDS)}`)
    },
    show: async (program, args) => {
      const code = await passed(program, args, isUndisturbed() ? ['ignore', 'pipe', 'pipe'] : ['inherit', 2, 'inherit'])
      if (code !== 0) throw new TurnpikeError('deployment-failed', `${program} ${args.join(' ')} ended with ${code}; its own words are above`)
    },
    handOver: async (program, args) => await passed(program, args, 'inherit'),
  }
}
