/** Who may join over a socket, and as whom: by a room token, or without one where a project allows that to clients of other protocols. */
import type { Access, Grant } from './access/access.ts'
import { TurnpikeError } from './protocol/errors.ts'
import { EVERYONE, isValidId } from './protocol/frames.ts'
import type { DialectName } from './protocol/project-settings.ts'

export type JoiningNeeds = { access: Pick<Access, 'checkRoomToken' | 'projects'>, allowedOrigins: readonly string[], /** Of rooms in which clients are without a token. */ anonymousCapacity: number }

/** What a client says of itself. */
export type Claim = {
  token: string | undefined
  /** Its protocol, where it is not ours. */
  dialect?: DialectName
  /** Its project, where it has no token. */
  project?: string | undefined
  room?: string | undefined
  peer?: string | undefined
  /** Which peer it would be, where it is left that choice: one of another name in its token is not a mistake. */
  nickname?: string | undefined
}
const DEFAULT_PROJECT = 'default'

/** Throws token-missing, token-invalid, token-expired, dialect-off, origin-not-allowed, room-mismatch, peer-mismatch or invalid-request. */
export function grantFor (claim: Claim, request: { headers: { origin?: string | undefined } }, { access, allowedOrigins, anonymousCapacity }: JoiningNeeds): Grant {
  const { origin } = request.headers
  requireOrigin(origin, allowedOrigins, 'the allowed origins')
  const { token, dialect } = claim
  const grant = token === undefined || token === '' ? anonymousGrant(claim, access, anonymousCapacity) : access.checkRoomToken(token)
  const settings = access.projects.get(grant.project)?.settings
  if (dialect !== undefined && settings?.dialects.includes(dialect) !== true) throw new TurnpikeError('dialect-off', `the project ${grant.project} does not answer ${dialect}`)
  const ofProject = settings?.origins ?? []
  if (ofProject.length > 0) requireOrigin(origin, ofProject, 'the origins of the project')
  if (claim.room !== undefined && grant.tokenId !== '' && claim.room !== grant.room) throw new TurnpikeError('room-mismatch', 'the room that is asked for is not the one in the token')
  if (grant.peer === EVERYONE) return { ...grant, peer: requirePeer(claim.peer ?? claim.nickname) }
  if (claim.peer !== undefined && claim.peer !== grant.peer) throw new TurnpikeError('peer-mismatch', 'the peer that is asked for is not the one in the token')
  return grant
}

/** Rooms of clients without a token are never those of tokens: their names begin with ~ and the dialect. */
function anonymousGrant ({ dialect, project = DEFAULT_PROJECT, room, peer, nickname }: Claim, access: JoiningNeeds['access'], capacity: number): Grant {
  const settings = access.projects.get(project)?.settings
  if (dialect === undefined || settings?.enabled !== true || !settings.dialects.includes(dialect) || !settings.anonymousDialects) {
    throw new TurnpikeError('token-missing', dialect === undefined ? 'there is neither a subprotocol turnpike.token.… nor ?token=' : `the project takes no ${dialect} clients without a room token`)
  }
  const isPair = dialect === 'ayame'
  const name = room === undefined ? `~${dialect}` : `~${dialect}~${room}`
  if (!isValidId(name)) throw invalid('room', 'must be at most 100 characters without control characters and /')
  return {
    ...{ project, room: name, peer: requirePeer(peer ?? nickname), role: null, metadata: {}, keyId: null, tokenId: '', expiresAtSeconds: 0, takeover: false },
    ...{ kind: isPair ? 'pair' as const : 'mesh' as const, capacity: isPair ? 2 : capacity, permissions: { signal: true, update: true } },
  }
}

function requirePeer (peer: string | undefined): string {
  if (peer === undefined) throw invalid('peer', 'is missing: the token leaves it to the client (?peer=)')
  if (!isValidId(peer)) throw invalid('peer', 'must be 1 to 128 characters without control characters and /, and not *')
  return peer
}

function invalid (field: string, message: string): TurnpikeError {
  return new TurnpikeError('invalid-request', `${field} ${message}`, { fields: [{ field, message }] })
}

/** No Origin: not a browser, and nothing to protect from another site's pages. */
function requireOrigin (origin: string | undefined, allowed: readonly string[], where: string): void {
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return
  throw new TurnpikeError('origin-not-allowed', `${origin.slice(0, 200)} is not among ${where}`)
}
