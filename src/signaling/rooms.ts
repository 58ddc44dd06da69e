/** All rooms and how full things are: who may come in, and what is counted when somebody comes or goes. */
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { LeaveReason, Metadata, RoomKind } from '../protocol/frames.ts'
import type { Limits } from './limits.ts'
import { Room, type RoomNeeds } from './room.ts'
import type { SignalGrant } from './grant.ts'
import type { Session } from './session.ts'
import { Tally } from './tally.ts'

export type RoomProperties = { kind: RoomKind, capacity: number, metadata: Metadata }
/** What applications are told (webhooks). */
export type RoomEvent =
  | { type: 'room.started' | 'room.ended', fields: { room: string, kind: RoomKind } }
  | { type: 'peer.joined', fields: { room: string, peer: string, role: string | null, session: string } }
  | { type: 'peer.left', fields: { room: string, peer: string, session: string, reason: LeaveReason } }
  | { type: 'peer.kicked', fields: { room: string, peer: string, by: string } }
export type RoomsNeeds = { limits: Limits, socketsPerAddress: number, metrics: Pick<Metrics, 'set'>, nowSeconds: () => number, announce (project: string, event: RoomEvent): void, watch: RoomNeeds['watch'] }
type Place = Pick<SignalGrant, 'project' | 'room' | 'peer' | 'kind' | 'capacity' | 'takeover' | 'heldBy'>

export class Rooms {
  readonly #needs: RoomsNeeds
  readonly #rooms = new Map<string, Room>()
  /** Properties of rooms that were made ahead. */
  readonly #prepared = new Map<string, RoomProperties>()
  readonly #roomsOf = new Tally()
  readonly #peersOf = new Tally()
  readonly #socketsOf = new Tally()
  readonly #socketsFrom = new Tally()

  constructor (needs: RoomsNeeds) {
    this.#needs = needs
  }

  /** Throws what coming in would be refused with. */
  check (place: Place, remoteAddress: string): void {
    const { peersPerProject, roomsPerProject, roomCapacity } = this.#needs.limits.of(place.project)
    this.checkAddress(place.project, remoteAddress)
    const room = this.find(place.project, place.room)
    const namesake = room?.find(place.peer)
    if (namesake === undefined && this.#peersOf.of(place.project) >= peersPerProject) throw new TurnpikeError('too-many-peers', `${peersPerProject} peers may be in this project's rooms`)
    if (room === undefined && this.#roomsOf.of(place.project) >= roomsPerProject) throw new TurnpikeError('too-many-rooms', `this project may have ${roomsPerProject} rooms`)
    const said: Pick<RoomProperties, 'kind' | 'capacity'> | undefined = room ?? this.#prepared.get(keyOf(place.project, place.room))
    const capacity = Math.min(place.capacity, roomCapacity)
    if (said !== undefined && (said.kind !== place.kind || Math.min(said.capacity, roomCapacity) !== capacity)) throw new TurnpikeError('room-mode-conflict', `the room is ${said.kind} for ${said.capacity}, the token says ${place.kind} for ${place.capacity}`)
    if (room === undefined) return
    if (namesake !== undefined && !givesWay(namesake, place)) throw new TurnpikeError('peer-id-taken', 'the room has a peer with this id')
    if (namesake === undefined && room.isFull) throw new TurnpikeError('room-full', `the room holds ${room.capacity}`)
  }

  /** Throws too-many-sockets. */
  checkAddress (project: string, remoteAddress: string): void {
    const ofServer = this.#needs.socketsPerAddress
    const ofProject = this.#needs.limits.of(project).socketsPerAddress
    if (this.#socketsFrom.of(remoteAddress) >= ofServer) throw new TurnpikeError('too-many-sockets', `${ofServer} sockets may come from one address`)
    if (this.#socketsFrom.of(`${project} ${remoteAddress}`) >= ofProject) throw new TurnpikeError('too-many-sockets', `${ofProject} sockets of this project may come from one address`)
  }

  countSocket (project: string, remoteAddress: string, amount: 1 | -1): void {
    this.#socketsFrom.add(remoteAddress, amount)
    this.#socketsFrom.add(`${project} ${remoteAddress}`, amount)
    this.#needs.metrics.set('turnpike_signaling_sockets', { project }, this.#socketsOf.add(project, amount))
  }

  find (project: string, room: string): Room | undefined {
    return this.#rooms.get(keyOf(project, room))
  }

  * of (project: string): Generator<Room> {
    for (const room of this.#rooms.values()) if (room.project === project) yield room
  }

  [Symbol.iterator] (): Iterator<Room> {
    return this.#rooms.values()
  }

  /** The properties of a room that is there, or was made ahead. */
  propertiesOf (project: string, room: string): RoomProperties | undefined {
    return this.#prepared.get(keyOf(project, room)) ?? this.find(project, room)
  }

  /** Who comes from now on finds it so; null: as their tokens say. */
  prepare (project: string, room: string, properties: RoomProperties | null): void {
    if (properties === null) this.#prepared.delete(keyOf(project, room))
    else this.#prepared.set(keyOf(project, room), properties)
    const live = this.find(project, room)
    if (live !== undefined && properties !== null) live.metadata = properties.metadata
  }

  isPrepared (project: string, room: string): boolean {
    return this.#prepared.has(keyOf(project, room))
  }

  /** The ids of rooms that were made ahead. */
  * preparedOf (project: string): Generator<string> {
    const prefix = keyOf(project, '')
    for (const key of this.#prepared.keys()) if (key.startsWith(prefix)) yield key.slice(prefix.length)
  }

  /** The room, made where there is none. */
  open (place: Place): Room {
    const { project, room: id, kind, capacity } = place
    const found = this.find(project, id)
    if (found !== undefined) return found
    const { limits, metrics, nowSeconds, watch, announce } = this.#needs
    const ofProject = limits.of(project)
    const properties = this.#prepared.get(keyOf(project, id)) ?? { kind, capacity, metadata: {} }
    const room = new Room({ project, id, ...properties, capacity: Math.min(properties.capacity, ofProject.roomCapacity), startedAtSeconds: nowSeconds(), limits: ofProject, watch })
    this.#rooms.set(keyOf(project, id), room)
    metrics.set('turnpike_signaling_rooms', { project }, this.#roomsOf.add(project, 1))
    announce(project, { type: 'room.started', fields: { room: id, kind: room.kind } })
    return room
  }

  enter (session: Session, isBack: boolean): Room {
    const { project } = session
    const room = this.open(session.grant)
    this.#needs.metrics.set('turnpike_signaling_peers', { project }, this.#peersOf.add(project, 1))
    if (isBack) room.takeBack(session)
    else {
      room.enter(session)
      this.#needs.announce(project, { type: 'peer.joined', fields: { room: room.id, peer: session.info.id, role: session.info.role, session: session.id } })
    }
    return room
  }

  leave (session: Session, reason: LeaveReason): void {
    const { project } = session
    const room = session.room === null ? undefined : this.find(project, session.room.id)
    if (room === undefined) return
    room.leave(session, reason)
    this.#needs.announce(project, { type: 'peer.left', fields: { room: room.id, peer: session.info.id, session: session.id, reason } })
    this.#needs.metrics.set('turnpike_signaling_peers', { project }, this.#peersOf.add(project, -1))
    if (room.size > 0) return
    room.presence.close()
    this.#rooms.delete(keyOf(project, room.id))
    this.#needs.metrics.set('turnpike_signaling_rooms', { project }, this.#roomsOf.add(project, -1))
    this.#needs.announce(project, { type: 'room.ended', fields: { room: room.id, kind: room.kind } })
  }
}

/** Whose socket is lost gives way to somebody with a token of their own. */
function givesWay ({ socket, grant }: Session, { takeover, heldBy }: Place): boolean {
  return takeover || socket === null || (heldBy !== undefined && heldBy === grant.heldBy)
}

/** A room of one project is never that of another; ids hold no control characters. */
function keyOf (project: string, room: string): string {
  return `${project}\n${room}`
}
