/**
 * Reaches a relay as a client does, at the host and port that its URLs name, and says what came of it: found out by the server about
 * itself, and by the command line from wherever it runs.
 */
import { isIPv6 } from 'node:net'
import { finding, type Finding } from '../protocol/findings.ts'
import type { Address } from './attributes.ts'
import { shakeHands } from './tls-trust.ts'
import type { TransportName } from './transport.ts'
import { isRefusal, TurnClient, type Login } from './turn-client.ts'

export type PeerPolicy = 'internet' | 'lan' | 'loopback'
export type ReachTarget = {
  /** Such as `relay turnpike, udp`. */
  subject: string
  host: string
  port: number
  transport: TransportName
  /** Null where nothing can be allocated. */
  login: Login | null
  /** Null where it is not known from here. */
  peers: PeerPolicy | null
  /** Behind a NAT, a machine often cannot reach its own public address, although others can. */
  mayBeShutToItself: boolean
  timeoutMs: number
}
export type ReachTools = { open: (typeof TurnClient)['open'], shakeHands: typeof shakeHands }

/** One of each kind of address that a relay must not reach; each setting of TURNPIKE_RELAY_PEERS opens those that are named so. */
export const FORBIDDEN_SAMPLES: readonly { address: string, openedBy?: PeerPolicy }[] = [
  { address: '169.254.169.254' },
  { address: '0.0.0.1' },
  { address: '127.0.0.1', openedBy: 'loopback' },
  { address: '10.0.0.1', openedBy: 'lan' },
  { address: '172.16.0.1', openedBy: 'lan' },
  { address: '192.168.0.1', openedBy: 'lan' },
  { address: '100.64.0.1', openedBy: 'lan' },
  { address: '::1', openedBy: 'loopback' },
  { address: '::ffff:169.254.169.254' },
  { address: 'fe80::1' },
  { address: 'fd00::1', openedBy: 'lan' },
]

const NO_ROOM = [486, 508]

/** Never throws. No allocation is left behind. */
export async function reachRelay (target: ReachTarget, tools: ReachTools = { open: TurnClient.open, shakeHands }): Promise<Finding[]> {
  const found = await Promise.all([
    asStranger(target, tools),
    ...(target.login === null ? [] : [asClient(target, target.login, tools)]),
    ...(target.transport === 'tls' ? [asBrowser(target, tools)] : []),
  ])
  const [strangers = []] = found
  // Where nothing answers there is nothing more to tell.
  return strangers.some(({ check, result }) => check === 'reach' && result !== 'ok') ? strangers : found.flat()
}

async function asStranger (target: ReachTarget, tools: ReachTools): Promise<Finding[]> {
  const { subject, host, port } = target
  try {
    return await withClient(target, tools, async client => {
      const [seen, refusal] = await Promise.all([client.binding(), client.allocateAsStranger()])
      return [
        finding('reach', subject, 'ok', `${host}:${port} answers, and sees this machine as ${seen.address}.`),
        refusal === null
          ? finding('strangers', subject, 'failed', 'An Allocate without credentials was given an allocation.', 'Close the relay to the internet now, and look why its configuration is not read: the log of coturn tells. With TURNPIKE_RELAY_DRIVER=external, set use-auth-secret and static-auth-secret.')
          : finding('strangers', subject, refusal.code === 401 ? 'ok' : 'warning', `An Allocate without credentials is refused with ${refusal.code}.`, refusal.code === 401 ? null : 'Expected 401; the log of coturn tells why it is another.'),
      ]
    })
  } catch (error) {
    return [unreached(target, (error as Error).message)]
  }
}

function unreached ({ subject, host, port, transport, mayBeShutToItself }: ReachTarget, reason: string): Finding {
  const what = `${host}:${port} is not reached over ${transport}: ${reason}.`
  if (mayBeShutToItself) return finding('reach', subject, 'unknown', `${what} A machine behind a NAT often cannot reach its own public address, so this tells nothing of others.`, 'Run it on another machine: TURNPIKE_ADMIN_KEY=<key> turnpike doctor --url <address of the server>.')
  const protocol = transport === 'udp' ? 'UDP' : 'TCP'
  return finding('reach', subject, 'failed', what, `Open ${protocol} port ${port} toward ${host} in every firewall on the way (the machine's own and the provider's), and forward it where there is a NAT.`)
}

async function asClient (target: ReachTarget, login: Login, tools: ReachTools): Promise<Finding[]> {
  const { subject } = target
  try {
    return await withClient(target, tools, async client => {
      const outcome = await client.allocate(login)
      if (!isRefusal(outcome)) return [finding('allocate', subject, 'ok', `An allocation at ${outcome.relayed.address} was given.`), await tryForbidden(target, client, outcome.relayed)]
      if (NO_ROOM.includes(outcome.code)) return [finding('allocate', subject, 'warning', `An Allocate is refused with ${outcome.code}: the relay is full.`, 'Open more ports (TURNPIKE_RELAY_MIN_PORT, TURNPIKE_RELAY_MAX_PORT), or wait until calls end.')]
      return [finding('allocate', subject, 'failed', `An Allocate with a good credential is refused with ${outcome.code}.`, outcome.code === 401 ? 'Set the clocks of both machines; where the relay is run by somebody else, compare its static-auth-secret with TURNPIKE_RELAY_SECRET.' : 'Look into the log of coturn for the reason.')]
    })
  } catch (error) {
    return [finding('allocate', subject, 'unknown', `No Allocate could be tried: ${(error as Error).message}.`, 'See whether the relay is reached at all, and try again.')]
  }
}

async function tryForbidden ({ subject, peers }: ReachTarget, client: TurnClient, relayed: Address): Promise<Finding> {
  const samples = FORBIDDEN_SAMPLES.filter(({ address, openedBy }) => isIPv6(address) === isIPv6(relayed.address) && (peers === null || openedBy === undefined || openedBy !== peers))
  const tried = await Promise.all(samples.map(async ({ address, openedBy }) => ({ address, openedBy, refusal: await client.createPermission(address) })))
  const given = tried.filter(({ refusal }) => refusal === null)
  const list = (of: typeof tried): string => of.map(({ address }) => address).join(', ')
  if (given.length === 0) return finding('forbidden-peers', subject, 'ok', `Permissions toward ${list(tried)} are refused.`)
  const isWrong = peers !== null || given.some(({ openedBy }) => openedBy === undefined)
  return finding('forbidden-peers', subject, isWrong ? 'failed' : 'warning', `A permission toward ${list(given)} is given.`, isWrong ? 'Close the relay to the internet, and give coturn the denied-peer-ip lines of docs/doctor.md; a relay that Turnpike runs has them.' : 'Set TURNPIKE_RELAY_PEERS=internet at the server, unless its calls are meant to reach private addresses.')
}

const OWN_MADE = ['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN']
const OF_THE_CHAIN = ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY']

async function asBrowser ({ subject, host, port, timeoutMs }: ReachTarget, tools: ReachTools): Promise<Finding[]> {
  try {
    const { protocol, distrust } = await tools.shakeHands({ host, port, timeoutMs })
    if (distrust === null) return [finding('tls-handshake', subject, 'ok', `${protocol}, with a certificate that this machine trusts.`)]
    if (OWN_MADE.includes(distrust)) return [finding('tls-handshake', subject, 'warning', `${protocol}, with a certificate that is self-made (${distrust}): only clients that were told to trust it take it.`, 'Get a certificate of a public authority (Let\'s Encrypt), and name its files in TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY.')]
    const cure = OF_THE_CHAIN.includes(distrust) ? 'Name the file with the whole chain in TURNPIKE_TLS_CERT (fullchain.pem, not cert.pem).' : `Get a new certificate for ${host}, and name its files in TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY.`
    return [finding('tls-handshake', subject, 'failed', `${protocol}, with a certificate that is not trusted (${distrust}).`, cure)]
  } catch (error) {
    return [finding('tls-handshake', subject, 'failed', `No TLS handshake: ${(error as Error).message}.`, 'See that TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY name files that coturn can read, and look into its log.')]
  }
}

async function withClient<T> ({ host, port, transport, timeoutMs }: ReachTarget, { open }: ReachTools, work: (client: TurnClient) => Promise<T>): Promise<T> {
  const client = await open({ transport, host, port, timeoutMs })
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}
