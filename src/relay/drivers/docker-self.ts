/** What the Docker engine knows of the container that we run in, where we run in one. */
import type Docker from 'dockerode'
import type { ContainerInspectInfo } from 'dockerode'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { TurnpikeError } from '../../protocol/errors.ts'

/** Our own container, or null where we run on the machine itself. */
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

async function containerIds (): Promise<string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  return [...new Set([...mounts.matchAll(/\/containers\/([0-9a-f]{64})\//g)].map(([, id]) => id ?? ''))]
}
