/** The versions of coturn and of the Docker engine, and what is known against them. */
import { errorEntry } from '../../protocol/errors.ts'
import { finding, type Finding } from '../../protocol/findings.ts'
import { faultsOf, isAtLeast, parseVersion, RECOMMENDED, refusalOf, type Fault } from '../coturn-versions.ts'
import type { DoctorSubject, DoctorWorld } from './subject.ts'

/** Older engines lack what our containers are made with. */
const OLDEST_ENGINE = [20, 10, 0] as const

export function examineCoturn ({ id, version, driver }: DoctorSubject): Finding[] {
  const about = `relay ${id}, coturn`
  const parsed = version === null ? null : parseVersion(version)
  if (parsed === null) return [finding('coturn-version', about, 'unknown', driver === 'external' ? 'Somebody else runs it; its version cannot be seen.' : 'Its version is not known yet.', driver === 'external' ? `Ask them for ${RECOMMENDED} or newer.` : null)]
  const name = parsed.join('.')
  const cure = `Use coturn ${RECOMMENDED} or newer: TURNPIKE_RELAY_DRIVER=docker brings it.`
  const refusal = refusalOf(parsed)
  if (refusal !== null) return [finding('coturn-version', about, 'failed', `coturn ${name} must not be used: ${refusal}.`, cure)]
  const faults = faultsOf(parsed)
  const open = faults.filter(({ exposure }) => exposure === 'open')
  const closed = faults.filter(({ exposure, ids }) => exposure !== 'open' && ids.length > 0)
  const rest = closed.length === 0 ? '' : ` Closed by the configuration, or in what is not switched on: ${closed.flatMap(({ ids }) => ids).join(', ')}.`
  if (open.length === 0) return [finding('coturn-version', about, 'ok', `coturn ${name}: no fault is known that concerns this relay.${rest}`)]
  return [finding('coturn-version', about, 'warning', `coturn ${name} has known faults: ${open.map(inWords).join('; ')}.${rest}`, cure)]
}

function inWords ({ what, ids }: Fault): string {
  return ids.length === 0 ? what : `${what} (${ids.join(', ')})`
}

/** Only where coturn is run by it. */
export async function examineDocker ({ id, driver, code, reason }: DoctorSubject, dockerVersion: DoctorWorld['dockerVersion']): Promise<Finding[]> {
  const about = `relay ${id}, Docker`
  if (code === 'docker-unreachable') return [finding('docker', about, 'failed', `The Docker engine does not answer: ${reason}.`, errorEntry(code).cure)]
  if (driver !== 'docker') return []
  try {
    const version = await dockerVersion()
    const parsed = parseVersion(version)
    if (parsed !== null && !isAtLeast(parsed, OLDEST_ENGINE)) return [finding('docker', about, 'warning', `Docker ${version} is older than the oldest version tested (${OLDEST_ENGINE.join('.')}).`, 'Install a newer Docker Engine.')]
    return [finding('docker', about, 'ok', `Docker ${version} answers.`)]
  } catch (error) {
    return [finding('docker', about, 'failed', `The Docker engine does not answer: ${(error as Error).message}.`, errorEntry('docker-unreachable').cure)]
  }
}
