/** The door of access: who is calling, and what a peer may in a room. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError, type FieldError } from '../protocol/errors.ts'
import { isValidId, type Metadata } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import { ApiKeys, CALL_PROJECT, type Caller } from './api-keys.ts'
import { addProject, addSigningKey, migrations, signingKeys } from './records.ts'
import { readRoomToken, signRoomToken, type Grant } from './room-tokens.ts'

export { migrations }
export type { Caller, Grant }
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
export type AccessNeeds = { store: Store, metrics: Pick<Metrics, 'add'>, config: Pick<Config, 'adminKey' | 'apiKey' | 'signaling'>, nowSeconds: () => number }
export type Access = {
  /** Keys made by this start, in plain text, to be shown once; null where one existed or is fixed by a setting. */
  firstKeys (): { adminKey: string | null, apiKey: string | null }
  /** Throws unauthorized. */
  callerFor (authorization: string | undefined): Caller
  createProject (project: string): void
  /** `tpk_<id>_<secret>`, shown only now. */
  createApiKey (project: string): string
  /** Throws invalid-request with the fields that are wrong, or metadata-too-large. */
  issueRoomToken (project: string, request: RoomTokenRequest): { token: string, expiresAtSeconds: number }
  /** The same for a visitor of the call page. */
  issueCallToken (request: Pick<RoomTokenRequest, 'room' | 'peer' | 'metadata'>): { token: string, expiresAtSeconds: number }
  /** Throws token-invalid or token-expired. */
  checkRoomToken (token: string): Grant
}

const TOKEN_TTL = { fallback: 300, min: 10, max: 86_400 }
const CALL_TOKEN = { ttlSeconds: 60, capacity: 8 }
const MOST_CAPACITY = 1000
const LONGEST_ROLE = 64

export function createAccess ({ store, metrics, config, nowSeconds }: AccessNeeds): Access {
  const keys = new ApiKeys(store, config, nowSeconds)
  const first = keys.makeFirst()
  const signing = signingKeys(store)
  if (signing.length === 0) {
    signing.push({ id: randomBytes(4).toString('hex'), secret: randomBytes(32).toString('base64url') })
    for (const key of signing) addSigningKey(store, key, nowSeconds())
  }

  const issueRoomToken: Access['issueRoomToken'] = (project, request) => {
    const { room, peer, role = null, metadata = {}, ttlSeconds = TOKEN_TTL.fallback, capacity = config.signaling.roomCapacity, takeover = false, permissions = {} } = request
    const wrong = wrongFields(request)
    if (wrong.length > 0) throw new TurnpikeError('invalid-request', wrong.map(({ field, message }) => `${field} ${message}`).join('; '), { fields: wrong })
    if (Buffer.byteLength(JSON.stringify(metadata)) > config.signaling.metadataBytes) throw new TurnpikeError('metadata-too-large', `metadata may have ${config.signaling.metadataBytes} bytes as JSON`)
    const [key] = signing
    if (key === undefined) throw new TurnpikeError('internal', 'there is no signing key')
    const expiresAtSeconds = nowSeconds() + ttlSeconds
    const token = signRoomToken({ project, room, peer, role, metadata, kind: 'mesh', capacity, takeover, permissions: { signal: permissions.signal ?? true, update: permissions.update ?? true }, expiresAtSeconds }, key, nowSeconds())
    metrics.add('turnpike_room_tokens_issued_total', { project })
    return { token, expiresAtSeconds }
  }
  return {
    firstKeys: () => first,
    callerFor: authorization => keys.callerFor(authorization),
    createProject: project => addProject(store, project, nowSeconds()),
    createApiKey: project => keys.make(project),
    issueRoomToken,
    issueCallToken: request => issueRoomToken(CALL_PROJECT, { ...request, ...CALL_TOKEN }),
    checkRoomToken: token => readRoomToken(token, signing, nowSeconds()),
  }
}

function wrongFields ({ room, peer, role, ttlSeconds, capacity }: RoomTokenRequest): FieldError[] {
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
