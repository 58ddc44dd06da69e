/**
 * How the outside sees one UDP socket of ours: every server is asked from the same port (RFC 8489 Binding), so that a NAT that gives
 * another port for each destination (RFC 4787 §4.1) or any other port than ours shows.
 */
import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { readXorAddress, type Address } from './attributes.ts'
import { ATTRIBUTE, CLASS, METHOD, decode, encode } from './message.ts'

export type Mapping = {
  localPort: number
  answers: { server: string, seen: Address }[]
  /** Those that did not answer, and why. */
  silent: { server: string, reason: string }[]
}
export type MappingNeeds = {
  address: string
  /** Asked from here where it is free, else from any: a forwarded range of ports must be asked from within it. */
  port: number
  /** host:port */
  servers: readonly string[]
  timeoutMs: number
}

const REPEAT_MS = 250

/** Never throws for a server that does not answer; throws where the address is not one of this machine. */
export async function observeMapping ({ address, port, servers, timeoutMs }: MappingNeeds): Promise<Mapping> {
  const socket = await bound(address, port).catch(async () => await bound(address, 0))
  // What the network has against a packet is told by its want of an answer.
  socket.on('error', () => {})
  try {
    const family = isIPv6(address) ? 6 : 4
    const mapping: Mapping = { localPort: socket.address().port, answers: [], silent: [] }
    await Promise.all(servers.map(async server => {
      try {
        mapping.answers.push({ server, seen: await ask(socket, server, family, timeoutMs) })
      } catch (error) {
        mapping.silent.push({ server, reason: (error as Error).message })
      }
    }))
    return mapping
  } finally {
    socket.close()
  }
}

async function bound (address: string, port: number): Promise<Socket> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address, port, exclusive: true }, resolve)
  }).catch((error: unknown) => {
    socket.close()
    throw error
  })
  return socket
}

async function ask (socket: Socket, server: string, family: 4 | 6, timeoutMs: number): Promise<Address> {
  const at = server.lastIndexOf(':')
  const endsAt = performance.now() + timeoutMs
  // Looking a name up has no time-out of its own.
  const late = new Promise<never>((_resolve, reject) => { setTimeout(() => reject(new Error('its name was not found in time')), timeoutMs).unref() })
  const { address } = await Promise.race([lookup(server.slice(0, at), { family }), late])
  const transactionId = randomBytes(12)
  const request = encode({ method: METHOD.binding, class: CLASS.request, transactionId, attributes: [] })
  const send = (): void => { socket.send(request, Number(server.slice(at + 1)), address, () => {}) }
  return await new Promise<Address>((resolve, reject) => {
    const done = (): void => {
      clearInterval(repeat)
      clearTimeout(deadline)
      socket.off('message', hear)
    }
    const hear = (bytes: Buffer): void => {
      const seen = seenIn(bytes, transactionId)
      if (seen === undefined) return
      done()
      resolve(seen)
    }
    const repeat = setInterval(send, REPEAT_MS)
    const deadline = setTimeout(() => {
      done()
      reject(new Error('it did not answer'))
    }, Math.max(0, endsAt - performance.now()))
    socket.on('message', hear)
    send()
  })
}

/** Nothing for what is no answer to this request. */
function seenIn (bytes: Buffer, transactionId: Buffer): Address | undefined {
  try {
    const message = decode(bytes)
    return message.class === CLASS.success && message.transactionId.equals(transactionId) ? readXorAddress(message, ATTRIBUTE.xorMappedAddress) : undefined
  } catch {
    return undefined
  }
}
