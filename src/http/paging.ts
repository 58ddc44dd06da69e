/** Lists by cursor: what a client is given to go on with is opaque, and says where the last page ended. */
import Type from 'typebox'
import { TurnpikeError } from '../protocol/errors.ts'

export const DEFAULT_LIMIT = 100
export const PAGE_QUERY = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: DEFAULT_LIMIT, description: 'How many at most.' })),
  cursor: Type.Optional(Type.String({ maxLength: 512, description: 'next of the page before.' })),
}
export const NEXT = Type.Union([Type.String(), Type.Null()], { description: 'cursor of the next page; null: this is the last.' })

export function cursorOf (position: string | number | null): string | null {
  return position === null ? null : Buffer.from(String(position)).toString('base64url')
}

/** Throws invalid-request. */
export function positionOf (cursor: string | undefined): string | null {
  if (cursor === undefined) return null
  const position = Buffer.from(cursor, 'base64url').toString('utf8')
  if (cursorOf(position) !== cursor || position.includes('\0')) throw wrongCursor()
  return position
}

/** Throws invalid-request. */
export function numberedPositionOf (cursor: string | undefined): number | null {
  const position = positionOf(cursor)
  if (position === null) return null
  if (!/^-?\d{1,15}$/.test(position)) throw wrongCursor()
  return Number(position)
}

function wrongCursor (): TurnpikeError {
  const message = 'is none that was given out here; use next of the page before'
  return new TurnpikeError('invalid-request', `cursor ${message}`, { fields: [{ field: 'cursor', message }] })
}
