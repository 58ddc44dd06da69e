/** POST /containers/create: understood completely or refused, and written anew from what was understood. */
import { COMPOSE_PROJECT, coturnContainer, LABELS, versionContainer, type ContainerNetwork, type ContainerRequest } from '../protocol/coturn-container.ts'
import { firstDifference, member } from './json.ts'
import type { Place } from './place.ts'
import { Refused } from './refused.ts'

const RELAY = /^[a-z0-9-]{1,32}$/
const OWNER = /^[0-9a-f]{12}$/
const DIGEST = /^[0-9a-f]{64}$/
const NETWORK = OWNER
/** Less than this no coturn starts with; more is no bound on any machine. */
const LEAST_MEMORY = 64 * 2 ** 20
const MOST_MEMORY = 2 ** 40

export type Understood = ContainerRequest & { /** The directory that is mounted, as the engine sees it; null where there is none. */ users: string | null }

/** Throws Refused with the first member that is not as a coturn's container has it. */
export function understandCreate (name: string | null, text: string, { place, images, networks }: { place: Place, images: readonly string[], /** That a coturn may have. */ networks: readonly string[] }): Understood {
  const sent = parse(text)
  const image = images.find(allowed => allowed === member(sent, 'Image'))
  if (image === undefined) throw new Refused(`Image: only ${images.join(', ')} may be run`)
  const users = member(sent, 'Labels', LABELS.asks) === undefined ? sourceIn(sent) : null
  const made = users === null ? versionContainer({ image, owner: labelIn(sent, LABELS.asks, OWNER) }) : coturnOf(sent, { image, users, place, networks })
  // What was sent may say nothing else than what we would have said: a member in other letters (the engine takes "hostconfig" too), or one more, is a difference.
  const difference = firstDifference(sent, made.body)
  if (difference !== null) throw new Refused(`${difference.slice(0, 100)} is not as the container of a coturn has it`)
  if (name !== made.name) throw new Refused('the name is not that of a coturn of this relay')
  return { name: made.name, users, body: { ...made.body, Labels: { ...made.body.Labels, [LABELS.guard]: place.mark } } }
}

function coturnOf (sent: unknown, { image, users, place, networks }: { image: string, users: string, place: Place, networks: readonly string[] }): ContainerRequest {
  const securityOptions = member(sent, 'HostConfig', 'SecurityOpt')
  return coturnContainer({
    image,
    users,
    relay: labelIn(sent, LABELS.relay, RELAY),
    owner: labelIn(sent, LABELS.owner, OWNER),
    digest: labelIn(sent, LABELS.digest, DIGEST),
    // Ours or none: another one's would have another project's `down` take it away.
    composeProject: member(sent, 'Labels', COMPOSE_PROJECT) === undefined ? null : place.composeProject,
    hasLowPort: Array.isArray(securityOptions) && securityOptions.length === 0,
    network: networkIn(sent, networks),
    memoryBytes: memoryIn(sent),
  })
}

function sourceIn (sent: unknown): string {
  const mounts = member(sent, 'HostConfig', 'Mounts')
  const source = Array.isArray(mounts) ? member(mounts[0], 'Source') : undefined
  if (typeof source !== 'string') throw new Refused('HostConfig.Mounts is not as the container of a coturn has it')
  return source
}

/** The network is Turnpike's own, and never one that it only names. */
function networkIn (sent: unknown, networks: readonly string[]): ContainerNetwork {
  const mode = networks.find(allowed => allowed === member(sent, 'HostConfig', 'NetworkMode'))
  if (mode === undefined) throw new Refused('HostConfig.NetworkMode is not the network of Turnpike')
  return { mode, name: member(sent, 'Labels', LABELS.network) === undefined ? null : labelIn(sent, LABELS.network, NETWORK) }
}

function memoryIn (sent: unknown): number {
  const bytes = member(sent, 'HostConfig', 'Memory')
  if (typeof bytes !== 'number' || !Number.isInteger(bytes) || bytes < LEAST_MEMORY || bytes > MOST_MEMORY) throw new Refused('HostConfig.Memory is not as the container of a coturn has it')
  return bytes
}

function labelIn (sent: unknown, label: string, form: RegExp): string {
  const value = member(sent, 'Labels', label)
  if (typeof value !== 'string' || !form.test(value)) throw new Refused(`Labels.${label} is not as the container of a coturn has it`)
  return value
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Refused('the body is no JSON')
  }
}
