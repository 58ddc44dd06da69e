/** The door of credentials: who may relay, for how long. Issues what a browser takes as it is; nothing is written when one is issued. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError, type FieldError } from '../protocol/errors.ts'
import type { IceServer } from '../protocol/frames.ts'
import type { Store } from '../store/store.ts'
import { iceServersOf, stunUrls, TRANSPORTS, turnUrls, type IceTransport, type RelayEndpoint } from './ice-servers.ts'
import { addSecret, migrations, newestSecret } from './records.ts'
import { createMint } from './rest-secret.ts'

export { migrations }
export type { RelayEndpoint }
export type CredentialRequest = { project: string, user?: string | undefined, ttlSeconds?: number | undefined, policy?: 'all' | 'relay' | undefined, transports?: readonly IceTransport[] | undefined }
export type IssuedCredential = { iceServers: IceServer[], username: string, credential: string, ttlSeconds: number, expiresAtSeconds: number }
export type CredentialsNeeds = {
  store: Store
  metrics: Pick<Metrics, 'add'>
  ttl: Config['credentials']
  /** A secret that is given from outside, for a relay that somebody else runs. */
  fixedSecret: string | undefined
  /** The relays that may be handed out now, best first. */
  relays: () => readonly RelayEndpoint[]
  /** Why there are none. */
  relayDown: () => string
  nowSeconds: () => number
}
export type Credentials = {
  /** Issues ICE servers. Throws relay-unavailable, or invalid-request with the fields that are wrong. */
  issue (request: CredentialRequest): IssuedCredential
  /** The same for a peer in a room, whatever its id looks like; null while no relay is ready. */
  issueFor (peer: { project: string, peer: string }): { iceServers: IceServer[], expiresAtSeconds: number } | null
  /** The shared secret that coturn is configured with; made at the first start. */
  relaySecret (): string
  /** The URLs that are handed out now. */
  urls (): string[]
}

/** What coturn, its statistics and our books all take in a user name: no separator, no pattern, no personal data by accident. */
const ID = /^[A-Za-z0-9_-]{1,64}$/
const RETRY_AFTER_SECONDS = 2

export function createCredentials ({ store, metrics, ttl, fixedSecret, relays, relayDown, nowSeconds }: CredentialsNeeds): Credentials {
  const secret = fixedSecret ?? newestSecret(store) ?? makeSecret(store, nowSeconds())
  const mint = createMint(secret)

  const issue: Credentials['issue'] = ({ project, user, ttlSeconds = ttl.ttlSeconds, policy = 'all', transports = TRANSPORTS }) => {
    const wrong = wrongFields(ttl, project, user, ttlSeconds, transports)
    if (wrong.length > 0) throw new TurnpikeError('invalid-request', wrong.map(({ field, message }) => `${field} ${message}`).join('; '), { fields: wrong })
    const endpoints = relays()
    if (endpoints.length === 0) throw new TurnpikeError('relay-unavailable', relayDown(), { retryAfterSeconds: RETRY_AFTER_SECONDS })
    const turn = turnUrls(endpoints, transports)
    if (turn.length === 0) throw new TurnpikeError('relay-unavailable', `no relay serves ${transports.join(', ')}; TURN over TLS needs TURNPIKE_TLS_CERT and TURNPIKE_TLS_KEY`, { retryAfterSeconds: RETRY_AFTER_SECONDS })
    const expiresAtSeconds = nowSeconds() + ttlSeconds
    const login = mint(expiresAtSeconds, `${project}.${user ?? randomBytes(9).toString('base64url')}`)
    metrics.add('turnpike_credentials_issued_total', { project })
    return { iceServers: iceServersOf(policy === 'relay' ? [] : stunUrls(endpoints), turn, login), username: login.username, credential: login.password, ttlSeconds, expiresAtSeconds }
  }
  return {
    issue,
    issueFor: ({ project, peer }) => (relays().length === 0 ? null : issue({ project, ...(ID.test(peer) ? { user: peer } : {}) })),
    relaySecret: () => secret,
    urls: () => [...stunUrls(relays()), ...turnUrls(relays())],
  }
}

function makeSecret (store: Store, nowSeconds: number): string {
  const secret = randomBytes(32).toString('base64url')
  addSecret(store, secret, nowSeconds)
  return secret
}

function wrongFields (ttl: Config['credentials'], project: string, user: string | undefined, ttlSeconds: number, transports: readonly IceTransport[]): FieldError[] {
  const expectedId = 'must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -; use an opaque id, not a name or an address'
  return [
    ...(ID.test(project) ? [] : [{ field: 'project', message: expectedId }]),
    ...(user === undefined || ID.test(user) ? [] : [{ field: 'user', message: expectedId }]),
    ...(Number.isInteger(ttlSeconds) && ttlSeconds >= ttl.minTtlSeconds && ttlSeconds <= ttl.maxTtlSeconds ? [] : [{ field: 'ttl', message: `must be a whole number of seconds from ${ttl.minTtlSeconds} to ${ttl.maxTtlSeconds}` }]),
    ...(transports.length > 0 ? [] : [{ field: 'transports', message: `must name one or more of ${TRANSPORTS.join(', ')}` }]),
  ]
}
