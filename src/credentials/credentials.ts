/** The door of credentials: who may relay, for how long. Issues what a browser takes as it is; nothing is written when one is issued. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { isTurnpikeError, TurnpikeError, type FieldError } from '../protocol/errors.ts'
import type { IceServer } from '../protocol/frames.ts'
import type { IceTransport, ProjectSettings } from '../protocol/project-settings.ts'
import type { Store } from '../store/store.ts'
import { iceServersOf, stunUrls, turnUrls, type RelayEndpoint } from './ice-servers.ts'
import { migrations } from './records.ts'
import { createMint, isMinted, roomPart, type MintedLogin } from './rest-secret.ts'
import { CLOCK_SECONDS, endOf, isRevokedBy, Revocations, type Bearer, type Revocation } from './revocations.ts'
import { Secrets, type Integration, type SecretInfo, type Write } from './secrets.ts'
import { TtlBounds } from './ttl-bounds.ts'

export { migrations }
export type { Integration, RelayEndpoint, Revocation, SecretInfo }
export type CredentialRequest = {
  project: string
  user?: string | undefined
  ttlSeconds?: number | undefined
  policy?: 'all' | 'relay' | undefined
  transports?: readonly IceTransport[] | undefined
  region?: string | undefined
  /** The room that it is for: usage is told by it. */
  room?: string | undefined
  /** The API key that asks, where one does. What it has issued can be told from what others have. */
  keyId?: string | null | undefined
}
export type IssuedCredential = { iceServers: IceServer[], username: string, credential: string, user: string, ttlSeconds: number, expiresAtSeconds: number }
/** Whose credentials: of a user, one by its TURN user name, all that a key has issued, all of a project, or what a peer had for a room. */
export type RevokeTarget = Pick<Revocation, 'kind' | 'subject'>
/** A peer in a room. A peer id that is no user of TURN is known to the relay by its session. */
export type RoomPeer = { project: string, room: string, peer: string, session: string, keyId: string | null }
export type CredentialsNeeds = {
  store: Store
  metrics: Pick<Metrics, 'add'>
  log: Log
  limits: Config['credentials']
  rotateDays: number
  fixedSecret: string | undefined
  /** Is there still such an API key? */
  isKeyAlive: (keyId: string) => boolean
  /** Throws not-found. */
  settingsOf: (project: string) => ProjectSettings
  /** Counts an issue for the quotas. Throws quota-exceeded. */
  requireAllowance: (project: string) => void
  /** The relays that may be handed out now, best first; all of them where nobody asks for himself. */
  relays: (wanted?: { region?: string | undefined, regions: readonly string[] }) => readonly RelayEndpoint[]
  /** What may be asked for. */
  regions: () => readonly string[]
  /** Why there are none. */
  relayDown: () => string
  applySecrets: () => void
  proveSecret: (secret: string) => Promise<void>
  takesAnyUserName: () => boolean
  /** Cuts the live allocations that match; resolves to how many have ended. */
  cut: (matches: (bearer: Bearer & { username: string }) => boolean, reason: string) => Promise<number>
  nowSeconds: () => number
}
export type Credentials = Part & {
  /** Issues ICE servers. Throws relay-unavailable, quota-exceeded, user-revoked, project-disabled, or invalid-request with the fields that are wrong. */
  issue (request: CredentialRequest): IssuedCredential
  /** The same for a peer in a room, whatever its id looks like; null while no relay is ready or nothing may be issued to it. */
  issueFor (peer: RoomPeer): { iceServers: IceServer[], expiresAtSeconds: number } | null
  /** No re-issue, live allocations cut, and cut again whatever begins with such a credential until none can live any more. `write` does it, with what goes with it. */
  revoke (project: string, target: RevokeTarget, write: Write): Promise<{ allocationsClosed: number, until: number }>
  /** Ends what a peer was issued until now, of which the last expires at `until`. What it is issued from now on holds: it expires later, by a second at least. */
  revokePeer (peer: RoomPeer & { until: number }, write: Write): Promise<{ allocationsClosed: number, until: number }>
  revocations (project: string): Revocation[]
  liftRevocation (project: string, target: RevokeTarget, write: Write): void
  /** Why an allocation must not live, in a word, or null. */
  reasonToCut (bearer: Bearer & { username: string, expiresAtSeconds: number | null }): 'revoked' | 'expired' | 'project-disabled' | null
  /** Was this login minted with a secret of ours that still counts, and does it still hold? */
  isOurs (login: { username: string, password: string }): boolean
  /** The secrets that coturn is to accept, the current one first. */
  acceptedSecrets (withIntegrations: boolean): string[]
  secrets: Pick<Secrets, 'list' | 'rotate' | 'integrations' | 'addIntegration' | 'rotateIntegration' | 'removeIntegration'>
  /** The URLs of the relays that take credentials of our own secret now. */
  urls (transports?: readonly IceTransport[]): string[]
}

/** What coturn, its statistics and our books all take in a user name: no separator, no pattern, no personal data by accident. */
const ID = /^[A-Za-z0-9_-]{1,64}$/
const EXPECTED_ID = 'must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -; use an opaque id, not a name or an address'
const OTHER = 'other'
const LONGEST_ROOM = 128
/** Stands in a user name where no key issued it: ours have three parts always, so that what others make up is hardly taken for one. */
const NO_KEY = '0'
const RETRY_AFTER_SECONDS = 2
const TICK_MS = 1000
const DAY_SECONDS = 86_400

export function createCredentials (needs: CredentialsNeeds): Credentials {
  return new Office(needs)
}

class Office implements Credentials {
  readonly name = 'credentials'
  readonly secrets: Secrets
  readonly #needs: CredentialsNeeds
  readonly #revocations: Revocations
  readonly #bounds: TtlBounds
  #ticking: NodeJS.Timeout | undefined

  constructor (needs: CredentialsNeeds) {
    this.#needs = needs
    this.#bounds = new TtlBounds(needs.store, needs.limits.maxTtlSeconds, needs.nowSeconds)
    this.secrets = new Secrets({ ...needs, longestTtlSeconds: () => this.#bounds.longest(), onRotated: () => needs.metrics.add('turnpike_secret_rotations_total', {}) })
    this.#revocations = new Revocations(needs.store, needs.nowSeconds)
  }

  async start (): Promise<void> {
    this.#ticking = setInterval(() => this.#tick(), TICK_MS).unref()
    await this.secrets.resume().catch((error: unknown) => this.#needs.log.warn({ reason: (error as Error).message }, 'a rotation of the TURN secret that was broken off could not go on; tried again'))
  }

  async stop (): Promise<void> {
    clearInterval(this.#ticking)
  }

  issue (request: CredentialRequest): IssuedCredential {
    try {
      return this.#issue(request)
    } catch (error) {
      if (isTurnpikeError(error) && error.code !== 'not-found') this.#needs.metrics.add('turnpike_credentials_refused_total', { project: request.project, reason: error.code })
      throw error
    }
  }

  #issue (request: CredentialRequest): IssuedCredential {
    const { limits, settingsOf, metrics, nowSeconds } = this.#needs
    const { project, user = randomBytes(9).toString('base64url'), policy = 'all', keyId = null } = request
    const settings = settingsOf(project)
    if (!settings.enabled) throw new TurnpikeError('project-disabled', `the project ${project} is switched off`)
    const bounds = ttlBounds(limits, settings)
    const { ttlSeconds = bounds.fallback } = request
    requireFields(request, bounds, settings, this.#needs.regions())
    requireNotRevoked(this.#revocations.of({ project, user, keyId }))
    const transports = request.transports ?? settings.transports
    const endpoints = endpointsFor(this.#needs, transports, { region: request.region, regions: settings.regions })
    this.#needs.requireAllowance(project)
    const id = `${project}.${user}.${keyId ?? NO_KEY}${request.room === undefined ? '' : roomPart(request.room)}`
    const expiresAtSeconds = this.#revocations.expiryFor(project, id, nowSeconds() + ttlSeconds)
    const groups = this.#signed(endpoints, expiresAtSeconds, id)
    const [{ login: first } = { login: this.secrets.mint(expiresAtSeconds, id) }] = groups
    const turn = groups.map(({ relays, login }) => ({ urls: turnUrls(relays, transports), login }))
    metrics.add('turnpike_credentials_issued_total', { project })
    return { iceServers: iceServersOf(policy === 'relay' ? [] : stunUrls(endpoints), turn), username: first.username, credential: first.password, user, ttlSeconds: expiresAtSeconds - nowSeconds(), expiresAtSeconds }
  }

  /** The relays by what they believe, best first: a login for each. */
  #signed (endpoints: readonly RelayEndpoint[], expiresAtSeconds: number, id: string): { relays: RelayEndpoint[], login: MintedLogin }[] {
    return [...new Set(endpoints.map(({ secret }) => secret))].map(secret => ({
      relays: endpoints.filter(endpoint => endpoint.secret === secret),
      login: secret === null ? this.secrets.mint(expiresAtSeconds, id) : createMint(secret)(expiresAtSeconds, id),
    }))
  }

  issueFor ({ project, room, peer, session, keyId }: RoomPeer): ReturnType<Credentials['issueFor']> {
    try {
      // A peer may stay longer in its room than the key that asked for its token stays a key.
      if (keyId !== null && !this.#needs.isKeyAlive(keyId)) throw new TurnpikeError('user-revoked', 'the key that asked for its room token is gone')
      return this.issue({ project, room, keyId, user: userOf(peer, session) })
    } catch (error) {
      this.#needs.log.debug({ project, reason: (error as Error).message }, 'a peer joins without ICE servers')
      return null
    }
  }

  async revoke (project: string, target: RevokeTarget, write: Write): Promise<{ allocationsClosed: number, until: number }> {
    const longest = this.#needs.nowSeconds() + this.#bounds.longest()
    return await this.#revoke(project, { ...target, until: target.kind === 'credential' ? endOf(target.subject, longest) : longest }, write)
  }

  async revokePeer ({ project, room, peer, session, keyId, until }: RoomPeer & { until: number }, write: Write): Promise<{ allocationsClosed: number, until: number }> {
    const subject = `${project}.${userOf(peer, session)}.${keyId ?? NO_KEY}${roomPart(room)}`
    return await this.#revoke(project, { kind: 'peer', subject, until: until + CLOCK_SECONDS }, write)
  }

  async #revoke (project: string, revocation: RevokeTarget & { until: number }, write: Write): Promise<{ allocationsClosed: number, until: number }> {
    const { kind, subject, until } = revocation
    let failure: unknown
    try {
      this.#revocations.add(kind, project, subject, until, write)
    } catch (error) {
      // What lives is cut all the same: whoever asks does not want it to relay on meanwhile.
      if (!isTurnpikeError(error) || (error.code !== 'store-unwritable' && error.code !== 'quota-exceeded')) throw error
      failure = error
    }
    const allocationsClosed = await this.#needs.cut(bearer => bearer.project === project && isRevokedBy(bearer, revocation), 'revoked')
    if (failure !== undefined) throw failure
    return { allocationsClosed, until }
  }

  revocations (project: string): Revocation[] {
    return this.#revocations.list(project)
  }

  liftRevocation (project: string, { kind, subject }: RevokeTarget, write: Write): void {
    this.#revocations.lift(kind, project, subject, write)
  }

  reasonToCut (bearer: Parameters<Credentials['reasonToCut']>[0]): ReturnType<Credentials['reasonToCut']> {
    if (this.#revocations.of(bearer) !== null) return 'revoked'
    const settings = settingsOrNull(this.#needs.settingsOf, bearer.project)
    // Names that programs make up with a secret of their own are of no project.
    if (settings === null) return bearer.project === OTHER ? null : 'project-disabled'
    if (!settings.enabled) return 'project-disabled'
    return settings.expiry === 'hard' && bearer.expiresAtSeconds !== null && bearer.expiresAtSeconds < this.#needs.nowSeconds() ? 'expired' : null
  }

  isOurs (login: { username: string, password: string }): boolean {
    return this.secrets.accepted(false).some(secret => isMinted(secret, login, this.#needs.nowSeconds()))
  }

  acceptedSecrets (withIntegrations: boolean): string[] {
    return this.secrets.accepted(withIntegrations)
  }

  urls (transports?: readonly IceTransport[]): string[] {
    const ours = this.#needs.relays().filter(({ secret }) => secret === null)
    return [...stunUrls(ours), ...turnUrls(ours, transports)]
  }

  #tick (): void {
    const { log, rotateDays, fixedSecret, nowSeconds, relays } = this.#needs
    for (const tend of [() => this.secrets.settle(), () => this.secrets.retire(), () => this.#revocations.sweep(), () => this.#bounds.note()]) {
      try {
        tend()
      } catch (error) {
        log.debug({ reason: (error as Error).message }, 'what has expired could not be taken away; tried again')
      }
    }
    if (fixedSecret !== undefined || relays().length === 0) return
    const isDue = rotateDays > 0 && nowSeconds() - this.secrets.since() >= rotateDays * DAY_SECONDS
    if (!isDue && !this.secrets.isBrokenOff()) return
    this.secrets.rotate().catch((error: unknown) => log.warn({ reason: (error as Error).message }, 'the TURN secret is to be rotated, and that did not work; tried again'))
  }
}

/** Throws relay-unavailable. */
function endpointsFor ({ relays, relayDown }: Pick<CredentialsNeeds, 'relays' | 'relayDown'>, transports: readonly IceTransport[], wanted: { region: string | undefined, regions: readonly string[] }): readonly RelayEndpoint[] {
  const endpoints = relays(wanted)
  if (endpoints.length === 0) throw new TurnpikeError('relay-unavailable', relayDown(), { retryAfterSeconds: RETRY_AFTER_SECONDS })
  if (turnUrls(endpoints, transports).length === 0) throw new TurnpikeError('relay-unavailable', `no relay serves ${transports.join(', ')}; TURN over TLS needs TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY`, { retryAfterSeconds: RETRY_AFTER_SECONDS })
  return endpoints
}

function userOf (peer: string, session: string): string {
  return ID.test(peer) ? peer : session
}

type TtlRange = { fallback: number, min: number, max: number }

/** A project narrows what the server allows, and never widens it. */
function ttlBounds (limits: Config['credentials'], { ttl }: ProjectSettings): TtlRange {
  const max = Math.min(ttl.max ?? limits.maxTtlSeconds, limits.maxTtlSeconds)
  const min = Math.min(Math.max(ttl.min ?? limits.minTtlSeconds, limits.minTtlSeconds), max)
  return { min, max, fallback: Math.min(Math.max(ttl.default ?? limits.ttlSeconds, min), max) }
}

function requireFields ({ user, ttlSeconds, transports, region, room }: CredentialRequest, { min, max }: TtlRange, settings: ProjectSettings, known: readonly string[]): void {
  const wrong: FieldError[] = []
  if (user !== undefined && !ID.test(user)) wrong.push({ field: 'user', message: EXPECTED_ID })
  if (ttlSeconds !== undefined && !(Number.isInteger(ttlSeconds) && ttlSeconds >= min && ttlSeconds <= max)) wrong.push({ field: 'ttl', message: `must be a whole number of seconds from ${min} to ${max}` })
  if (transports !== undefined && (transports.length === 0 || transports.some(transport => !settings.transports.includes(transport)))) wrong.push({ field: 'transports', message: `must name one or more of ${settings.transports.join(', ')}` })
  if (room !== undefined && (room === '' || room.length > LONGEST_ROOM || /\p{Cc}/u.test(room))) wrong.push({ field: 'room', message: `must be 1 to ${LONGEST_ROOM} characters without control characters` })
  const regions = settings.regions.length === 0 ? known : settings.regions
  if (region !== undefined && !regions.includes(region)) wrong.push({ field: 'region', message: `must be one of ${regions.join(', ')}` })
  if (wrong.length > 0) throw new TurnpikeError('invalid-request', wrong.map(({ field, message }) => `${field} ${message}`).join('; '), { fields: wrong })
}

function requireNotRevoked (revocation: Revocation | null): void {
  if (revocation === null) return
  const until = new Date(revocation.until * 1000).toISOString()
  throw new TurnpikeError('user-revoked', `the ${revocation.kind} is revoked until ${until}, when no credential of before can live any more`)
}

function settingsOrNull (settingsOf: CredentialsNeeds['settingsOf'], project: string): ProjectSettings | null {
  try {
    return settingsOf(project)
  } catch {
    return null
  }
}
