/** A raw client of the PeerJS dialect: the addresses that npm peerjs 1.5.5 builds, and every frame that is sent and received. */
import WebSocket from 'ws'
import type { TestApp } from './app.ts'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type PeerjsFrame = { type: string, src?: string, dst?: string, payload?: unknown }
export type PeerjsClient = { socket: WebSocket, texts: string[], frames: PeerjsFrame[], closed: number | null, send (frame: object | string | Buffer): void, next (type: string): Promise<PeerjsFrame>, close (): Promise<void> }
export type PeerjsOptions = { id?: string, token?: string, key?: string, path?: string, query?: string, headers?: Record<string, string>, firstBytes?: Buffer, endsWithTest?: boolean }

/** A project that answers PeerJS, without room tokens too where it says so. */
export async function allowPeerjs (app: TestApp, { project = 'default', anonymous = true } = {}): Promise<void> {
  const { status, body } = await app.request(`/v1/projects/${project}`, { method: 'PATCH', key: app.adminKey, body: JSON.stringify({ dialects: ['peerjs'], anonymousDialects: anonymous }) })
  if (status !== 200) throw new Error(JSON.stringify(body))
}

/** What is no JSON is a frame of no known type: for the test to look at. */
export function readFrame (text: string): PeerjsFrame {
  try {
    return JSON.parse(text) as PeerjsFrame
  } catch {
    return { type: 'no JSON' }
  }
}

/** Opens a socket; what is said on it, also a refusal, is for the test to look at. What ends with the test is held on to until then. */
export async function connectPeerjs (app: TestApp, { id = 'alice', token = 'made-up', key = 'peerjs', path = '/peerjs/', query, headers = {}, firstBytes, endsWithTest = true }: PeerjsOptions = {}): Promise<PeerjsClient> {
  const address = `${app.url().replace('http', 'ws').replace('localhost', '127.0.0.1')}${path}peerjs${query ?? `?key=${key}&id=${id}&token=${token}&version=1.5.5`}`
  const socket = new WebSocket(encodeURI(address), { headers, perMessageDeflate: false })
  const client: PeerjsClient = { socket, texts: [], frames: [], closed: null, send: frame => socket.send(typeof frame === 'string' || frame instanceof Buffer ? frame : JSON.stringify(frame)), next: async () => ({ type: '' }), close: async () => {} }
  socket.on('message', (data: Buffer) => {
    client.texts.push(data.toString())
    client.frames.push(readFrame(data.toString()))
  })
  socket.on('close', code => { client.closed = code })
  socket.on('error', () => {})
  // Bytes that are no frame, before the server has said anything.
  if (firstBytes !== undefined) socket.on('upgrade', response => { response.socket.write(firstBytes) })
  if (endsWithTest) whenDone(() => socket.terminate())
  const answered = new Promise<void>(resolve => socket.once('message', () => resolve()).once('close', () => resolve()))
  let read = 0
  client.next = async type => {
    let found = -1
    await until(`a frame ${type}`, () => (found = client.frames.findIndex((frame, i) => i >= read && frame.type === type)) !== -1)
    read = found + 1
    return client.frames[found] ?? { type: '' }
  }
  client.close = async () => {
    if (client.closed !== null) return
    const closed = new Promise(resolve => socket.once('close', resolve))
    socket.close()
    await closed
  }
  await answered
  return client
}

/** What a refused client has read, and how its socket was closed. */
export async function refusalOf (app: TestApp, options: PeerjsOptions): Promise<{ texts: string[], closed: number | null }> {
  const { texts, ...client } = await connectPeerjs(app, options).then(async made => {
    await until('the close', () => made.closed !== null)
    return made
  })
  return { texts, closed: client.closed }
}
