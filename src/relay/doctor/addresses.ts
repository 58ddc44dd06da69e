/** Is the relay's public address what the outside sees, and does a NAT between them leave ports as they are? */
import { isIP } from 'node:net'
import { finding, type Finding } from '../../protocol/findings.ts'
import type { Mapping } from '../../stun/nat-mapping.ts'
import { isLoopback } from '../denied-peers.ts'
import type { DoctorSubject, DoctorWorld } from './subject.ts'

type Needs = Pick<DoctorWorld, 'ownAddresses' | 'observeMapping' | 'timeoutMs'>

const IS_ON_LOOPBACK = 'The relay listens on loopback: only clients on this machine reach it.'

export async function examineAddresses (subject: DoctorSubject, world: Needs): Promise<Finding[]> {
  const { id, listenIp, listenIp6, driver, stunServers, maxPort } = subject
  // The addresses of a relay that somebody else runs are not of this machine.
  if (driver === 'external') return []
  const about = `relay ${id}`
  if (listenIp === null || isIP(listenIp) === 0) return [finding('listen-address', about, 'unknown', 'The address that the relay listens on is not known yet.')]
  const own = new Set(world.ownAddresses())
  const listening = [listenIp, ...(listenIp6 === null ? [] : [listenIp6])].map(address => listenAddress(about, address, own))
  if (isLoopback(listenIp)) return [...listening, finding('public-address', about, 'warning', IS_ON_LOOPBACK, 'For clients elsewhere, set TURNPIKE_RELAY_LISTEN_IP to an address of this machine, or leave it and TURNPIKE_PUBLIC_HOST unset.')]
  if (stunServers.length === 0) return [...listening, finding('public-address', about, 'unknown', 'No STUN server is configured that could tell how the outside sees this machine.', 'Set TURNPIKE_RELAY_STUN_SERVERS, such as stun.cloudflare.com:3478.')]
  const mapping = await world.observeMapping({ address: listenIp, port: maxPort, servers: stunServers, timeoutMs: world.timeoutMs })
    // Nothing can be sent from an address that the machine has lost.
    .catch((error: unknown): Mapping => ({ localPort: maxPort, answers: [], silent: [{ server: `from ${listenIp}`, reason: (error as Error).message }] }))
  return [...listening, publicAddress(subject, about, mapping), ...nat(about, listenIp, mapping)]
}

function listenAddress (about: string, address: string, own: ReadonlySet<string>): Finding {
  if (own.has(address) || isLoopback(address)) return finding('listen-address', about, 'ok', `${address} is an address of this machine.`)
  return finding('listen-address', about, 'failed', `${address} is no address of this machine (any more).`, 'Give the address back to the machine; or set TURNPIKE_RELAY_LISTEN_IP to one that it has ("ip -brief address" lists them) and start Turnpike again.')
}

function publicAddress ({ publicIp, isPublicIpConfigured }: DoctorSubject, about: string, { answers, silent }: Mapping): Finding {
  if (answers.length === 0) return finding('public-address', about, 'unknown', `No STUN server told how the outside sees this machine (${silent.map(({ server, reason }) => `${server}: ${reason}`).join('; ')}).`, 'Let UDP out to them, or set TURNPIKE_RELAY_STUN_SERVERS to others; where no UDP goes out at all, no call is relayed.')
  const seen = [...new Set(answers.map(({ seen: { address } }) => address))]
  if (seen.length > 1) return finding('public-address', about, 'warning', `STUN servers see this machine at different addresses: ${answers.map(({ server, seen: { address } }) => `${address} (${server})`).join(', ')}.`, 'Set TURNPIKE_RELAY_EXTERNAL_IP to the address that clients reach, and have the network send what the relay sends from that address only.')
  if (seen[0] === publicIp) return finding('public-address', about, 'ok', `${publicIp}, as ${answers.length === 1 ? 'a STUN server sees' : `${answers.length} STUN servers see`} it too.`)
  if (isPublicIpConfigured) return finding('public-address', about, 'warning', `${publicIp} is configured, and STUN servers see ${seen[0]}.`, `Where ${seen[0]} is right, set TURNPIKE_RELAY_EXTERNAL_IP to it; where clients come in by another address than the machine goes out by, all is well.`)
  return finding('public-address', about, 'failed', `The relay tells clients ${publicIp}, and STUN servers see ${seen[0]}: the address has changed, or it could not be found at the start.`, `Start Turnpike again, or set TURNPIKE_RELAY_EXTERNAL_IP=${seen[0]}.`)
}

function nat (about: string, listenIp: string, { localPort, answers }: Mapping): Finding[] {
  const [first] = answers
  if (first === undefined) return []
  const { seen } = first
  if (answers.every(answer => answer.seen.address === listenIp)) return [finding('nat', about, 'ok', 'There is no NAT: the relay listens on its public address.')]
  const ports = [...new Set(answers.map(answer => answer.seen.port))]
  const cure = 'Give the machine a public address, or a NAT that maps its public address to it 1:1 (as clouds do), or forward the relay port and the whole range of relay ports to the same ports of this machine.'
  if (ports.length > 1) return [finding('nat', about, 'failed', `The NAT in front is symmetric: port ${localPort} is seen as ${ports.join(', ')}, another for each destination.`, cure)]
  if (seen.port !== localPort) return [finding('nat', about, 'failed', `The NAT in front changes ports: port ${localPort} is seen as ${seen.port}.`, cure)]
  return [finding('nat', about, 'ok', `A NAT maps ${listenIp} to ${seen.address} and leaves ports as they are${answers.length === 1 ? ' (one STUN server answered; whether it does so for every destination cannot be told)' : ''}.`)]
}
