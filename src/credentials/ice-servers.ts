/** ICE servers as browsers take them (W3C WebRTC §4.2.4, RFC 7064, RFC 7065). */
import type { IceServer } from '../protocol/frames.ts'
import { TRANSPORTS, type IceTransport } from '../protocol/project-settings.ts'

export type RelayEndpoint = { host: string, port: number, /** The name that its certificate is for. */ tlsHost: string, /** Best first. */ tlsPorts: readonly number[], /** What credentials for it are signed with, where that is not our own secret. */ secret: string | null }
type Login = { username: string, password: string }

/** STUN URLs first, then TURN in the order in which they are worth trying: udp, tcp, tls. Every URL names its port. */
export function stunUrls (relays: readonly RelayEndpoint[]): string[] {
  return relays.map(({ host, port }) => `stun:${host}:${port}`)
}

export function turnUrls (relays: readonly RelayEndpoint[], transports: readonly IceTransport[] = TRANSPORTS): string[] {
  return relays.flatMap(({ host, port, tlsHost, tlsPorts }) => TRANSPORTS.filter(transport => transports.includes(transport)).flatMap(transport => {
    if (transport === 'tls') return tlsPorts.map(tlsPort => `turns:${tlsHost}:${tlsPort}?transport=tcp`)
    return [`turn:${host}:${port}?transport=${transport}`]
  }))
}

/** One entry for STUN (left out where only relayed candidates are wanted) and one for TURN, or one for each login where relays believe different secrets. */
export function iceServersOf (stun: readonly string[], turn: readonly { urls: readonly string[], login: Login }[]): IceServer[] {
  return [
    ...(stun.length === 0 ? [] : [{ urls: [...stun] }]),
    ...turn.filter(({ urls }) => urls.length > 0).map(({ urls, login }) => ({ urls: [...urls], username: login.username, credential: login.password })),
  ]
}
