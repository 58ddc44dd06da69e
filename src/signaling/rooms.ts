/** All rooms and how full things are: who may come in, and what is counted when somebody comes or goes. */
import type { Config } from '../config/schema.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { LeaveReason, PeerView } from '../protocol/frames.ts'
import { Room } from './room.ts'
import type { Session } from './session.ts'

type Place = { project: string, room: string, peer: string, capacity: number, takeover: boolean }

/** Counts by name, without entries that are zero. */
class Tally {
  readonly #counts = new Map<string, number>()

  of (name: string): number {
    return this.#counts.get(name) ?? 0
  }

  add (name: string, amount: 1 | -1): number {
    const count = this.of(name) + amount
    if (count === 0) this.#counts.delete(name)
    else this.#counts.set(name, count)
    return count
  }
}

/** What a project may have at most, where it is less than the server's limit. */
export type ProjectLimits = { peers: number | null, rooms: number | null }

export class Rooms {
  readonly #limits: Config['signaling']
  readonly #limitsOf: (project: string) => ProjectLimits
  readonly #metrics: Pick<Metrics, 'set'>
  readonly #rooms = new Map<string, Room>()
  readonly #roomsOf = new Tally()
  readonly #peersOf = new Tally()
  readonly #socketsFrom = new Tally()

  constructor (limits: Config['signaling'], limitsOf: (project: string) => ProjectLimits, metrics: Pick<Metrics, 'set'>) {
    this.#limits = limits
    this.#limitsOf = limitsOf
    this.#metrics = metrics
  }

  /** Throws what coming in would be refused with. */
  check (place: Place, remoteAddress: string): void {
    const { roomsPerProject, peersPerProject, socketsPerAddress } = this.#limits
    if (this.#socketsFrom.of(remoteAddress) >= socketsPerAddress) throw new TurnpikeError('too-many-sockets', `${socketsPerAddress} sockets may come from one address`)
    const own = this.#limitsOf(place.project)
    const mostPeers = Math.min(own.peers ?? peersPerProject, peersPerProject)
    const mostRooms = Math.min(own.rooms ?? roomsPerProject, roomsPerProject)
    if (this.#peersOf.of(place.project) >= mostPeers) throw new TurnpikeError('too-many-peers', `${mostPeers} peers may be in this project's rooms`)
    const room = this.#rooms.get(keyOf(place))
    if (room === undefined) {
      if (this.#roomsOf.of(place.project) >= mostRooms) throw new TurnpikeError('too-many-rooms', `this project may have ${mostRooms} rooms`)
      return
    }
    if (room.capacity !== place.capacity) throw new TurnpikeError('room-mode-conflict', `the room has the capacity ${room.capacity}, the token says ${place.capacity}`)
    const namesake = room.find(place.peer)
    if (namesake !== undefined && !place.takeover) throw new TurnpikeError('peer-id-taken', 'the room has a peer with this id')
    if (namesake === undefined && room.isFull) throw new TurnpikeError('room-full', `the room holds ${room.capacity}`)
  }

  findMember (place: Place): Session | undefined {
    return this.#rooms.get(keyOf(place))?.find(place.peer)
  }

  enter (session: Session, place: Place, remoteAddress: string): { room: Room, peers: PeerView[] } {
    const { project } = place
    let room = this.#rooms.get(keyOf(place))
    if (room === undefined) {
      room = new Room(project, place.room, place.capacity)
      this.#rooms.set(keyOf(place), room)
      this.#metrics.set('turnpike_signaling_rooms', { project }, this.#roomsOf.add(project, 1))
    }
    this.#socketsFrom.add(remoteAddress, 1)
    this.#metrics.set('turnpike_signaling_sockets', { project }, this.#peersOf.add(project, 1))
    return { room, peers: room.enter(session) }
  }

  leave (session: Session, remoteAddress: string, reason: LeaveReason): void {
    const { project } = session
    const room = session.room === null ? undefined : this.#rooms.get(keyOf({ project, room: session.room.id }))
    if (room === undefined) return
    room.leave(session, reason)
    session.room = null
    this.#socketsFrom.add(remoteAddress, -1)
    this.#metrics.set('turnpike_signaling_sockets', { project }, this.#peersOf.add(project, -1))
    if (room.size > 0) return
    this.#rooms.delete(keyOf({ project, room: room.id }))
    this.#metrics.set('turnpike_signaling_rooms', { project }, this.#roomsOf.add(project, -1))
  }
}

/** A room of one project is never that of another; ids hold no control characters. */
function keyOf ({ project, room }: { project: string, room: string }): string {
  return `${project}\n${room}`
}
