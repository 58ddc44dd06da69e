/** Has a certificate made, in a process that ends with it. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import type { Pair } from '../tls/pair.ts'
import { foreignEnvironment, type Environment } from './environment.ts'
import type { Challenge, Failure, FromProcess, Question, Task, ToProcess } from './order-messages.ts'

/** Shows something to the authority, or takes it away again. Throws with what is in the way. */
export type Show = (present: boolean, challenge: Challenge) => Promise<void>

const PROGRAM = fileURLToPath(new URL('./order-process.ts', import.meta.url))
/** In the image there are no types, and what takes its files without them is among our own flags. */
const NODE_FLAGS = process.features.typescript === false ? process.execArgv : ['--disable-warning=ExperimentalWarning']
/** A hook for DNS alone may take two minutes, and the authority three. */
const DEADLINE_MS = 600_000

/** Throws acme-refused, acme-rate-limited, acme-challenge-failed, acme-hook-failed, acme-pending, acme-not-understood or acme-unreachable. */
export async function runTask (task: Task, show: Show, { env, signal }: { env: Environment, signal: AbortSignal }): Promise<Pair> {
  const child = fork(PROGRAM, { execArgv: NODE_FLAGS, env: foreignEnvironment(env), stdio: ['ignore', 'ignore', 'ignore', 'ipc'], signal, killSignal: 'SIGKILL', timeout: DEADLINE_MS })
  // Its end must not wait for ours.
  child.unref()
  return await new Promise<Pair>((resolve, reject) => {
    let own: unknown = null
    child.on('message', (message: FromProcess) => {
      if ('done' in message) return resolve(message.done)
      if ('failed' in message) return reject(own ?? errorOf(message.failed))
      answer(show, message).then(
        () => tell({ answered: message.ask, problem: null }),
        (error: unknown) => {
          // What cannot be taken away again is in the way of nothing.
          if (message.present) own ??= error
          tell({ answered: message.ask, problem: (error as Error).message })
        })
    })
    child.once('error', reject)
    child.once('exit', (code, killedBy) => reject(new TurnpikeError('internal', `the process that asks the certificate authority ended (${killedBy ?? code})`)))
    const tell = (message: ToProcess): void => { if (child.connected) child.send(message) }
    tell(task)
  })
}

async function answer (show: Show, { present, challenge }: Question): Promise<void> {
  await show(present, challenge)
}

/** Errors of RFC 8555 §6.7 that tell of what the authority saw when it asked for the name. */
const SEEN = ['connection', 'dns', 'tls', 'unauthorized', 'incorrectResponse']

const SAID_NOTHING: Readonly<Record<Failure['kind'], ErrorCode>> = { unreachable: 'acme-unreachable', pending: 'acme-pending', strange: 'acme-not-understood' }

function errorOf ({ kind, message, said, retryAfterSeconds }: Failure): TurnpikeError {
  const more = retryAfterSeconds === null ? {} : { retryAfterSeconds }
  const [first] = said
  if (first === undefined) return new TurnpikeError(SAID_NOTHING[kind], message, more)
  const detail = said.map(problem => problem.detail).join('; ').slice(0, 1000)
  return new TurnpikeError(codeOf(first.type, first.status), detail, more)
}

function codeOf (type: string, status: number): ErrorCode {
  if (type === 'rateLimited' || status === 429) return 'acme-rate-limited'
  if (status >= 500) return 'acme-unreachable'
  // A status below 400: of an authorization that came to nothing.
  return SEEN.includes(type) && status < 400 ? 'acme-challenge-failed' : 'acme-refused'
}
