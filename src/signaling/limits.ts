/** What peers of a project may: the limits of the server, and those of the project where they are lower. */
import type { Config } from '../config/schema.ts'
import type { ProjectSettings } from '../protocol/project-settings.ts'

type Server = Config['signaling']
type Own = Pick<ProjectSettings['quotas'], 'peers' | 'rooms' | 'roomCapacity' | 'messageBytes' | 'metadataBytes' | 'signalsPerSecond' | 'signalsBurst' | 'socketsPerAddress'>
export type ProjectLimits = Readonly<Server>
export type { Own as ProjectQuotas }

const NONE: Own = { peers: null, rooms: null, roomCapacity: null, messageBytes: null, metadataBytes: null, signalsPerSecond: null, signalsBurst: null, socketsPerAddress: null }

/** One object for each project for as long as its settings are the same: thousands of peers hold on to it. */
export class Limits {
  readonly #server: Server
  readonly #ownOf: (project: string) => Own | null
  readonly #known = new Map<string, { own: Own, limits: ProjectLimits }>()

  constructor (server: Server, ownOf: (project: string) => Own | null) {
    this.#server = server
    this.#ownOf = ownOf
  }

  of (project: string): ProjectLimits {
    const own = this.#ownOf(project) ?? NONE
    const known = this.#known.get(project)
    if (known?.own === own) return known.limits
    const least = (quota: number | null, limit: number): number => Math.min(quota ?? limit, limit)
    const server = this.#server
    const limits = {
      ...server,
      peersPerProject: least(own.peers, server.peersPerProject),
      roomsPerProject: least(own.rooms, server.roomsPerProject),
      roomCapacity: least(own.roomCapacity, Number.MAX_SAFE_INTEGER),
      messageBytes: least(own.messageBytes, server.messageBytes),
      metadataBytes: least(own.metadataBytes, server.metadataBytes),
      signalsPerSecond: least(own.signalsPerSecond, server.signalsPerSecond),
      signalsBurst: least(own.signalsBurst, server.signalsBurst),
      socketsPerAddress: least(own.socketsPerAddress, server.socketsPerAddress),
    }
    this.#known.set(project, { own, limits })
    return limits
  }
}
