/** One connection to a STUN or TURN server over UDP, TCP or TLS that sends frames and hands out whole ones. */
import { createSocket } from 'node:dgram'
import { connect as connectTcp, isIPv6, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { TurnpikeError } from '../protocol/errors.ts'
import { Frames } from './framing.ts'

export type TransportName = 'udp' | 'tcp' | 'tls'
export type Target = { transport: TransportName, host: string, port: number, timeoutMs: number }
export type Transport = {
  /** True where a request must be sent again when no answer comes. */
  isLossy: boolean
  send (frame: Buffer): void
  onFrame (listener: (frame: Buffer) => void): void
  onEnd (listener: (error: TurnpikeError) => void): void
  close (): void
}

/** Opens the connection. Throws stun-timeout where it does not come about within the time-out. */
export async function openTransport (target: Target): Promise<Transport> {
  return target.transport === 'udp' ? await openUdp(target) : await openStream(target)
}

async function openUdp ({ host, port, timeoutMs }: Target): Promise<Transport> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  const ended = once<TurnpikeError>()
  socket.on('error', error => ended.fire(unreachable(error)))
  await new Promise<void>((resolve, reject) => {
    // Only a name can take long here: it is looked up first.
    const timer = setTimeout(() => reject(new TurnpikeError('stun-timeout', `${host} was not found within ${timeoutMs} ms`)), timeoutMs)
    // dgram hands a failed connect to the callback and emits no 'error'; Node's types do not know that argument.
    const connected = (error?: Error): void => {
      clearTimeout(timer)
      if (error === undefined) resolve()
      else reject(unreachable(error))
    }
    // A connected socket hears ICMP errors and nobody but the server.
    socket.connect(port, host, connected)
  }).catch((error: unknown) => {
    socket.close()
    throw error
  })
  return {
    isLossy: true,
    send: frame => socket.send(frame),
    onFrame: listener => { socket.on('message', listener) },
    onEnd: ended.listen,
    close: () => {
      socket.removeAllListeners('message')
      socket.close()
    },
  }
}

async function openStream ({ transport, host, port, timeoutMs }: Target): Promise<Transport> {
  // The probe asks whether the relay works, not whether a browser trusts its certificate: a self-made one must be probed too.
  const socket: Socket = transport === 'tls' ? connectTls({ host, port, rejectUnauthorized: false }) : connectTcp({ host, port })
  socket.setNoDelay(true)
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new TurnpikeError('stun-timeout', `no ${transport} connection to ${host}:${port} within ${timeoutMs} ms`)), timeoutMs)
    socket.once(transport === 'tls' ? 'secureConnect' : 'connect', () => resolve(clearTimeout(timer)))
    socket.once('error', error => reject(unreachable(error)))
    socket.once('close', () => reject(new TurnpikeError('stun-timeout', `${host}:${port} closed the ${transport} connection`)))
    socket.once('close', () => clearTimeout(timer))
  }).catch((error: unknown) => {
    socket.destroy()
    throw error
  })
  const frames = new Frames()
  const ended = once<TurnpikeError>()
  const listeners: ((frame: Buffer) => void)[] = []
  socket.on('error', error => ended.fire(unreachable(error)))
  socket.on('close', () => ended.fire(new TurnpikeError('stun-timeout', `${host}:${port} closed the ${transport} connection`)))
  socket.on('data', (bytes: Buffer) => {
    try {
      for (const frame of frames.push(bytes)) listeners.forEach(listener => listener(frame))
    } catch (error) {
      ended.fire(error as TurnpikeError)
      socket.destroy()
    }
  })
  return {
    isLossy: false,
    send: frame => { socket.write(frame) },
    onFrame: listener => { listeners.push(listener) },
    onEnd: ended.listen,
    close: () => { socket.destroy() },
  }
}

function unreachable (error: Error): TurnpikeError {
  return new TurnpikeError('stun-timeout', error.message, { cause: error })
}

/** An event that happens at most once and is told to late listeners too. */
function once<T extends object> (): { fire (value: T): void, listen (listener: (value: T) => void): void } {
  let happened: T | null = null
  const listeners: ((value: T) => void)[] = []
  return {
    fire: value => {
      if (happened !== null) return
      happened = value
      listeners.forEach(listener => listener(value))
    },
    listen: listener => {
      listeners.push(listener)
      if (happened !== null) listener(happened)
    },
  }
}
