/** A raw signaling client: what is sent and received is seen frame by frame. */
import WebSocket from 'ws'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../../src/protocol/frames.ts'
import type { TestApp } from './app.ts'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type Frame = Record<string, unknown> & { type: string }
export type Peer = { socket: WebSocket, frames: Frame[], texts: string[], welcome: Frame, closed: { code: number, reason: string } | null, send (frame: object | string | Buffer): void, next (type: string): Promise<Frame>, close (): Promise<void> }
export type Refused = { status: number, body: Record<string, unknown> }

/** A token for a room of the default project. */
export async function tokenFor (app: TestApp, room: string, request: object): Promise<string> {
  const { body, status } = await app.request(`/v1/rooms/${encodeURIComponent(room)}/tokens`, { method: 'POST', body: JSON.stringify(request) })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return String(body['token'])
}

/** Connects; resolves to a peer that was welcomed, or to how it was refused. */
export async function connect (app: Pick<TestApp, 'url'>, { token, protocols, query = '', headers = {} }: { token?: string, protocols?: string[], query?: string, headers?: Record<string, string> }): Promise<Peer | Refused> {
  const socket = new WebSocket(`${app.url().replace('http', 'ws').replace('localhost', '127.0.0.1')}/v1/signal${query}`, protocols ?? [SUBPROTOCOL, `${TOKEN_PREFIX}${token}`], { headers, perMessageDeflate: false })
  const peer: Peer = { socket, frames: [], texts: [], welcome: { type: '' }, closed: null, send: frame => socket.send(frame instanceof Buffer || typeof frame === 'string' ? frame : JSON.stringify(frame)), next: async () => peer.welcome, close: async () => {} }
  socket.on('message', (data: Buffer) => {
    peer.texts.push(data.toString())
    peer.frames.push(JSON.parse(data.toString()) as Frame)
  })
  socket.on('close', (code, reason) => { peer.closed = { code, reason: reason.toString() } })
  const refused = new Promise<Refused>(resolve => socket.on('unexpected-response', (_request, response) => {
    let text = ''
    response.on('data', (bytes: Buffer) => { text += bytes.toString() })
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }))
  }))
  socket.on('error', () => {})
  whenDone(() => socket.terminate())
  const welcomed = until('the welcome', () => peer.frames.length > 0 || peer.closed !== null, 5000).then(() => peer)
  const outcome = await Promise.race([refused, welcomed])
  if ('status' in outcome) {
    welcomed.catch(() => {})
    return outcome
  }
  peer.welcome = peer.frames[0] ?? { type: '' }
  let read = 1
  peer.next = async type => {
    let found = -1
    await until(`a frame ${type}`, () => (found = peer.frames.findIndex((frame, i) => i >= read && frame.type === type)) !== -1, 5000)
    read = found + 1
    return peer.frames[found] ?? { type: '' }
  }
  peer.close = async () => {
    socket.close()
    await until('the close', () => peer.closed !== null)
  }
  return peer
}

/** Joins a room; fails where that is refused. */
export async function joinAs (app: TestApp, room: string, peer: string, more: object = {}): Promise<Peer> {
  const joined = await connect(app, { token: await tokenFor(app, room, { peer, ...more }) })
  if ('status' in joined) throw new Error(`${joined.status} ${JSON.stringify(joined.body)}`)
  return joined
}
