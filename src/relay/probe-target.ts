/** Points the probe at a relay of ours: which user it is, which address must be refused, whether an echo is possible. */
import { createHmac } from 'node:crypto'
import { TurnpikeError } from '../protocol/errors.ts'
import { isRefusal, refused, TurnClient, type Login } from '../stun/turn-client.ts'
import type { RelayCheck } from './driver.ts'
import { forbiddenPeerFor, isDenied, isLoopback, type PeerPolicy } from './denied-peers.ts'
import { probeRelay } from './probe.ts'

/** Not of the form `<project>.<user>`, so that no project can be taken for it. */
export const PROBE_USER = 'turnpike-probe'
const TIMEOUT_MS = 1500
/** Beyond what clocks may differ. */
const LIFETIME_SECONDS = 86_400
const BRIEF_SECONDS = 300

export type ProbedRelay = { host: string, port: number, tlsPort: number | null, address: string, peers: PeerPolicy }

/** The probe, or nobody: connections that never authenticate are reported without a name. */
export function isProbeUser (username: string): boolean {
  return username === '' || username.endsWith(`:${PROBE_USER}`)
}

/** An Allocate over UDP with credentials of this secret. Throws relay-unproven where it is refused. */
export async function proveSecret ({ host, port }: ProbedRelay, secret: string, nowSeconds: () => number): Promise<void> {
  const client = await TurnClient.open({ transport: 'udp', host, port, timeoutMs: TIMEOUT_MS })
  try {
    const outcome = await client.allocate(loginFor(secret, nowSeconds() + LIFETIME_SECONDS))
    // A relay that is full has looked at the credentials before it said so.
    if (isRefusal(outcome) && outcome.code !== 486 && outcome.code !== 508) throw refused('an Allocate', outcome)
  } catch (error) {
    throw new TurnpikeError('relay-unproven', `the relay does not take credentials of the secret: ${(error as Error).message}`, { cause: error })
  } finally {
    await client.close()
  }
}

/** A credential for whoever looks at the relay now, and not for longer. */
export function briefLogin (secret: string, nowSeconds: () => number): Login {
  return loginFor(secret, nowSeconds() + BRIEF_SECONDS)
}

function loginFor (secret: string, expiresAtSeconds: number): Login {
  const username = `${expiresAtSeconds}:${PROBE_USER}`
  return { username, password: createHmac('sha1', secret).update(username).digest('base64') }
}

/** Probes with credentials minted like any (draft-uberti-behave-turn-rest-00); never throws. */
export async function probeOf ({ host, port, tlsPort, address, peers }: ProbedRelay, secret: string, nowSeconds: () => number, isAbandoned: AbortSignal): Promise<RelayCheck[]> {
  return await probeRelay({
    host,
    port,
    tlsPort,
    loginFor: lifetimeSeconds => loginFor(secret, nowSeconds() + lifetimeSeconds),
    forbiddenPeer: forbiddenPeerFor(peers, address),
    echo: isLoopback(address) && isDenied(address, peers)
      ? { possible: false, reason: `the relay's own address ${address} is a forbidden peer under TURNPIKE_RELAY_PEERS=${peers}` }
      : { possible: true },
    timeoutMs: TIMEOUT_MS,
    isAbandoned,
  })
}
