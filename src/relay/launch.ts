/** Everything that one coturn is started with, out of settings, addresses and what the driver found. */
import { hashedControlPassword, type ControlAddress } from './control.ts'
import { parseVersion } from './coturn-versions.ts'
import type { Pair } from '../tls/pair.ts'
import type { Launch, Prepared } from './driver.ts'
import { otherAddresses, type Addresses } from './public-address.ts'
import type { RelaySite } from './sites.ts'
import { renderTurnserverConf } from './turnserver-conf.ts'

export type LaunchNeeds = { config: RelaySite['config'], relay: string, feed: { host: string, port: number, password: string }, control: ControlAddress, tls: () => Pair | null }

export function launchOf ({ config, relay, feed, control, ...needs }: LaunchNeeds, { version, certPath, keyPath, userDatabase, runAs }: Prepared, { listenIp, publicIp, listenIp6, publicIp6 }: Addresses): Launch {
  const tls = config.servesTls ? needs.tls() : null
  const { port, tlsPort, minPort, maxPort, peers, userQuota, sessionBytesPerSecond } = config.relay
  const listen = { address: listenIp, port, tlsPort: config.servesTls ? tlsPort : null, control }
  const parsed = version === null ? null : parseVersion(version)
  if (parsed === null || userDatabase === null) return { conf: '', tls: null, listen }
  const conf = renderTurnserverConf({
    realm: relay,
    userDatabase: userDatabase.path,
    listenIp,
    publicIp,
    listenIp6,
    publicIp6,
    ownAddresses: otherAddresses([listenIp, publicIp, ...config.served]),
    behindEdge: config.behindEdge,
    port,
    tls: tls === null ? null : { port: tlsPort, certPath, keyPath, dtls: config.dtls },
    minPort,
    maxPort,
    peers,
    userQuota,
    sessionBytesPerSecond,
    feed,
    control: { host: control.host, port: control.port, hashedPassword: hashedControlPassword(control.password) },
    runAs,
    version: parsed,
  })
  return { conf, tls, listen }
}
