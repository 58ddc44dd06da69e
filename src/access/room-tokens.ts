/** Room tokens: JWTs (RFC 7519), HS256 and nothing else, that let one peer join one room. */
import jwt from 'jsonwebtoken'
import type { KeyObject } from 'node:crypto'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import { EVERYONE, isValidId, ROOM_KINDS, type Metadata, type RoomKind } from '../protocol/frames.ts'

const ISSUER = 'turnpike'
const AUDIENCE = 'turnpike:signal'
const LEEWAY_SECONDS = 5
/** Whatever `exp` says: a token that was signed longer ago is not taken. */
const LONGEST_LIFETIME_SECONDS = 86_400
/** Far beyond what a token with the most metadata has. */
const LONGEST_TOKEN = 16_384

/** What a room token allows. */
export type Grant = {
  project: string
  room: string
  /** '*' where the client says which peer it is. */
  peer: string
  role: string | null
  metadata: Metadata
  kind: RoomKind
  /** Most peers in the room. */
  capacity: number
  /** May it take over a connection with the same peer id? */
  takeover: boolean
  permissions: { signal: boolean, update: boolean }
  /** The API key that asked for it, or null: the call page, or an admin. */
  keyId: string | null
  tokenId: string
  /** When it can no longer be used for joining, unix seconds. A peer that has joined stays. */
  expiresAtSeconds: number
}
export type SigningKey = { id: string, secret: KeyObject }
type Claims = { project: string, room: string, peer: string, role: string | null, metadata: Metadata, kind: RoomKind, capacity: number, takeover: boolean, permissions: Grant['permissions'], key: string | null }

/** Signs with the key; its id goes into the header so that another key can follow. */
export function signRoomToken (grant: Grant, key: SigningKey, nowSeconds: number): string {
  const { expiresAtSeconds, tokenId, keyId, ...rest } = grant
  const claims: Claims = { ...rest, key: keyId }
  const payload = { ...claims, iat: nowSeconds, exp: expiresAtSeconds, jti: tokenId, iss: ISSUER, aud: AUDIENCE }
  return jwt.sign(payload, key.secret, { algorithm: 'HS256', keyid: key.id })
}

/** Reads a token. Throws token-expired, or token-invalid with what is wrong in general terms. */
export function readRoomToken (token: string, keys: readonly SigningKey[], nowSeconds: number): Grant {
  if (token.length > LONGEST_TOKEN) throw new TurnpikeError('token-invalid', 'it is too long')
  try {
    const kid = jwt.decode(token, { complete: true })?.header.kid
    const key = keys.find(({ id }) => id === kid)
    if (key === undefined) throw new TurnpikeError('token-invalid', 'it was not signed here')
    const claims = jwt.verify(token, key.secret, { algorithms: ['HS256'], issuer: ISSUER, audience: AUDIENCE, maxAge: LONGEST_LIFETIME_SECONDS, clockTolerance: LEEWAY_SECONDS, clockTimestamp: nowSeconds })
    return grantOf(claims)
  } catch (error) {
    if (isTurnpikeError(error)) throw error
    if (error instanceof jwt.TokenExpiredError) {
      const late = Math.round(nowSeconds - error.expiredAt.getTime() / 1000)
      throw new TurnpikeError('token-expired', `it expired ${late} s ago by this server's clock (${new Date(nowSeconds * 1000).toISOString()})`)
    }
    // The library's messages speak of claims, never of keys or of the token's text.
    throw new TurnpikeError('token-invalid', error instanceof jwt.JsonWebTokenError ? error.message : 'it cannot be read')
  }
}

/** A token that was signed by us and lacks what we write was signed by another version. */
function grantOf (claims: unknown): Grant {
  const { project, room, peer, role, metadata, kind, capacity, takeover, permissions, key, jti, exp } = claims as Claims & { jti: string, exp: number }
  const isWhole = typeof project === 'string' && typeof room === 'string' && isValidId(room) && typeof peer === 'string' && (peer === EVERYONE || isValidId(peer)) &&
    ROOM_KINDS.includes(kind) && typeof capacity === 'number' && typeof permissions === 'object' && permissions !== null && typeof metadata === 'object' && metadata !== null && typeof exp === 'number' && typeof jti === 'string'
  if (!isWhole) throw new TurnpikeError('token-invalid', 'it lacks what this version needs')
  return { project, room, peer, role: role ?? null, metadata, kind, capacity, takeover, permissions, keyId: key ?? null, tokenId: jti, expiresAtSeconds: exp }
}
