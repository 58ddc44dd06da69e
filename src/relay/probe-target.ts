/** Points the probe at a relay of ours: which user it is, which address must be refused, whether an echo is possible. */
import { createHmac } from 'node:crypto'
import type { RelayCheck } from './driver.ts'
import { forbiddenPeerFor, isDenied, isLoopback, type PeerPolicy } from './denied-peers.ts'
import { probeRelay } from './probe.ts'

/** Not of the form `<project>.<user>`, so that no project can be taken for it. */
const PROBE_USER = 'turnpike-probe'
const TIMEOUT_MS = 1500

export type ProbedRelay = { host: string, port: number, tlsPort: number | null, address: string, peers: PeerPolicy }

/** The probe, or nobody: connections that never authenticate are reported without a name. */
export function isProbeUser (username: string): boolean {
  return username === '' || username.endsWith(`:${PROBE_USER}`)
}

/** Probes with credentials minted like any (draft-uberti-behave-turn-rest-00); never throws. */
export async function probeOf ({ host, port, tlsPort, address, peers }: ProbedRelay, secret: string, nowSeconds: () => number, isAbandoned: AbortSignal): Promise<RelayCheck[]> {
  return await probeRelay({
    host,
    port,
    tlsPort,
    loginFor: lifetimeSeconds => {
      const username = `${nowSeconds() + lifetimeSeconds}:${PROBE_USER}`
      return { username, password: createHmac('sha1', secret).update(username).digest('base64') }
    },
    forbiddenPeer: forbiddenPeerFor(peers, address),
    echo: isLoopback(address) && isDenied(address, peers)
      ? { possible: false, reason: `the relay's own address ${address} is a forbidden peer under TURNPIKE_RELAY_PEERS=${peers}` }
      : { possible: true },
    timeoutMs: TIMEOUT_MS,
    isAbandoned,
  })
}
