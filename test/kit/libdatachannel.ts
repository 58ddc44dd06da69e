/** Clients of the libdatachannel dialect: one that shows each frame, and two that connect, written as libdatachannel's example and FogROS2-SGC are. */
import nodeDataChannel, { type DataChannel, type PeerConnection } from 'node-datachannel'
import WebSocket from 'ws'
import type { TestApp } from './app.ts'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type Door = { socket: WebSocket, frames: { text: string, isBinary: boolean }[], pings: number, closed: { code: number, reason: string } | null, send (frame: object | string | Buffer): void, next (): Promise<string>, /** What was sent before has been read, or the socket is closed. */ settled (): Promise<void>, close (): Promise<void> }
export type RefusedAt = { status: number, text: string }

type Place = Pick<TestApp, 'url'>

export function wsAddress (app: Place, path: string): string {
  return app.url().replace('http', 'ws').replace('localhost', '127.0.0.1') + path
}

/** Opens a socket at this path; resolves to it, or to how it was refused. What ends with the test is held on to until then. */
export async function open (app: Place, path: string, { endsWithTest = true } = {}): Promise<Door | RefusedAt> {
  const socket = new WebSocket(wsAddress(app, path), { perMessageDeflate: false })
  let read = 0
  const door: Door = {
    socket,
    frames: [],
    pings: 0,
    closed: null,
    send: frame => socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame)),
    next: async () => {
      await until('a frame', () => door.frames.length > read)
      return door.frames[read++]?.text ?? ''
    },
    settled: async () => {
      if (door.closed !== null) return
      const answered = new Promise<void>(resolve => {
        const done = (): void => {
          socket.off('pong', done).off('close', done)
          resolve()
        }
        socket.on('pong', done).on('close', done)
      })
      socket.ping(undefined, undefined, () => {})
      await answered
    },
    close: async () => {
      socket.close()
      await until('the close', () => door.closed !== null)
    },
  }
  socket.on('message', (data: Buffer, isBinary) => { door.frames.push({ text: data.toString(), isBinary }) })
  socket.on('ping', () => { door.pings++ })
  socket.on('close', (code, reason) => { door.closed = { code, reason: reason.toString() } })
  socket.on('error', () => {})
  if (endsWithTest) whenDone(() => socket.terminate())
  return await new Promise(resolve => {
    socket.once('open', () => resolve(door))
    socket.once('unexpected-response', (_request, response) => {
      let text = ''
      response.on('data', (bytes: Buffer) => { text += bytes.toString() }).on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
  })
}

/** The same where it must succeed. */
export async function opened (app: Place, path: string, options?: { endsWithTest: boolean }): Promise<Door> {
  const outcome = await open(app, path, options)
  if ('status' in outcome) throw new Error(`${outcome.status} ${outcome.text}`)
  return outcome
}

/** A real connection, on loopback. The library's cleanup() is never called: after its own WebSocket it ends the process with SIGSEGV (0.33.4). */
export function peerConnection (name: string): PeerConnection {
  const connection = new nodeDataChannel.PeerConnection(name, { iceServers: [], bindAddress: '127.0.0.1' })
  whenDone(() => connection.close())
  return connection
}

export type Heard = { from: string, text: string }
type Connecting = { /** What came over data channels. */ heard: Heard[], /** Every frame, as it came. */ frames: string[], call (peer: string): void, close (): void }

/** What a callback throws into the library ends the process without a word of what it was: a socket or a channel that has closed meanwhile is enough. */
export function told<Args extends unknown[]> (work: (...args: Args) => void): (...args: Args) => void {
  return (...args) => {
    try {
      work(...args)
    } catch (error) {
      process.emitWarning(`in a callback of libdatachannel: ${String(error)}`)
    }
  }
}

/** A channel that is told of may not be open yet, or open while we look: then nobody tells us. */
export function sayWhenOpen (channel: DataChannel, text: string): void {
  let isSaid = false
  const say = (): void => {
    if (isSaid || !channel.isOpen()) return
    isSaid = true
    channel.sendMessage(text)
  }
  channel.onOpen(told(say))
  say()
}

/** As examples/client of libdatachannel and examples/client-server of node-datachannel do it, over libdatachannel's own WebSocket. */
export async function exampleClient (address: string, id: string): Promise<Connecting> {
  const connections = new Map<string, PeerConnection>()
  const client: Connecting = { heard: [], frames: [], call: () => {}, close: () => ws.close() }
  const ws = new nodeDataChannel.WebSocket()
  const state = { isOpen: false, error: '' }
  ws.onOpen(() => { state.isOpen = true })
  ws.onError(error => { state.error = error })
  const use = (peer: string, channel: DataChannel): void => { channel.onMessage(text => { client.heard.push({ from: peer, text: String(text) }) }) }
  const connectionTo = (peer: string): PeerConnection => {
    const connection = peerConnection(id)
    connection.onLocalDescription(told((description, type) => { ws.sendMessage(JSON.stringify({ id: peer, type, description })) }))
    connection.onLocalCandidate(told((candidate, mid) => { ws.sendMessage(JSON.stringify({ id: peer, type: 'candidate', candidate, mid })) }))
    connection.onDataChannel(told(channel => {
      use(peer, channel)
      sayWhenOpen(channel, `Hello From ${id}`)
    }))
    connections.set(peer, connection)
    return connection
  }
  ws.onMessage(told(data => {
    // Its example reads text alone.
    if (typeof data !== 'string') throw new Error('a binary frame')
    client.frames.push(data)
    const message = JSON.parse(data) as { id: string, type: string, description: string, candidate: string, mid: string }
    const connection = connections.get(message.id) ?? connectionTo(message.id)
    if (message.type === 'offer' || message.type === 'answer') connection.setRemoteDescription(message.description, message.type)
    else if (message.type === 'candidate') connection.addRemoteCandidate(message.candidate, message.mid)
  }))
  client.call = peer => {
    const channel = connectionTo(peer).createDataChannel('test')
    channel.onOpen(told(() => { channel.sendMessage(`Hello from ${id}`) }))
    use(peer, channel)
  }
  ws.open(`${address}/${id}`)
  whenDone(() => ws.close())
  await until(`the socket of ${id}${state.error}`, () => state.isOpen)
  return client
}

/**
 * As FogROS2-SGC does it (core/src/network/webrtc.rs): one socket for one connection, either way of framing, and the end of it all
 * at a frame that is not {id, payload: {sdp, type} | {candidate, sdpMid}}. Fields beside those are not looked at.
 */
export async function robotClient (address: string, id: string, { binary = false } = {}): Promise<Connecting & { panicked: string | null }> {
  const socket = new WebSocket(`${address}/${id}`, { perMessageDeflate: false })
  whenDone(() => socket.terminate())
  const connection = peerConnection(id)
  let other = ''
  const robot = { heard: [] as Heard[], frames: [] as string[], panicked: null as string | null, call: (_peer: string) => {}, close: () => socket.close() }
  const send = (payload: object): void => {
    const text = JSON.stringify({ id: other, payload })
    socket.send(binary ? Buffer.from(text) : text)
  }
  const use = (channel: DataChannel): void => { channel.onMessage(text => { robot.heard.push({ from: other, text: String(text) }) }) }
  connection.onLocalDescription(told((sdp, type) => send({ sdp, type })))
  connection.onLocalCandidate(told((candidate, sdpMid) => send({ candidate, sdpMid })))
  connection.onDataChannel(told(channel => {
    use(channel)
    sayWhenOpen(channel, `accepted by ${id}`)
  }))
  socket.on('message', (data: Buffer) => {
    robot.frames.push(data.toString())
    try {
      const message = JSON.parse(data.toString()) as { id: unknown, payload: { sdp?: unknown, type?: unknown, candidate?: unknown, sdpMid?: unknown } }
      const { sdp, type, candidate, sdpMid } = message.payload
      if (typeof message.id !== 'string') throw new Error('no id')
      other = message.id
      if (typeof sdp === 'string' && (type === 'offer' || type === 'answer')) connection.setRemoteDescription(sdp, type)
      else if (typeof candidate === 'string' && typeof sdpMid === 'string') connection.addRemoteCandidate(candidate, sdpMid)
      else throw new Error('data did not match any variant of untagged enum Message')
    } catch (error) {
      robot.panicked = `${String(error)}: ${data.toString()}`
    }
  })
  robot.call = peer => {
    other = peer
    const channel = connection.createDataChannel('whatever')
    channel.onOpen(told(() => { channel.sendMessage(`dialed by ${id}`) }))
    use(channel)
  }
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return robot
}
