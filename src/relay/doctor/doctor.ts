/** The doctor: looks at each relay and at the machine, everything side by side, and says what it found, why it matters and what to do. */
import { byGravity, type CheckName, type Finding } from '../../protocol/findings.ts'
import { examineAddresses } from './addresses.ts'
import { bounded } from './bounded.ts'
import { examineCertificate } from './certificate.ts'
import { examineClock, examineRelayClock } from './clock.ts'
import { examineConntrack, examineDisk, examineMemory, examineOpenFiles, examinePortRange, examineSocketBuffers } from './machine.ts'
import { examineName } from './names.ts'
import { examinePolicy, examineState } from './policy.ts'
import { examineReach } from './reach.ts'
import { examineCoturn, examineDocker } from './software.ts'
import { isReady } from '../relay-states.ts'
import type { DoctorSubject, DoctorWorld } from './subject.ts'

export type { DoctorSubject, DoctorWorld }
type Work = () => Promise<Finding[]> | Finding[]

/** Never throws; takes as long as the slowest group of checks, at most world.deadlineMs. No finding holds a secret. */
export async function examine (subjects: readonly DoctorSubject[], world: DoctorWorld): Promise<Finding[]> {
  const groups = [...subjects.flatMap(subject => relayChecks(subject, world)), ...machineChecks(subjects, world)]
  const found = await Promise.all(groups.map(async ([check, about, work]) => await bounded(check, about, world.deadlineMs, work)))
  return byGravity(found.flat())
}

function relayChecks (subject: DoctorSubject, world: DoctorWorld): [CheckName, string, Work][] {
  const about = `relay ${subject.id}`
  // What does not run is not reached either, and its state says why.
  const isThere = isReady(subject.state) && subject.host !== ''
  return [
    ['relay-state', about, () => examineState(subject)],
    ['name-resolves', about, () => examineName(subject, world)],
    ['public-address', about, () => examineAddresses(subject, world)],
    ['reach', about, () => (isThere ? examineReach(subject, world) : [])],
    ['strangers', about, () => examinePolicy(subject)],
    ['certificate-chain', about, () => (subject.driver === 'external' ? [] : examineCertificate(subject, world.nowSeconds()))],
    ['clock', about, () => examineRelayClock(subject.id, subject.checks)],
    ['open-files', about, () => examineOpenFiles(subject, world.readFile)],
    ['port-range', about, () => examinePortRange(subject)],
    ['coturn-version', about, () => examineCoturn(subject)],
    ['docker', about, () => examineDocker(subject, world.dockerVersion)],
  ]
}

function machineChecks (subjects: readonly DoctorSubject[], world: DoctorWorld): [CheckName, string, Work][] {
  const own = subjects.filter(({ driver }) => driver !== 'external')
  const ports = own.reduce((sum, { minPort, maxPort }) => sum + maxPort - minPort + 1, 0)
  // What a relay elsewhere needs of its machine is not to be seen on this one.
  const ofRelays: [CheckName, string, Work][] = [
    ['socket-buffers', 'machine', () => examineSocketBuffers(world.readFile)],
    ['conntrack', 'machine', () => examineConntrack(world.readFile, ports)],
  ]
  return [
    ['clock', 'machine', () => examineClock(world)],
    ...(own.length === 0 ? [] : ofRelays),
    ['disk', 'machine', () => examineDisk(world.dataDir, world.space)],
    ['memory', 'machine', () => examineMemory(world.readFile)],
  ]
}
