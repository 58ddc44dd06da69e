/**
 * Where Ayame clients connect: /ayame, and /signaling as at its own server. Who they are stands in their first frame, `register`, so the
 * socket is open before anybody is known; a refusal is the frame `reject`. They answer pings of their own kind, and some wait for them.
 */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { grantFor, type Claim, type JoiningNeeds } from '../../joining.ts'
import { isTurnpikeError, TurnpikeError } from '../../protocol/errors.ts'
import type { Signaling, Socket, SocketEvents } from '../../signaling/signaling.ts'
import type { App } from '../app-type.ts'
import { takeOver } from '../websocket.ts'
import { listen, type WsSocket } from '../ws-socket.ts'

export type AyameNeeds = JoiningNeeds & { signaling: Pick<Signaling, 'admit' | 'attach'>, /** In so much time a client says who it is. */ heartbeatSeconds: number }

declare module 'fastify' {
  interface FastifyRequest {
    /** The answer that the upgrade of an Ayame client leaves unused. */
    ayame: ServerResponse | null
  }
}

/** So many clients of one address may be about to say who they are. */
const MOST_UNREGISTERED = 100
const [PING, BYE] = ['{"type":"ping"}', '{"type":"bye"}']
const LONGEST_PONG = 64
const PUBLIC = { config: { access: 'public' as const }, schema: { hide: true } }

type Register = { roomId: string, clientId: string | undefined, token: string | undefined }

export function serveAyame (app: App, needs: AyameNeeds): void {
  app.decorateRequest('ayame', null)
  app.get('/.ok', PUBLIC, (_request, reply) => reply.send())
  const unregistered = new Map<string, number>()
  for (const url of ['/ayame', '/signaling']) {
    app.route({
      method: 'GET',
      url,
      ...PUBLIC,
      preValidation: async (request, reply) => {
        if (!request.ws) throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade')
        if ((unregistered.get(request.ip) ?? 0) >= MOST_UNREGISTERED) throw new TurnpikeError('too-many-sockets', `${MOST_UNREGISTERED} clients of one address may be about to register`)
        request.ayame = reply.raw
      },
      handler: async () => { throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade') },
      wsHandler: (ws, request) => awaitRegister(ws, request, { ...needs, log: app.log }, unregistered),
    })
  }
}

function awaitRegister (ws: WebSocket, request: FastifyRequest, needs: AyameNeeds & { log: Pick<App['log'], 'error'> }, unregistered: Map<string, number>): void {
  if (request.ayame === null) return ws.terminate()
  const { ip, headers } = request
  const { project } = request.query as { project?: string }
  const socket = takeOver(ws, request, request.ayame)
  const count = (change: number): void => {
    const now = (unregistered.get(ip) ?? 0) + change
    if (now > 0) unregistered.set(ip, now)
    else unregistered.delete(ip)
  }
  const done = (): void => {
    clearTimeout(tooLate)
    ws.off('error', onError).off('close', done).off('message', onMessage)
    count(-1)
  }
  const onError = (): void => ws.terminate()
  const onMessage = (data: Buffer, isBinary: boolean): void => {
    done()
    try {
      const { roomId, clientId, token } = readRegister(data, isBinary)
      const claim: Claim = { token, dialect: 'ayame', project, room: roomId, nickname: clientId ?? randomUUID() }
      const granted = grantFor(claim, { headers: { origin: headers.origin } }, needs)
      // Nobody resumes here, and whoever connects again is back before its old socket is known to be dead.
      const grant = granted.tokenId === '' ? granted : { ...granted, heldBy: `ayame ${granted.tokenId}` }
      needs.signaling.admit(grant, ip)
      const own = new AyameSocket(socket)
      listen(ws, own.hears(needs.signaling.attach(own, grant, ip, { spoken: 'ayame', ack: null })))
    } catch (error) {
      // Nobody catches what is thrown here: it would end the process.
      if (!isTurnpikeError(error)) needs.log.error({ err: error }, 'an Ayame client could not be taken')
      ws.on('error', onError)
      socket.send(JSON.stringify({ type: 'reject', reason: reasonOf(error) }), true)
      socket.close(1000, '')
    }
  }
  count(1)
  const tooLate = setTimeout(onError, needs.heartbeatSeconds * 1000)
  ws.on('error', onError).on('close', done).on('message', onMessage)
}

/** In the words of its own server where it has some. */
function reasonOf (error: unknown): string {
  if (!isTurnpikeError(error)) return 'InternalServerError'
  return error.code === 'room-full' ? 'full' : error.code
}

/** Throws invalid-request. */
function readRegister (data: Buffer, isBinary: boolean): Register {
  const invalid = (message: string): TurnpikeError => new TurnpikeError('invalid-request', message)
  let said: unknown = null
  try {
    said = isBinary ? null : JSON.parse(data.toString('utf8'))
  } catch {
    throw invalid('the first frame is not JSON')
  }
  const { type, roomId, clientId, signalingKey, key } = (said ?? {}) as Record<string, unknown>
  if (type !== 'register') throw invalid('the first frame is not register')
  if (typeof roomId !== 'string' || roomId === '') throw invalid('roomId is missing')
  // `key` is what signalingKey was called before, and what the web SDK still sends.
  const token = [signalingKey, key].find(text => typeof text === 'string' && text !== '') as string | undefined
  return { roomId, clientId: typeof clientId === 'string' && clientId !== '' ? clientId : undefined, token }
}

/** As its own server does it: pings are frames, and whoever is told that the other one is gone is closed. */
class AyameSocket implements Socket {
  readonly #ws: WsSocket
  #isPinged = false

  constructor (ws: WsSocket) {
    this.#ws = ws
  }

  send (text: string, isUrgent: boolean): void {
    this.#ws.send(text, isUrgent || text === BYE)
    if (text === BYE) this.#ws.close(1000, '')
  }

  close (code: number, reason: string): void {
    this.#ws.close(code, reason)
  }

  terminate (): void {
    this.#ws.terminate()
  }

  ping (): void {
    this.#isPinged = true
    this.#ws.send(PING, true)
  }

  bufferedBytes (): number {
    return this.#ws.bufferedBytes()
  }

  /** What the client says goes on to signaling; the pong that was waited for is one there too. */
  hears (events: SocketEvents): SocketEvents {
    return {
      onMessage: (data, isBinary) => {
        if (this.#isPinged && data.length <= LONGEST_PONG && data.includes('"pong"')) {
          this.#isPinged = false
          return events.onPong()
        }
        return events.onMessage(data, isBinary)
      },
      onPing: () => events.onPing(),
      onPong: () => events.onPong(),
      onClose: code => events.onClose(code),
    }
  }
}
