/**
 * The door of the guard: a process of its own between Turnpike and the Docker engine. It alone holds the engine's socket, which is root on
 * the machine, and offers another one that takes the docker driver's calls on this Turnpike's own coturns and nothing else.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Log, Part } from '../lifecycle.ts'
import { decide, type Asked } from './calls.ts'
import { engineAt, type Engine, type EngineCall } from './engine.ts'
import { findPlace, type Place } from './place.ts'
import { keepRaising, raise } from './raise.ts'
import { Refused } from './refused.ts'

export type GuardNeeds = {
  /** The engine's socket. */
  engine: string
  /** The socket that is offered. */
  listen: string
  /** Turnpike's data directory as the guard sees it, absolute. */
  dataDir: string
  /** The images that coturn may be run from. */
  images: readonly string[]
  log: Log
}

/** Who may write to the socket: its owner and its group, which is Turnpike's. */
const SOCKET_MODE = 0o660
const MOST_CONNECTIONS = 128

/** Part: `start` rejects where the socket cannot be made; an engine that is away is told to whoever asks. */
export function createGuard (needs: GuardNeeds): Part {
  const { listen, log } = needs
  const engine = engineAt(needs.engine)
  const inTurn = oneAfterAnother()
  const place = remembered(async () => await findPlace(engine, needs.dataDir))
  const server = createServer((request, response) => { answer(request, response, { ...needs, engine, place, inTurn }).catch(error => log.error({ reason: String(error) }, 'a request could not be answered')) })
  server.maxConnections = MOST_CONNECTIONS
  // Whoever would speak another protocol on the connection would speak it past us.
  server.on('upgrade', ({ method, url }, socket) => {
    log.warn({ method, path: url?.slice(0, 200), reason: 'no connection is handed over' }, 'refused')
    // Nobody else listens to this socket any more: its errors would end us, and a caller who never ends its side would keep it.
    socket.on('error', () => socket.destroy()).end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n', () => socket.destroy())
  })
  let stopRaising = (): void => {}
  return {
    name: 'guard',
    start: async () => {
      // What a guard that was killed has left.
      rmSync(listen, { force: true })
      await listenOn(server, listen)
      chmodSync(listen, SOCKET_MODE)
      await place().then(({ data }) => log.info({ listen, data, images: needs.images }, 'the Docker engine is guarded'), (error: unknown) => log.warn({ reason: (error as Error).message }, 'nothing is passed on until this is mended'))
      stopRaising = keepRaising(async () => {
        const { composeProject } = await place()
        const raised = composeProject === null ? [] : await raise(engine, composeProject)
        if (raised.length > 0) log.info({ raised }, 'the engine had given these up after it started, for want of their network; they run now')
      })
    },
    stop: async () => {
      stopRaising()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** What was found is kept; what failed is tried again. */
function remembered<T> (find: () => Promise<T>): () => Promise<T> {
  let found: T | undefined
  return async () => (found ??= await find())
}

type InTurn = (work: () => Promise<void>) => Promise<void>

/** What is given to it begins when what was given before has ended, well or not. */
function oneAfterAnother (): InTurn {
  let last = Promise.resolve()
  return async work => {
    const own = last.then(work)
    last = own.catch(() => {})
    await own
  }
}

async function answer (request: IncomingMessage, response: ServerResponse, { engine, place, dataDir, images, log, inTurn }: Omit<GuardNeeds, 'engine'> & { engine: Engine, place: () => Promise<Place>, inTurn: InTurn }): Promise<void> {
  const { method = '', url = '' } = request
  const pass = async (): Promise<void> => {
    const verdict = await decide(askedBy(request), { engine, place: await place(), dataDir, images })
    if ('answer' in verdict) return send(response, 200, verdict.answer)
    log.debug({ method, path: verdict.call.path }, 'passed on')
    await passOn(engine, verdict.call, response)
  }
  try {
    // Until the engine has made one, it does not count it.
    await (url.startsWith('/containers/create') ? inTurn(pass) : pass())
  } catch (error) {
    if (response.headersSent) {
      response.destroy()
      return
    }
    const { status, message } = error instanceof Refused ? error : new Refused('the guard has failed', 500)
    if (status === 403) log.warn({ method, path: url.split('?')[0]?.slice(0, 200), reason: message }, 'refused')
    if (status >= 500) log.error({ method, path: url.split('?')[0]?.slice(0, 200), reason: String(error) }, 'not passed on')
    // Nobody reads the rest of what was refused.
    response.shouldKeepAlive = false
    send(response, status, { message: `turnpike docker-guard: ${message}` })
  }
}

function askedBy (request: IncomingMessage): Asked {
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    body: async mostBytes => {
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of request) {
        size += (chunk as Buffer).length
        if (size > mostBytes) throw new Refused(`the body is longer than ${mostBytes} bytes`)
        chunks.push(chunk as Buffer)
      }
      return Buffer.concat(chunks)
    },
  }
}

/** A log that is followed, an image that is pulled: as it comes, and no faster than it is read. */
async function passOn (engine: Engine, call: EngineCall, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const answered = await engine.open(call, gone.signal)
  const { 'content-type': type, 'content-length': length } = answered.headers
  response.writeHead(answered.statusCode ?? 502, { ...(type === undefined ? {} : { 'content-type': type }), ...(length === undefined ? {} : { 'content-length': length }) })
  response.flushHeaders()
  await pipeline(answered, response)
}

function send (response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

async function listenOn (server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}
