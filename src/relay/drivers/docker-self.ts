/** What the Docker engine knows of the container that we run in, where we run in one. */
import type Docker from 'dockerode'
import type { ContainerInspectInfo } from 'dockerode'
import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { MACHINES_NETWORK, type ContainerNetwork } from '../../protocol/coturn-container.ts'
import { TurnpikeError } from '../../protocol/errors.ts'

/** Our own container, or null where we run on the machine itself. One that shares the network of another is known by that one's id, which the guard understands. */
export async function ownContainer (docker: Docker): Promise<ContainerInspectInfo | null> {
  // A container's host name is its id, unless it shares the machine's network.
  for (const id of [hostname(), ...await containerIds()]) {
    const found = await docker.getContainer(id).inspect().catch(() => null)
    if (found !== null) return found
  }
  return null
}

/** The path under which the engine finds a directory of ours: another container is to share it. Throws relay-volume-missing. */
export async function hostPathOf (docker: Docker, directory: string): Promise<string> {
  const own = await ownContainer(docker)
  if (own === null) return directory
  const holds = own.Mounts.filter(({ Destination }) => directory === Destination || directory.startsWith(`${Destination}/`))
  const [nearest] = holds.sort((a, b) => b.Destination.length - a.Destination.length)
  if (nearest === undefined) throw new TurnpikeError('relay-volume-missing', `${directory} is inside this container alone, and the container of coturn cannot read it`)
  return `${nearest.Source}${directory.slice(nearest.Destination.length)}`
}

/** The network that coturn is to have: ours where we share another container's, else the machine's. */
export async function networkFor (docker: Docker): Promise<ContainerNetwork> {
  const { NetworkMode: mode = '' } = (await ownContainer(docker))?.HostConfig ?? {}
  if (!mode.startsWith('container:')) return { mode: MACHINES_NETWORK, name: null }
  // A container that was started again has the same id, and another network: this is the network itself.
  return { mode, name: createHash('sha256').update(`${mode} ${await readlink('/proc/self/ns/net')}`).digest('hex').slice(0, 12) }
}

async function containerIds (): Promise<string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  return [...new Set([...mounts.matchAll(/\/containers\/([0-9a-f]{64})\//g)].map(([, id]) => id ?? ''))]
}
