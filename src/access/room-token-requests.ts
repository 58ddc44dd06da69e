/** What may be asked of a room token, and what is wrong with a request. */
import type { FieldError } from '../protocol/errors.ts'
import { EVERYONE, isValidId, ROOM_KINDS, TOPIC_ROLES, type Metadata, type RoomKind } from '../protocol/frames.ts'

export type RoomTokenRequest = {
  room: string
  /** A peer id, or '*' where the client says which peer it is. */
  peer: string
  role?: string | undefined
  metadata?: Metadata | undefined
  /** How long it can be used for joining. */
  ttlSeconds?: number | undefined
  kind?: RoomKind | undefined
  capacity?: number | undefined
  takeover?: boolean | undefined
  permissions?: { signal?: boolean | undefined, update?: boolean | undefined } | undefined
}

export const TOKEN_TTL = { fallback: 300, min: 10, max: 86_400 } as const
const MOST_CAPACITY = 10_000
const PAIR_CAPACITY = 2
const LONGEST_ROLE = 64

export function wrongFields ({ room, peer, role, ttlSeconds, kind, capacity }: RoomTokenRequest): FieldError[] {
  const expectedId = 'must be 1 to 128 characters without control characters and /, and not *'
  const isBetween = (value: number | undefined, min: number, max: number): boolean => value === undefined || (Number.isInteger(value) && value >= min && value <= max)
  return [
    ...(isValidId(room) ? [] : [{ field: 'room', message: expectedId }]),
    ...(peer === EVERYONE || isValidId(peer) ? [] : [{ field: 'peer', message: 'must be 1 to 128 characters without control characters and /, or * where the client says which peer it is' }]),
    ...(role === undefined || (role.length >= 1 && role.length <= LONGEST_ROLE) ? [] : [{ field: 'role', message: `must be 1 to ${LONGEST_ROLE} characters` }]),
    ...(kind === undefined || ROOM_KINDS.includes(kind) ? [] : [{ field: 'kind', message: `must be one of ${ROOM_KINDS.join(', ')}` }]),
    ...(kind !== 'topic' || isTopicRole(role) ? [] : [{ field: 'role', message: `must be ${TOPIC_ROLES.join(' or ')} in a room of kind topic` }]),
    ...(kind !== 'pair' || capacity === undefined || capacity === PAIR_CAPACITY ? [] : [{ field: 'capacity', message: 'is 2 in a room of kind pair' }]),
    ...(isBetween(ttlSeconds, TOKEN_TTL.min, TOKEN_TTL.max) ? [] : [{ field: 'ttl', message: `must be a whole number of seconds from ${TOKEN_TTL.min} to ${TOKEN_TTL.max}` }]),
    ...(isBetween(capacity, 1, MOST_CAPACITY) ? [] : [{ field: 'capacity', message: `must be a whole number from 1 to ${MOST_CAPACITY}` }]),
  ]
}

/** What a room holds where its token does not say. */
export function capacityOf (kind: RoomKind, asked: number | undefined, { roomCapacity, topicCapacity }: { roomCapacity: number, topicCapacity: number }): number {
  if (kind === 'pair') return PAIR_CAPACITY
  return asked ?? (kind === 'topic' ? topicCapacity : roomCapacity)
}

function isTopicRole (role: string | undefined): boolean {
  return (TOPIC_ROLES as readonly (string | undefined)[]).includes(role)
}
