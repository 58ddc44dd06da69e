/** Rooms from outside: what the application's own server sees of them and does to them. */
import { TurnpikeError, type FieldError } from '../protocol/errors.ts'
import { EVERYONE, isValidId, type Metadata, type RoomKind } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import type { SpokenName } from './dialect.ts'
import type { Limits } from './limits.ts'
import { requireMetadata, requireShallow } from './metadata.ts'
import { deleteProject, deleteRoom, madeRooms, putRoom } from './records.ts'
import type { RoomProperties, Rooms, RoomsNeeds } from './rooms.ts'
import type { Session } from './session.ts'
import type { Topics } from './topics.ts'

/** Writes something down together with who asked for it, both or neither. */
export type Write = (work: () => void) => void
export type RoomReport = { id: string, kind: RoomKind, capacity: number, metadata: Metadata, peerCount: number, /** Since when somebody is in it, unix seconds. */ since: number | null, madeAhead: boolean }
export type PeerReport = {
  id: string
  role: string | null
  metadata: Metadata
  session: string
  /** Unix seconds. */
  since: number
  address: string
  /** false: its socket is lost, and it may come back. */
  connected: boolean
  roundTripMs: number | null
  protocol: SpokenName
}
/** A peer that was sent away, with all that would let it come back: the token that it joined with, and what it was issued (`until`: when the last of it expires, unix seconds; 0: nothing was). */
export type Kicked = { project: string, room: string, peer: string, session: string, keyId: string | null, /** Empty where it came without a token. */ tokenId: string, until: number }
export type AdministrationNeeds = {
  rooms: Rooms
  topics: Pick<Topics, 'dismiss' | 'forgetProject'>
  limits: Limits
  /** What a room holds where nobody says. */
  capacities: { roomCapacity: number, topicCapacity: number }
  store: Store
  announce: RoomsNeeds['announce']
  /** Sees to it that it does not come back with what it has; resolves to how many of its allocations were cut. */
  onKicked: (kicked: Kicked, write: Write) => Promise<{ allocationsClosed: number }>
}

const MOST_CAPACITY = 10_000
const PAIR_CAPACITY = 2

export class Administration {
  readonly #needs: AdministrationNeeds

  constructor (needs: AdministrationNeeds) {
    this.#needs = needs
    for (const { project, id, kind, capacity, metadata } of madeRooms(needs.store)) needs.rooms.prepare(project, id, { kind, capacity, metadata: JSON.parse(metadata) as Metadata })
  }

  /** By id: those that have a peer in them, and those that were made ahead. */
  list (project: string): RoomReport[] {
    const { rooms } = this.#needs
    const ids = new Set([...[...rooms.of(project)].map(({ id }) => id), ...rooms.preparedOf(project)])
    return [...ids].sort().map(id => this.#report(project, id)).filter(report => report !== null)
  }

  /** Throws not-found. */
  inspect (project: string, id: string): { room: RoomReport, peers: PeerReport[] } {
    const room = this.#require(project, id)
    const members = [...this.#needs.rooms.find(project, id)?.members ?? []].map(reportOf)
    return { room, peers: members.sort((a, b) => (a.id < b.id ? -1 : 1)) }
  }

  /** The properties that a token for this room has where it names none. */
  propertiesOf (project: string, id: string): Pick<RoomProperties, 'kind' | 'capacity'> | undefined {
    return this.#needs.rooms.propertiesOf(project, id)
  }

  /** Gives a room its properties before anybody comes. Throws invalid-request, metadata-too-large, room-mode-conflict or too-many-rooms. */
  make (project: string, id: string, { kind = 'mesh', capacity, metadata = {} }: { kind?: RoomKind | undefined, capacity?: number | undefined, metadata?: Metadata | undefined }, write: Write): { room: RoomReport, isNew: boolean } {
    const { rooms, limits, capacities, store } = this.#needs
    requireFields(id, kind, capacity)
    const { metadataBytes, roomsPerProject, roomCapacity } = limits.of(project)
    requireMetadata(metadata, metadataBytes)
    const fallback = { mesh: capacities.roomCapacity, topic: capacities.topicCapacity, pair: PAIR_CAPACITY }[kind]
    const properties = { kind, capacity: capacity ?? fallback, metadata }
    requireSame(rooms.find(project, id), properties, roomCapacity)
    const prepared = [...rooms.preparedOf(project)]
    const isNew = !prepared.includes(id)
    if (isNew && prepared.length >= roomsPerProject) throw new TurnpikeError('too-many-rooms', `this project may have ${roomsPerProject} rooms`)
    write(() => putRoom(store, { project, id, kind, capacity: properties.capacity, metadata: JSON.stringify(metadata) }))
    rooms.prepare(project, id, properties)
    return { room: this.#require(project, id), isNew }
  }

  /** Sends everybody away, and forgets what was said of it ahead. Throws not-found. */
  close (project: string, id: string, write: Write): { peersClosed: number } {
    const { rooms, topics, store } = this.#needs
    this.#require(project, id)
    write(() => deleteRoom(store, project, id))
    rooms.prepare(project, id, null)
    const members = [...rooms.find(project, id)?.members ?? []]
    for (const session of members) session.endWith('room-closed', 'the application has closed the room')
    topics.dismiss(project, id, null, 'closed')
    return { peersClosed: members.length }
  }

  /** Sends one peer away at once, also where not all can be written down that keeps it from coming back; that is thrown then. `by`: who does it, for the webhook. */
  async kick (project: string, id: string, peer: string, by: string, write: Write): Promise<{ allocationsClosed: number, tokenRevoked: boolean }> {
    const { rooms, topics, announce, onKicked } = this.#needs
    const session = rooms.find(project, id)?.find(peer)
    if (session === undefined) throw new TurnpikeError('not-found', 'there is no such peer in a room of this id')
    const { grant: { keyId, tokenId }, credentialsUntil } = session
    const kept = onKicked({ project, room: id, peer, session: session.id, keyId, tokenId, until: credentialsUntil }, write)
    announce(project, { type: 'peer.kicked', fields: { room: id, peer, by } })
    session.endWith('kicked', 'the application has sent this peer out of the room')
    const [{ allocationsClosed }] = await Promise.all([kept, (async () => topics.dismiss(project, id, peer, 'kicked'))()])
    return { allocationsClosed, tokenRevoked: tokenId !== '' }
  }

  /** Tells one peer, or all, what the application's server has to say; returns to how many it went. Throws not-found, peer-unavailable or frame-too-large. */
  say (project: string, id: string, to: string, data: unknown): number {
    const { rooms, limits } = this.#needs
    this.#require(project, id)
    requireShallow('data', data)
    const text = JSON.stringify(data)
    const { messageBytes } = limits.of(project)
    if (Buffer.byteLength(text) > messageBytes) throw new TurnpikeError('frame-too-large', `data may have ${messageBytes} bytes as JSON`)
    const room = rooms.find(project, id)
    if (to === EVERYONE) return [...room?.members ?? []].filter(member => tell(member, text)).length
    const member = room?.find(to)
    if (member === undefined) throw new TurnpikeError('peer-unavailable', `${JSON.stringify(to).slice(0, 140)} is not in the room`)
    if (!tell(member, text)) throw new TurnpikeError('dialect-mismatch', `it speaks ${member.dialect?.name}, which has no words for a message of the server`)
    return 1
  }

  /** Sends everybody away in a project that is gone, and forgets what was made ahead in it, and its leases. */
  forgetProject (project: string): void {
    const { rooms, topics, store } = this.#needs
    store.transaction(() => deleteProject(store, project))
    for (const id of [...rooms.preparedOf(project)]) rooms.prepare(project, id, null)
    for (const room of [...rooms.of(project)]) for (const session of [...room.members]) session.endWith('room-closed', 'its project is gone')
    topics.forgetProject(project)
  }

  #report (project: string, id: string): RoomReport | null {
    const { rooms } = this.#needs
    const live = rooms.find(project, id)
    const properties = rooms.propertiesOf(project, id)
    if (properties === undefined) return null
    const { kind, capacity, metadata } = live ?? properties
    return { id, kind, capacity, metadata, peerCount: live?.size ?? 0, since: live?.startedAtSeconds ?? null, madeAhead: rooms.isPrepared(project, id) }
  }

  #require (project: string, id: string): RoomReport {
    const report = this.#report(project, id)
    if (report === null) throw new TurnpikeError('not-found', 'nobody is in a room of this id, and none was made ahead')
    return report
  }
}

/** With peers in it a room stays as it is; a capacity that the project's quota cuts to the one it has is no other. */
function requireSame (live: Pick<RoomProperties, 'kind' | 'capacity'> | undefined, { kind, capacity }: RoomProperties, most: number): void {
  if (live === undefined) return
  const wrong: FieldError[] = [
    ...(live.kind === kind ? [] : [{ field: 'kind', message: `is ${live.kind} while peers are in the room` }]),
    ...(Math.min(live.capacity, most) === Math.min(capacity, most) ? [] : [{ field: 'capacity', message: `is ${live.capacity} while peers are in the room` }]),
  ]
  if (wrong.length > 0) throw new TurnpikeError('room-mode-conflict', `${wrong.map(({ field, message }) => `${field} ${message}`).join('; ')}: name what it has, or close it first`, { fields: wrong })
}

function reportOf (session: Session): PeerReport {
  const { info, id, sinceSeconds, remoteAddress, socket, roundTripMs, dialect } = session
  return { ...info, session: id, since: sinceSeconds, address: remoteAddress, connected: socket !== null, roundTripMs, protocol: dialect?.name ?? 'native' }
}

/** Whether its protocol has words for it. */
function tell (member: Session, data: string): boolean {
  const message = { type: 'message' as const, data }
  if (member.dialect !== null && member.dialect.tell(message, member).length === 0) return false
  member.tell(message)
  return true
}

function requireFields (id: string, kind: RoomKind, capacity: number | undefined): void {
  const isWrong = capacity !== undefined && !(Number.isInteger(capacity) && capacity >= 1 && capacity <= MOST_CAPACITY)
  const wrong: FieldError[] = [
    ...(isValidId(id) ? [] : [{ field: 'room', message: 'must be 1 to 128 characters without control characters and /, and not *' }]),
    ...(isWrong ? [{ field: 'capacity', message: `must be a whole number from 1 to ${MOST_CAPACITY}` }] : []),
    ...(kind === 'pair' && !isWrong && capacity !== undefined && capacity !== PAIR_CAPACITY ? [{ field: 'capacity', message: 'is 2 in a room of kind pair' }] : []),
  ]
  if (wrong.length > 0) throw new TurnpikeError('invalid-request', wrong.map(({ field, message }) => `${field} ${message}`).join('; '), { fields: wrong })
}
