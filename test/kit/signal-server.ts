/** A signaling server that does what a test says and nothing else: for what clients do when things go wrong. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type Frame = Record<string, unknown> & { type: string }
export type Accepted = {
  /** What the client offered: its token and its secret among it. */
  protocols: string[]
  query: URLSearchParams
  frames: Frame[]
  closed: number | null
  socket: WebSocket
  send (...frames: object[]): void
  /** The next frame of that type that was not returned yet. */
  next (type: string): Promise<Frame>
}
export type SignalServer = {
  url: string
  sockets: Accepted[]
  /** How often a socket was asked for, those that were refused too. */
  attempts: number
  /** Sockets are refused with this; null: they are let in. */
  refusal: { status: number, code: string, detail: string } | null
  /** The next socket. */
  accept (): Promise<Accepted>
  stop (): Promise<void>
}

export async function startSignalServer (port = 0): Promise<SignalServer> {
  const http = createServer((_request, response) => {
    const { refusal } = server
    response.writeHead(refusal?.status ?? 426, { 'content-type': 'application/problem+json' }).end(JSON.stringify(refusal ?? { code: 'upgrade-required', detail: 'no upgrade' }))
  })
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'turnpike.v1' })
  let taken = 0
  const server: SignalServer = {
    url: '',
    sockets: [],
    attempts: 0,
    refusal: null,
    accept: async () => {
      await until('a socket', () => server.sockets.length > taken)
      return server.sockets[taken++] as Accepted
    },
    stop: async () => {
      for (const client of sockets.clients) client.terminate()
      http.closeAllConnections()
      await new Promise(resolve => http.close(resolve))
    },
  }
  http.on('upgrade', (request, stream, head) => {
    server.attempts++
    if (server.refusal !== null) stream.end(`HTTP/1.1 ${server.refusal.status} No\r\nconnection: close\r\n\r\n`)
    else sockets.handleUpgrade(request, stream, head, socket => server.sockets.push(accepted(socket, request)))
  })
  await new Promise<void>(resolve => http.listen(port, '127.0.0.1', resolve))
  server.url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/v1/signal`
  whenDone(server.stop)
  return server
}

function accepted (socket: WebSocket, request: IncomingMessage): Accepted {
  let read = 0
  const self: Accepted = {
    protocols: (request.headers['sec-websocket-protocol'] ?? '').split(',').map(text => text.trim()),
    query: new URL(request.url ?? '', 'ws://x').searchParams,
    frames: [],
    closed: null,
    socket,
    // In one write: what follows a frame at once is read at once.
    send: (...frames) => {
      const { _socket: tcp } = socket as unknown as { _socket: { cork (): void, uncork (): void } }
      tcp.cork()
      for (const frame of frames) socket.send(JSON.stringify(frame))
      tcp.uncork()
    },
    next: async type => {
      let found = -1
      await until(`a frame ${type} (there is ${JSON.stringify(self.frames.slice(read))})`, () => (found = self.frames.findIndex((frame, i) => i >= read && frame.type === type)) !== -1, 5000)
      read = found + 1
      return self.frames[found] as Frame
    },
  }
  socket.on('message', (data: Buffer) => self.frames.push(JSON.parse(data.toString()) as Frame))
  socket.on('close', code => { self.closed = code })
  socket.on('error', () => {})
  return self
}

/** A welcome as the server sends it. */
export function welcome (more: object = {}): object {
  return { type: 'welcome', session: 's_1', resume: 's_1.first', self: { id: 'me', role: null, metadata: {} }, room: { id: 'room', capacity: 50, kind: 'mesh', metadata: {} }, peers: [], iceServers: [], iceExpiresAt: null, heartbeat: 10, grace: 30, resumed: false, accepted: null, delivered: null, ...more }
}
