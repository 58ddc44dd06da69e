/** Finds the addresses of the relay: the one it listens on, and the one that clients reach it at; and says where each is from. */
import { createSocket } from 'node:dgram'
import { isIP, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { TurnClient } from '../stun/turn-client.ts'
import { isLoopback } from './denied-peers.ts'

export type Addresses = {
  listenIp: string
  publicIp: string
  /** What issued URLs hold. */
  publicHost: string
  /** Where publicIp is from, such as 'STUN stun.example:3478'. */
  source: string
  /** Sentences for a person. */
  decisions: string[]
}
export type AddressSettings = { listenIp: string | undefined, externalIp: string | undefined, publicHost: string | undefined, stunServers: readonly string[] }

const STUN_TIMEOUT_MS = 1200
/** Nothing is sent there: asking for a route to it shows which of our addresses the default route uses (RFC 5737). */
const FAR_AWAY = '192.0.2.1'

/** Configured → STUN → interface. Never throws; takes at most about 1.2 s, and no time where the relay is on loopback. */
export async function findAddresses ({ listenIp, externalIp, publicHost, stunServers }: AddressSettings): Promise<Addresses> {
  const listen = await findListenIp(listenIp, publicHost)
  const outside = await findPublicIp(listen.address, externalIp, publicHost, stunServers)
  const publicIp = outside.address
  return {
    listenIp: listen.address,
    publicIp,
    publicHost: publicHost ?? publicIp,
    source: outside.source,
    decisions: [
      `relay address ${listen.address}, ${listen.source}`,
      `public address ${publicIp}, ${outside.source}${publicHost === undefined ? '' : `; URLs say ${publicHost}`}`,
      ...(isIPv6(publicHost ?? publicIp) ? ['URLs hold an IPv6 address, which some clients cannot read: set TURNPIKE_PUBLIC_HOST to a name'] : []),
    ],
  }
}

async function findListenIp (listenIp: string | undefined, publicHost: string | undefined): Promise<{ address: string, source: string }> {
  if (listenIp !== undefined) return { address: listenIp, source: 'configured' }
  if (publicHost !== undefined && isLoopback(publicHost)) return { address: publicHost, source: 'because TURNPIKE_PUBLIC_HOST is loopback' }
  return await defaultRouteAddress()
}

async function findPublicIp (listenIp: string, externalIp: string | undefined, publicHost: string | undefined, stunServers: readonly string[]): Promise<{ address: string, source: string }> {
  if (externalIp !== undefined) return { address: externalIp, source: 'configured' }
  if (isLoopback(listenIp)) return { address: listenIp, source: 'the relay listens on loopback' }
  if (publicHost !== undefined && isIP(publicHost) !== 0 && isIP(publicHost) === isIP(listenIp)) return { address: publicHost, source: 'from TURNPIKE_PUBLIC_HOST' }
  const seen = await askStun(stunServers.filter(() => !isIPv6(listenIp)))
  if (seen !== null) return seen
  const asked = stunServers.length === 0 ? 'no STUN server is configured' : `none of ${stunServers.length} STUN servers answered`
  return { address: listenIp, source: `from the interface (${asked})` }
}

/** The first answer of any server; they are asked at once. */
async function askStun (servers: readonly string[]): Promise<{ address: string, source: string } | null> {
  // Looking a name up can take longer than asking it.
  const late = new Promise<null>(resolve => { setTimeout(() => resolve(null), STUN_TIMEOUT_MS).unref() })
  try {
    const answers = Promise.any(servers.map(async server => {
      const at = server.lastIndexOf(':')
      const client = await TurnClient.open({ transport: 'udp', host: server.slice(0, at), port: Number(server.slice(at + 1)), timeoutMs: STUN_TIMEOUT_MS })
      try {
        return { address: (await client.binding()).address, source: `from STUN ${server}` }
      } finally {
        await client.close()
      }
    }))
    return await Promise.race([answers, late])
  } catch {
    return null
  }
}

async function defaultRouteAddress (): Promise<{ address: string, source: string }> {
  const routed = await new Promise<string | null>(resolve => {
    const socket = createSocket('udp4')
    socket.once('error', () => resolve(null))
    socket.connect(9, FAR_AWAY, () => {
      resolve(socket.address().address)
      socket.close()
    })
  })
  if (routed !== null && routed !== '0.0.0.0') return { address: routed, source: 'from the default route' }
  const outer = Object.entries(networkInterfaces()).flatMap(([name, list]) => (list ?? []).map(entry => ({ name, ...entry })))
    .find(entry => !entry.internal && entry.family === 'IPv4')
  return outer === undefined ? { address: '127.0.0.1', source: 'this machine has no other' } : { address: outer.address, source: `from the interface ${outer.name}` }
}
