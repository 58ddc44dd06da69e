/** The operator's program that sets and removes a record in DNS (RFC 8555 §8.4). */
import { execFile } from 'node:child_process'
import { TurnpikeError } from '../protocol/errors.ts'
import { foreignEnvironment, type Environment } from './environment.ts'

const DEADLINE_MS = 120_000
const MOST_BYTES = 65_536

/** Calls it with three arguments and no shell. Throws acme-hook-failed with the last line that it said. */
export async function callDnsHook (program: string, action: 'add' | 'remove', record: string, value: string, { env, signal }: { env: Environment, signal: AbortSignal }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    execFile(program, [action, record, value], { env: foreignEnvironment(env), timeout: DEADLINE_MS, killSignal: 'SIGKILL', maxBuffer: MOST_BYTES, signal }, (error, stdout, stderr) => {
      if (error === null) return resolve()
      const last = `${stdout}\n${stderr}`.trim().split('\n').at(-1) ?? ''
      const how = error.killed === true ? `did not end within ${DEADLINE_MS / 1000} s` : typeof error.code === 'number' ? `ended with ${error.code}` : error.message
      reject(new TurnpikeError('acme-hook-failed', `${program} ${action} ${record} ${how}${last === '' ? '' : `: ${last.slice(0, 300)}`}`))
    })
  })
}
