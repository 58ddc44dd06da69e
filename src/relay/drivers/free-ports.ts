/** Tries the relay's ports before coturn does: coturn logs a failed bind and goes on without the port. */
import { createSocket } from 'node:dgram'
import { createServer, isIPv6 } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { isTurnpikeError, TurnpikeError } from '../../protocol/errors.ts'
import type { Launch } from '../driver.ts'
import { holderOfPort } from './process-table.ts'

type Listen = Launch['listen']

/** A coturn that has just ended still holds its ports until the last of its threads has gone. */
const PATIENCE_MS = 500
const PAUSE_MS = 25

/** Throws relay-port-busy or relay-address-wrong, saying which port or address, and who holds it where that can be seen. */
export async function requireFreePorts (listen: Listen): Promise<void> {
  const endsAt = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await tryPorts(listen)
    } catch (error) {
      if (!(isTurnpikeError(error) && error.code === 'relay-port-busy') || performance.now() > endsAt) throw error
      await wait(PAUSE_MS)
    }
  }
}

async function tryPorts ({ address, port, tlsPort, control }: Listen): Promise<void> {
  await bindUdp(address, port).catch((error: unknown) => { throw explained(error, 'udp', address, port) })
  for (const tcpPort of tlsPort === null ? [port] : [port, tlsPort]) {
    await bindTcp(address, tcpPort).catch((error: unknown) => { throw explained(error, 'tcp', address, tcpPort) })
  }
  await bindTcp(control.host, control.port).catch((error: unknown) => { throw explained(error, 'tcp', control.host, control.port) })
}

async function bindUdp (address: string, port: number): Promise<void> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address, port, exclusive: true }, () => resolve())
  }).finally(() => socket.close())
}

async function bindTcp (address: string, port: number): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve()))
  })
}

function explained (error: unknown, protocol: string, address: string, port: number): TurnpikeError {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EADDRINUSE') {
    const holder = holderOfPort(port)
    return new TurnpikeError('relay-port-busy', `${protocol} port ${port} on ${address} is taken${holder === null ? '' : ` by ${holder}`}`, { cause: error })
  }
  if (code === 'EACCES') return new TurnpikeError('relay-port-busy', `${protocol} port ${port} needs more rights than this user has`, { cause: error })
  return new TurnpikeError('relay-address-wrong', `${address} is not an address of this machine (${code})`, { cause: error })
}
