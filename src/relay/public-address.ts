/** Finds the addresses of the relay: the one it listens on, and the one that clients reach it at; and says where each is from. */
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { isIP, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { TurnClient } from '../stun/turn-client.ts'
import { isDenied, isLoopback } from './denied-peers.ts'

export type Addresses = {
  listenIp: string
  publicIp: string
  /** Null where IPv6 is not served. */
  listenIp6: string | null
  publicIp6: string | null
  /** What issued URLs hold. */
  publicHost: string
  /** Where publicIp is from, such as 'STUN stun.example:3478'. */
  source: string
  /** Is it only the interface's, because nobody could say what it is outside? */
  isGuess: boolean
  /** Sentences for a person. */
  decisions: string[]
}
export type AddressSettings = { listenIp?: string | undefined, externalIp?: string | undefined, listenIp6?: string | undefined, externalIp6?: string | undefined, publicHost: string | undefined, stunServers: readonly string[], /** What was found before. */ last?: Addresses | null }
type Found = { address: string, source: string, isGuess?: boolean }

const TIMEOUT_MS = 1200
const FROM_DNS = 'from DNS'
/** Nothing is sent there: asking for a route to it shows which of our addresses the default route uses (RFC 5737). */
const FAR_AWAY = '192.0.2.1'

/** Configured → DNS → STUN → interface. Never throws; takes at most about 2.4 s, and no time where the relay is on loopback. */
export async function findAddresses (settings: AddressSettings): Promise<Addresses> {
  const { listenIp, publicHost, listenIp6 = null, externalIp6 = listenIp6 } = settings
  const listen = await findListenIp(listenIp, publicHost)
  const outside = await findPublicIp(listen.address, settings)
  const publicIp = outside.address
  return {
    listenIp: listen.address,
    publicIp,
    listenIp6,
    publicIp6: listenIp6 === null ? null : externalIp6,
    publicHost: publicHost ?? publicIp,
    source: outside.source,
    isGuess: outside.isGuess ?? false,
    decisions: [
      `relay address ${listen.address}, ${listen.source}`,
      `public address ${publicIp}, ${outside.source}${publicHost === undefined ? '' : `; URLs say ${publicHost}`}`,
      ...(publicIp === listen.address ? [] : [`packets for ${publicIp} are expected to arrive at ${listen.address} (1:1 NAT)`]),
      ...(listenIp6 === null ? [] : [`IPv6: relay address ${listenIp6}, public address ${externalIp6}`]),
      ...(isIPv6(publicHost ?? publicIp) ? ['URLs hold an IPv6 address, which some clients cannot read: set TURNPIKE_PUBLIC_HOST to a name'] : []),
    ],
  }
}

/** Public IPv4 addresses of this machine that are none of these: what listens there may trust what comes from itself. */
export function otherAddresses (served: readonly (string | null | undefined)[]): string[] {
  const own = Object.values(networkInterfaces()).flatMap(list => list ?? []).map(({ address }) => address)
  // Private ones are refused as such; those and IPv6's temporary ones come and go, and each change would be another configuration, and cost the calls.
  return [...new Set(own)].filter(address => isIP(address) === 4 && !served.includes(address) && !isDenied(address, 'internet')).sort()
}

async function findListenIp (listenIp: string | undefined, publicHost: string | undefined): Promise<Found> {
  if (listenIp !== undefined) return { address: listenIp, source: 'configured' }
  if (publicHost !== undefined && isLoopback(publicHost)) return { address: publicHost, source: 'because TURNPIKE_PUBLIC_HOST is loopback' }
  return await defaultRouteAddress()
}

async function findPublicIp (listenIp: string, { externalIp, publicHost, stunServers, last = null }: AddressSettings): Promise<Found> {
  if (externalIp !== undefined) return { address: externalIp, source: 'configured' }
  if (isLoopback(listenIp)) return { address: listenIp, source: 'the relay listens on loopback' }
  if (publicHost !== undefined && isIP(publicHost) !== 0 && isIP(publicHost) === isIP(listenIp)) return { address: publicHost, source: 'from TURNPIKE_PUBLIC_HOST' }
  const named = publicHost === undefined || isIP(publicHost) !== 0 ? null : await askDns(publicHost, isIP(listenIp))
  const before = last !== null && last.listenIp === listenIp && last.publicHost === (publicHost ?? last.publicIp) ? last : null
  // DNS that fails for a moment says nothing of the name.
  if (named === 'failed' && before?.source.startsWith(FROM_DNS) === true) return { address: before.publicIp, source: before.source, isGuess: true }
  if (named !== null && named !== 'failed') return named
  const seen = await askStun(stunServers.filter(() => !isIPv6(listenIp)))
  if (seen !== null) return seen
  const asked = stunServers.length === 0 ? 'no STUN server is configured' : `none of ${stunServers.length} STUN servers answered`
  if (before !== null) return { address: before.publicIp, source: `as it was seen before (${asked})`, isGuess: true }
  return { address: listenIp, source: `from the interface (${asked})`, isGuess: true }
}

/** What the name of this machine leads to, where that is one public address: a name that leads elsewhere leads our clients there too. */
async function askDns (name: string, family: number): Promise<Found | 'failed' | null> {
  const found = await withinTime(lookup(name, { all: true, family }).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOTFOUND' ? [] : null)))
  if (found === null) return 'failed'
  const addresses = found.map(({ address }) => address).filter(address => !isDenied(address, 'internet'))
  const [address] = addresses
  return address === undefined || addresses.length > 1 ? null : { address, source: `${FROM_DNS}: ${name} leads there` }
}

/** What most of the servers see us as; they are asked at once, because each may be down, and one may be wrong. */
async function askStun (servers: readonly string[]): Promise<Found | null> {
  const seen = new Map<string, string[]>()
  let agreed: (found: null) => void = () => {}
  const enough = new Promise<null>(resolve => { agreed = resolve })
  const asked = Promise.all(servers.map(async server => {
    const address = await seenFrom(server)
    const witnesses = address === null ? [] : [...seen.get(address) ?? [], server]
    if (address !== null) seen.set(address, witnesses)
    if (witnesses.length > servers.length / 2) agreed(null)
  }))
  await withinTime(Promise.race([asked, enough]))
  const [best] = [...seen].sort(([, a], [, b]) => b.length - a.length)
  return best === undefined ? null : { address: best[0], source: `from STUN ${best[1].join(' and ')}` }
}

async function seenFrom (server: string): Promise<string | null> {
  const at = server.lastIndexOf(':')
  try {
    const client = await TurnClient.open({ transport: 'udp', host: server.slice(0, at), port: Number(server.slice(at + 1)), timeoutMs: TIMEOUT_MS })
    try {
      return (await client.binding()).address
    } finally {
      await client.close()
    }
  } catch {
    return null
  }
}

/** Looking a name up can take longer than anybody waits. */
async function withinTime<T> (work: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>(resolve => { timer = setTimeout(() => resolve(null), TIMEOUT_MS) })
  return await Promise.race([work, late]).finally(() => clearTimeout(timer))
}

async function defaultRouteAddress (): Promise<Found> {
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
