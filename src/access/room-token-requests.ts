/** What may be asked of a room token, and what is wrong with a request. */
import type { FieldError } from '../protocol/errors.ts'
import { isValidId, type Metadata } from '../protocol/frames.ts'

export type RoomTokenRequest = {
  room: string
  peer: string
  role?: string | undefined
  metadata?: Metadata | undefined
  /** How long it can be used for joining. */
  ttlSeconds?: number | undefined
  capacity?: number | undefined
  takeover?: boolean | undefined
  permissions?: { signal?: boolean | undefined, update?: boolean | undefined } | undefined
}

export const TOKEN_TTL = { fallback: 300, min: 10, max: 86_400 } as const
const MOST_CAPACITY = 1000
const LONGEST_ROLE = 64

export function wrongFields ({ room, peer, role, ttlSeconds, capacity }: RoomTokenRequest): FieldError[] {
  const expectedId = 'must be 1 to 128 characters without control characters and /, and not *'
  const isBetween = (value: number | undefined, min: number, max: number): boolean => value === undefined || (Number.isInteger(value) && value >= min && value <= max)
  return [
    ...(isValidId(room) ? [] : [{ field: 'room', message: expectedId }]),
    ...(isValidId(peer) ? [] : [{ field: 'peer', message: expectedId }]),
    ...(role === undefined || (role.length >= 1 && role.length <= LONGEST_ROLE) ? [] : [{ field: 'role', message: `must be 1 to ${LONGEST_ROLE} characters` }]),
    ...(isBetween(ttlSeconds, TOKEN_TTL.min, TOKEN_TTL.max) ? [] : [{ field: 'ttl', message: `must be a whole number of seconds from ${TOKEN_TTL.min} to ${TOKEN_TTL.max}` }]),
    ...(isBetween(capacity, 1, MOST_CAPACITY) ? [] : [{ field: 'capacity', message: `must be a whole number from 1 to ${MOST_CAPACITY}` }]),
  ]
}
