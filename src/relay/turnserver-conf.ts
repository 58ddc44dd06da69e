/** Renders turnserver.conf for the version of coturn that will read it: settings in, text out, nothing else (coturn's README.turnserver). */
import { isIPv6 } from 'node:net'
import { TurnpikeError } from '../protocol/errors.ts'
import { linesFor, type CoturnVersion } from './coturn-versions.ts'
import { deniedPeers, isDenied, isLoopback, type PeerPolicy } from './denied-peers.ts'

export type TurnserverSettings = {
  /** coturn's realm; ours is the relay's id. */
  realm: string
  /** coturn's user database, which holds the secrets: what stands in this file cannot change while coturn runs. */
  userDatabase: string
  listenIp: string
  /** The address that clients must use; the same as listenIp where nothing translates between them. */
  publicIp: string
  /** Null where IPv6 is not served. */
  listenIp6: string | null
  publicIp6: string | null
  /** Of this machine, beside those that it listens on: no peer of anybody's. */
  ownAddresses: readonly string[]
  /** Is there an edge on this machine that passes connections on to loopback? */
  behindEdge: boolean
  port: number
  /** Null where TLS is not served. */
  tls: { port: number, certPath: string, keyPath: string, dtls: boolean } | null
  minPort: number
  maxPort: number
  peers: PeerPolicy
  userQuota: number
  /** Most of one allocation, each way; 0 for no limit. */
  sessionBytesPerSecond: number
  /** Our listener that coturn reports allocations and traffic to. */
  feed: { host: string, port: number, password: string }
  /** Where its command line listens, on loopback; the password is hashed as coturn wants it. */
  control: { host: string, port: number, hashedPassword: string }
  /** The user and group that coturn changes to, where it is started as root. */
  runAs: { user: string, group: string } | null
  version: CoturnVersion
}

/** One for each port that there can be. */
const MOST_SESSIONS_PRINTED = 65_536

/** The whole file. Throws relay-config-rejected where a value would break out of its line. */
export function renderTurnserverConf (settings: TurnserverSettings): string {
  const { listenIp, publicIp, listenIp6, publicIp6, tls, feed } = settings
  const lines = [
    `listening-ip=${listenIp}`,
    `relay-ip=${listenIp}`,
    // Where the edge comes to; nothing is relayed from there.
    ...(settings.behindEdge && !isLoopback(listenIp) ? ['listening-ip=127.0.0.1'] : []),
    // With PUBLIC alone, coturn would refuse the private half as a peer, and two clients of this relay could not meet.
    ...(publicIp === listenIp ? [] : [`external-ip=${publicIp}/${listenIp}`]),
    ...(listenIp6 === null ? [] : [`listening-ip=${listenIp6}`, `relay-ip=${listenIp6}`]),
    ...(listenIp6 === null || publicIp6 === null || publicIp6 === listenIp6 ? [] : [`external-ip=${publicIp6}/${listenIp6}`]),
    // An Allocate that names no family asks for IPv4, of which there is none then (RFC 8656 §14.6).
    ...(isIPv6(listenIp) ? ['allocation-default-address-family=ipv6'] : []),
    `listening-port=${settings.port}`,
    // Named as empty, because 4.18 looks for files of its own choice otherwise, and warns that it finds none.
    ...(tls === null ? ['no-tls', 'cert=', 'pkey='] : [`tls-listening-port=${tls.port}`, `cert=${tls.certPath}`, `pkey=${tls.keyPath}`]),
    `min-port=${settings.minPort}`,
    `max-port=${settings.maxPort}`,
    `realm=${settings.realm}`,
    'use-auth-secret',
    `userdb=${settings.userDatabase}`,
    'fingerprint',
    'stale-nonce=600',
    `user-quota=${settings.userQuota}`,
    ...(settings.sessionBytesPerSecond === 0 ? [] : [`max-bps=${settings.sessionBytesPerSecond}`]),
    'no-multicast-peers',
    // RFC 6062 would let a client open TCP connections from here.
    'no-tcp-relay',
    ...linesFor(settings.version, tls?.dtls ?? false),
    ...peerLines(settings),
    `redis-statsdb="ip=${feed.host} dbname=0 port=${feed.port} password=${feed.password} connect_timeout=5"`,
    `cli-ip=${settings.control.host}`,
    `cli-port=${settings.control.port}`,
    `cli-password=${settings.control.hashedPassword}`,
    `cli-max-output-sessions=${MOST_SESSIONS_PRINTED}`,
    ...(settings.runAs === null ? [] : [`proc-user=${settings.runAs.user}`, `proc-group=${settings.runAs.group}`]),
    'log-file=stdout',
    'simple-log',
    'new-log-timestamp',
    'pidfile=',
  ]
  for (const line of lines) requireOneLine(line)
  return `${lines.join('\n')}\n`
}

function peerLines ({ peers, listenIp, publicIp, listenIp6, publicIp6, ownAddresses }: TurnserverSettings): string[] {
  const served = [listenIp, publicIp, listenIp6, publicIp6].filter(address => address !== null)
  const own = [...new Set(served)].filter(address => isDenied(address, peers) && !isLoopback(address))
  return [
    ...(peers === 'loopback' ? ['allow-loopback-peers'] : []),
    ...deniedPeers(peers).map(({ first, last }) => `denied-peer-ip=${first === last ? first : `${first}-${last}`}`),
    // What else this machine answers at may trust what comes from itself.
    ...ownAddresses.filter(address => !isDenied(address, peers) && !served.includes(address)).map(address => `denied-peer-ip=${address}`),
    // Two peers that both use this relay meet at its own address (docs/decisions/005).
    ...own.map(address => `allowed-peer-ip=${address}`),
  ]
}

/** coturn reads lines of up to 1023 bytes and takes what follows a line end for the next option. */
function requireOneLine (line: string): void {
  if (/\p{Cc}/u.test(line) || Buffer.byteLength(line) > 1000) throw new TurnpikeError('relay-config-rejected', `the option ${line.slice(0, line.indexOf('='))} has a value that does not fit on a line`)
}
