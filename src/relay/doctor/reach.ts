/** Reaches the relay at its public host and port from the server itself. */
import type { Finding } from '../../protocol/findings.ts'
import { reachRelay } from '../../stun/reach.ts'
import type { TransportName } from '../../stun/transport.ts'
import type { DoctorSubject, DoctorWorld } from './subject.ts'

type Needs = Pick<DoctorWorld, 'open' | 'shakeHands' | 'timeoutMs'>

export async function examineReach (subject: DoctorSubject, world: Needs): Promise<Finding[]> {
  const { id, host, port, tlsPort, login, peers, driver, listenIp, publicIp } = subject
  const doors: { transport: TransportName, port: number }[] = [{ transport: 'udp', port }, { transport: 'tcp', port }, ...(tlsPort === null ? [] : [{ transport: 'tls' as const, port: tlsPort }])]
  const found = await Promise.all(doors.map(async door => await reachRelay({
    subject: `relay ${id}, ${door.transport}`,
    host,
    port: door.port,
    transport: door.transport,
    login,
    peers: driver === 'external' ? null : peers,
    mayBeShutToItself: driver !== 'external' && publicIp !== listenIp,
    timeoutMs: world.timeoutMs,
  }, world)))
  return found.flat()
}
