/**
 * How the command line reaches the API: at the address it is given, else at the server that runs on this data directory, else in the
 * database itself while no server runs. It is the same API each time, so that a command means the same everywhere.
 */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { UsageError } from './command.ts'
import { TurnpikeError, errorEntry, ERRORS, type ErrorCode } from '../protocol/errors.ts'

export type ApiRequest = { method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, query?: Record<string, string | undefined>, body?: unknown, accept?: string }
export type ApiAnswer = { status: number, type: string, body: Buffer }
export type ApiClient = {
  send (request: ApiRequest): Promise<ApiAnswer>
  /** What it answers piece by piece, because it may be more than memory holds. Throws what the server refused with. */
  pieces (request: ApiRequest): Promise<AsyncIterable<Uint8Array>>
  close (): Promise<void>
}
/** What `serve` leaves in the data directory for the command line of the same user: where it listens, and a key that ends with it. */
export type ControlFile = { url: string, key: string }

export const controlFileOf = (dataDir: string): string => `${dataDir}/control.json`
const TIMEOUT_MS = 120_000
const TIMEOUT_OF_MUCH_MS = 3_600_000
const TRIES = 3

export type ClientNeeds = {
  /** Of `--url`. */
  url: string | undefined
  /** Of TURNPIKE_ADMIN_KEY or TURNPIKE_API_KEY. */
  key: string | undefined
  dataDir: string
  /** Opens the house over the data directory without starting it. */
  openHouse: () => { inject: (request: { method: string, path: string, headers: Record<string, string>, body?: string }) => Promise<{ status: number, headers: Record<string, unknown>, body: Buffer }>, lendAdminKey: () => string, close: () => void }
}

/** Throws server-unreachable, data-dir-locked or unauthorized. */
export async function openClient ({ url, key, dataDir, openHouse }: ClientNeeds): Promise<ApiClient> {
  if (url !== undefined) {
    if (!/^https?:\/\//.test(url)) throw new UsageError(`--url ${url} does not begin with https:// or http://`)
    if (key === undefined) throw new TurnpikeError('unauthorized', '--url needs a key in TURNPIKE_ADMIN_KEY (or TURNPIKE_API_KEY), or in a file that TURNPIKE_ADMIN_KEY_FILE names')
    return remote(url.replace(/\/+$/, ''), key)
  }
  for (let attempt = 1; ; attempt++) {
    const control = readControlFile(dataDir)
    if (control !== null && await answers(control)) return remote(control.url, control.key)
    if (!existsSync(`${dataDir}/turnpike.db`)) throw new TurnpikeError('server-unreachable', `there is no server and no database in ${dataDir}`)
    try {
      const house = local(openHouse())
      process.stderr.write('turnpike: note: no server runs on this data directory; what needs the relay cannot be done\n')
      return house
    } catch (error) {
      // It may be starting: it holds the directory, and has not said yet where it listens.
      if (!(error instanceof TurnpikeError) || error.code !== 'data-dir-locked' || attempt === TRIES) throw error
      await wait(1000)
    }
  }
}

/** The answer as JSON. Throws what the server refused with. */
export async function sendJson (client: ApiClient, request: ApiRequest): Promise<Record<string, unknown>> {
  const { status, body } = await sendOk(client, request)
  return status === 204 ? {} : JSON.parse(body.toString('utf8')) as Record<string, unknown>
}

/** Throws what the server refused with, in its words. */
export async function sendOk (client: ApiClient, request: ApiRequest): Promise<ApiAnswer> {
  return accepted(await client.send(request))
}

function accepted (answer: ApiAnswer): ApiAnswer {
  if (answer.status < 400) return answer
  const text = answer.body.toString('utf8')
  const problem = (answer.type.includes('json') ? JSON.parse(text) : {}) as { code?: string, detail?: string }
  const isOurs = problem.code !== undefined && Object.hasOwn(ERRORS, problem.code)
  throw new TurnpikeError(isOurs ? problem.code as ErrorCode : 'server-unreachable', isOurs ? String(problem.detail) : `it answered ${answer.status}, and not as a Turnpike`)
}

/** sysexits.h: 65 what was asked was wrong, 69 no server, 75 try again later, 77 not allowed. */
export function exitCodeOfProblem (code: ErrorCode): number {
  const { exit, status } = errorEntry(code)
  if (exit !== undefined) return exit
  if (status === 401 || status === 403) return 77
  if (status === 429 || status >= 500) return 75
  return 65
}

function remote (url: string, key: string): ApiClient {
  const asking = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      const { cause, message } = error as Error & { cause?: { code?: string } }
      throw new TurnpikeError('server-unreachable', `${url}: ${cause?.code ?? message}`, { cause: error })
    }
  }
  const ask = async ({ method, path, query, body, accept }: ApiRequest, withinMs: number): Promise<Response> => await fetch(url + path + queryOf(query), { method, headers: headersOf(key, body, accept), signal: AbortSignal.timeout(withinMs), ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const whole = async (answer: Response): Promise<ApiAnswer> => ({ status: answer.status, type: answer.headers.get('content-type') ?? '', body: Buffer.from(await answer.arrayBuffer()) })
  return {
    send: async request => await asking(async () => await whole(await ask(request, TIMEOUT_MS))),
    pieces: async request => {
      const answer = await asking(async () => await ask(request, TIMEOUT_OF_MUCH_MS))
      if (answer.status < 400 && answer.body !== null) return answer.body
      accepted(await asking(async () => await whole(answer)))
      throw new TurnpikeError('server-unreachable', `${url} answered nothing`)
    },
    close: async () => {},
  }
}

function local (house: ReturnType<ClientNeeds['openHouse']>): ApiClient {
  const key = house.lendAdminKey()
  const send = async ({ method, path, query, body, accept }: ApiRequest): Promise<ApiAnswer> => {
    const { status, headers, body: answer } = await house.inject({ method, path: path + queryOf(query), headers: headersOf(key, body, accept), ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    return { status, type: String(headers['content-type'] ?? ''), body: answer }
  }
  return {
    send,
    pieces: async request => {
      const { body } = accepted(await send(request))
      return (async function * () { yield body })()
    },
    close: async () => house.close(),
  }
}

async function answers ({ url, key }: ControlFile): Promise<boolean> {
  try {
    const { status } = await fetch(`${url}/v1/secrets/turn`, { headers: { authorization: `Bearer ${key}` }, signal: AbortSignal.timeout(5000) })
    return status === 200
  } catch {
    return false
  }
}

function readControlFile (dataDir: string): ControlFile | null {
  try {
    const { url, key } = JSON.parse(readFileSync(controlFileOf(dataDir), 'utf8')) as Partial<ControlFile>
    return typeof url === 'string' && typeof key === 'string' ? { url, key } : null
  } catch {
    return null
  }
}

function headersOf (key: string, body: unknown, accept: string | undefined): Record<string, string> {
  return { authorization: `Bearer ${key}`, accept: accept ?? 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
}

function queryOf (query: ApiRequest['query']): string {
  const given = Object.entries(query ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}
