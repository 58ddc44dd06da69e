/** The door of access: who is calling, what projects there are, what a peer may in a room, and what was done by whom. */
import type { Config } from '../config/schema.ts'
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Store } from '../store/store.ts'
import { ApiKeys, type ApiKey, type Caller, type NewKey } from './api-keys.ts'
import { Audit, type AuditEntry, type AuditRecord } from './audit.ts'
import { CALL_PROJECT, Projects, type Project } from './projects.ts'
import { migrations } from './records.ts'
import { RoomTokenDesk, type IssuedToken } from './room-token-desk.ts'
import type { RoomTokenRequest } from './room-token-requests.ts'
import type { Grant } from './room-tokens.ts'

export { migrations }
export type { ApiKey, AuditEntry, AuditRecord, Caller, Grant, NewKey, IssuedToken, Project, RoomTokenRequest }
export type AccessNeeds = {
  store: Store
  metrics: Pick<Metrics, 'add'>
  config: Pick<Config, 'adminKey' | 'apiKey' | 'signaling' | 'projects'>
  log: Log
  nowSeconds: () => number
}
export type Access = Part & {
  /** Keys made by this start, in plain text, to be shown once; null where one existed or is fixed by a setting. */
  firstKeys (): { adminKey: string | null, apiKey: string | null }
  /** An admin key that ends with this process. */
  lendAdminKey (): string
  /** Throws unauthorized. */
  callerFor (authorization: string | undefined): Caller
  /** The same for a key that stands elsewhere than in the header. */
  callerOf (key: string): Caller
  /** Is there such an API key, whatever it may do? */
  isKeyAlive (keyId: string): boolean
  projects: Pick<Projects, 'get' | 'require' | 'list' | 'create' | 'update' | 'delete' | 'webhookSecret' | 'renewWebhookSecret'>
  keys: Pick<ApiKeys, 'make' | 'list' | 'require' | 'rotate' | 'revoke'>
  audit: Pick<Audit, 'record' | 'list'>
  /** Does what changes access and writes it down, both or neither. Throws what `work` throws, and store-unwritable. */
  change<T> (entryOf: (result: T) => AuditEntry, work: () => T): T
  /** `keyId`: the API key that asked, where one did; with it the token ends too. Throws invalid-request with the fields that are wrong, or metadata-too-large. */
  issueRoomToken (project: string, request: RoomTokenRequest, keyId: string | null): IssuedToken
  /** The same for a visitor of the call page. */
  issueCallToken (request: Pick<RoomTokenRequest, 'room' | 'peer' | 'metadata'>): IssuedToken
  /** Throws token-invalid or token-expired. */
  checkRoomToken (token: string): Grant
  /** The token with this id can no longer be used for joining; of one project only, where one is named. */
  revokeRoomToken (project: string | null, tokenId: string): void
  /** New tokens are signed with a new key; those of the key before stay valid, those of older ones do not. Returns its id. */
  rotateSigningKey (): { keyId: string }
}

const CALL_TOKEN = { ttlSeconds: 60, capacity: 8 }
const FLUSH_MS = 10_000

export function createAccess ({ store, metrics, config, log, nowSeconds }: AccessNeeds): Access {
  const projects = new Projects(store, config.projects, nowSeconds)
  const keys = new ApiKeys(store, config, nowSeconds)
  const first = keys.makeFirst()
  const desk = new RoomTokenDesk({ store, metrics, projects, limits: config.signaling, nowSeconds })
  let flushing: NodeJS.Timeout | undefined

  const audit = new Audit(store, nowSeconds)
  const readAgain = (): void => {
    projects.read()
    keys.forget()
    desk.read()
  }
  const flush = (): void => {
    try {
      keys.flushUse()
      desk.sweep()
    } catch (error) {
      log.debug({ reason: (error as Error).message }, 'when keys were last used could not be written down; tried again')
    }
  }
  return {
    name: 'access',
    start: async () => { flushing = setInterval(flush, FLUSH_MS).unref() },
    stop: async () => {
      clearInterval(flushing)
      flush()
    },
    firstKeys: () => first,
    lendAdminKey: () => keys.lendAdmin(),
    callerFor: authorization => keys.callerFor(authorization),
    callerOf: key => keys.callerOf(key),
    isKeyAlive: keyId => keys.isAlive(keyId),
    projects: withKeysForgotten(projects, keys),
    keys,
    audit,
    change: (entryOf, work) => changeAudited(store, audit, entryOf, work, readAgain),
    issueRoomToken: (project, request, keyId) => desk.issue(project, request, keyId),
    issueCallToken: request => desk.issue(CALL_PROJECT, { ...request, ...CALL_TOKEN }, null),
    checkRoomToken: token => desk.check(token),
    revokeRoomToken: (project, tokenId) => desk.revoke(project, tokenId),
    rotateSigningKey: () => desk.rotateSigningKey(),
  }
}

function changeAudited<T> (store: Store, audit: Audit, entryOf: (result: T) => AuditEntry, work: () => T, readAgain: () => void): T {
  try {
    return store.transaction(() => {
      const result = work()
      audit.record(entryOf(result))
      return result
    })
  } catch (error) {
    // What is remembered may be of a change that was taken back.
    readAgain()
    throw error
  }
}

/** The keys of a project that is deleted go with it, also those that are remembered. */
function withKeysForgotten (projects: Projects, keys: ApiKeys): Access['projects'] {
  return {
    get: id => projects.get(id),
    require: id => projects.require(id),
    list: (cursor, limit) => projects.list(cursor, limit),
    create: (id, patch) => projects.create(id, patch),
    update: (id, patch) => projects.update(id, patch),
    delete: id => {
      projects.delete(id)
      keys.forget()
    },
    webhookSecret: id => projects.webhookSecret(id),
    renewWebhookSecret: id => projects.renewWebhookSecret(id),
  }
}
