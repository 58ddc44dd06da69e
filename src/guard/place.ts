/** Which containers are this Turnpike's: found out by asking the engine, never by what a caller says. */
import { createHash } from 'node:crypto'
import { lstat, readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { COMPOSE_PROJECT, LABELS, MACHINES_NETWORK, PATHS, USERS_DIRECTORY } from '../protocol/coturn-container.ts'
import type { Engine } from './engine.ts'
import { isObject, member } from './json.ts'
import { Refused } from './refused.ts'

/** Where the data directory of the Turnpike behind us is, and what follows from it. */
export type Place = {
  /** The data directory, and what holds it (a volume, a directory of the machine), as the engine sees them. */
  data: string
  held: string
  /** Of our own container. */
  composeProject: string | null
  /** The value of our label on what we let be made: the same after every start over this data directory. */
  mark: string
}

const ID = /\/containers\/([0-9a-f]{64})\//g
const RELAY_DIRECTORY = String.raw`(relay|relays/[a-z0-9-]{1,32})(/alternate)?/${USERS_DIRECTORY}`

/** Throws Refused where we run in a container that does not hold the data directory. */
export async function findPlace (engine: Engine, dataDir: string): Promise<Place> {
  const own = await ownContainer(engine)
  if (own === undefined) return placeOf(dataDir, dataDir, null)
  const holds = mountsOf(own).filter(({ target }) => dataDir === target || dataDir.startsWith(`${target}/`))
  const [nearest] = holds.sort((a, b) => b.target.length - a.target.length)
  if (nearest === undefined) throw new Refused(`${dataDir} is on no volume of the guard's container: mount the one of Turnpike there, read-only`)
  const project = member(own, 'Config', 'Labels', COMPOSE_PROJECT)
  return placeOf(`${nearest.source}${dataDir.slice(nearest.target.length)}`, nearest.source, typeof project === 'string' ? project : null)
}

function placeOf (data: string, held: string, composeProject: string | null): Place {
  return { data, held, composeProject, mark: createHash('sha256').update(data).digest('hex').slice(0, 12) }
}

async function ownContainer (engine: Engine): Promise<unknown> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  // A host name may be another container's name; an id is nobody else's.
  const ids = new Set([...mounts.matchAll(ID)].map(([, id]) => id ?? ''))
  for (const id of [...ids, ...(/^[0-9a-f]{12}$/.test(hostname()) ? [hostname()] : [])]) {
    const found = await engine.json(`/containers/${id}/json`)
    if (found !== undefined) return found
  }
  return undefined
}

/** Mounts of a container, as it is listed or inspected. */
export function mountsOf (container: unknown): { source: string, target: string }[] {
  const mounts = member(container, 'Mounts')
  return (Array.isArray(mounts) ? mounts : []).filter(isObject).map(mount => ({ source: String(mount['Source'] ?? ''), target: String(mount['Destination'] ?? '') }))
}

/** Is this container a coturn of this Turnpike? By our label; one that was made before there was a guard, by what is mounted in it. */
export function isCoturnOf ({ data, mark }: Place, container: unknown): boolean {
  // Labels stand elsewhere in a list than in an inspection.
  const labels = member(container, 'Config', 'Labels') ?? member(container, 'Labels')
  if (member(labels, LABELS.guard) === mark) return true
  const holds = mountsOf(container).some(({ source, target }) => target === PATHS.users && isUsersDirectory(data, source))
  return member(labels, LABELS.relay) !== undefined && member(labels, LABELS.guard) === undefined && holds
}

/** Does it hold the data directory, so that it is Turnpike itself? */
export function holdsData ({ held }: Place, container: unknown): boolean {
  return mountsOf(container).some(({ source }) => source === held)
}

/** Containers of Turnpike itself that run, as the engine lists them: they hold the data directory, and are of our project where we are of one. The guard is none: it has no network. */
export async function turnpikes (engine: Engine, place: Place): Promise<unknown[]> {
  const { composeProject } = place
  const found = await engine.json('/containers/json', composeProject === null ? {} : { filters: JSON.stringify({ label: [`${COMPOSE_PROJECT}=${composeProject}`] }) })
  return (Array.isArray(found) ? found : []).filter(container => holdsData(place, container) && !isCoturnOf(place, container) && networkOf(container) !== 'none')
}

/** The networks that a coturn may have: that of another container where Turnpike has it too, else the machine's. */
export async function networksFor (engine: Engine, place: Place): Promise<string[]> {
  const networks = (await turnpikes(engine, place)).map(container => (isShared(networkOf(container)) ? networkOf(container) : MACHINES_NETWORK))
  // Turnpike that runs in no container has the machine's.
  return networks.length === 0 ? [MACHINES_NETWORK] : [...new Set(networks)]
}

/** As it is listed or inspected: `host`, `container:<id>`, or the name of a network. */
export function networkOf (container: unknown): string {
  return String(member(container, 'HostConfig', 'NetworkMode') ?? '')
}

function isShared (network: string): boolean {
  return /^container:[0-9a-f]{64}$/.test(network)
}

export function isUsersDirectory (data: string, source: string): boolean {
  return source.startsWith(`${data}/`) && new RegExp(`^${RELAY_DIRECTORY}$`).test(source.slice(data.length + 1))
}

/** The engine follows symbolic links: one in the way would mount any directory of the machine. Throws Refused where there is one. */
export async function requireRealDirectory (place: Place, dataDir: string, source: string): Promise<void> {
  if (!isUsersDirectory(place.data, source)) throw new Refused('HostConfig.Mounts: only the directory of a relay\'s user database may be mounted')
  let path = dataDir
  for (const part of source.slice(place.data.length + 1).split('/')) {
    path += `/${part}`
    const found = await lstat(path).catch((error: NodeJS.ErrnoException) => { throw new Refused(`${path} cannot be looked at (${error.code}): the guard needs the data directory, and the capability DAC_READ_SEARCH`) })
    if (!found.isDirectory()) throw new Refused(`${path} is no directory of its own`)
  }
}
