/**
 * THE schema of a project's settings: type, default and text of each, once. The admin API, the command line and the configuration
 * file take changes to it in the form of a JSON Merge Patch (RFC 7396): what is left out stays, null goes back to the default.
 */
import Type, { type Static, type TSchema } from 'typebox'
import Value from 'typebox/value'
import { System } from 'typebox/system'
import { TurnpikeError, type FieldError } from './errors.ts'
import { EVENT_TYPES, type EventType } from './events.ts'
import { inWords } from './violations.ts'

/** What a key may be used for. */
export const SCOPES = ['turn:issue', 'turn:revoke', 'rooms:token', 'rooms:admin', 'usage:read'] as const
export type Scope = typeof SCOPES[number]
/** The APIs of others that are answered too. */
export const FORMS = ['turn-rest', 'stunner', 'twilio', 'cloudflare', 'metered', 'matrix', 'whip'] as const
export type FormName = typeof FORMS[number]
/** Signaling protocols of others that are answered where a project says so; what each is: docs/dialects.md. */
export const DIALECTS = ['peerjs', 'libdatachannel', 'ayame', 'grpc'] as const
export type DialectName = typeof DIALECTS[number]
export const TRANSPORTS = ['udp', 'tcp', 'tls'] as const
export type IceTransport = typeof TRANSPORTS[number]

// Whoever corrects a file wants to see all of it.
System.Settings.Set({ maxErrors: 100 })

const TTL = { minimum: 1, maximum: 31_536_000 }
const limit = (description: string, maximum: number): TSchema => Type.Integer({ minimum: 1, maximum, description })
const some = <T extends readonly string[]>(values: T, description: string) => Type.Array(Type.Enum(values as unknown as [...T]), { uniqueItems: true, description })

const FIELDS = {
  enabled: Type.Boolean({ description: 'false: nothing is issued, and what lives is cut.' }),
  ttl: {
    default: Type.Integer({ ...TTL, description: 'Lifetime in seconds of a TURN credential where the request names none. The setting of the server where null.' }),
    min: Type.Integer({ ...TTL, description: 'Shortest lifetime in seconds that may be asked for.' }),
    max: Type.Integer({ ...TTL, description: 'Longest lifetime in seconds that may be asked for; never beyond that of the server.' }),
  },
  expiry: Type.Enum(['soft', 'hard'], { description: 'What the end of a credential means for its allocations. soft: live ones go on, as coturn does it. hard: they are cut within 5 s.' }),
  transports: Type.Array(Type.Enum([...TRANSPORTS]), { minItems: 1, uniqueItems: true, description: 'Transports that are offered.' }),
  regions: Type.Array(Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9_-]+$' }), { maxItems: 64, uniqueItems: true, description: 'Regions that may be used; empty: all.' }),
  origins: Type.Array(Type.String({ minLength: 1, maxLength: 256, pattern: '^https?://[A-Za-z0-9.\\[\\]:-]+$' }), { maxItems: 100, uniqueItems: true, description: 'Web origins, such as https://app.example. Publishable keys work from these only; where there are any, browsers open signaling sockets from these only.' }),
  publishableKeys: Type.Boolean({ description: 'May this project have keys that stand in web pages? They issue credentials to pages of the origins above, 10 a minute for each address, and nothing else.' }),
  forms: some(FORMS, 'APIs of others that this project answers.'),
  dialects: some(DIALECTS, 'Signaling protocols of others that this project answers.'),
  anonymousDialects: Type.Boolean({ description: 'May clients of these dialects come without a room token? Whoever knows the name of the project is then whichever peer it says, in the rooms of dialects.' }),
  quotas: {
    allocationsPerUser: limit('Live allocations of one user. One call commonly makes 2 to 6.', 100_000),
    allocations: limit('Live allocations of the project.', 1_000_000),
    bytesPerDay: limit('Bytes between clients and the relay, both ways, in a day (UTC).', Number.MAX_SAFE_INTEGER),
    bytesPerMonth: limit('The same in a calendar month (UTC).', Number.MAX_SAFE_INTEGER),
    credentialsPerMinute: limit('TURN credentials that are issued in a minute.', 10_000_000),
    requestsPerMinute: limit('Requests of all keys together in a minute.', 100_000_000),
    peers: limit('Peers in rooms at a time.', 1_000_000),
    rooms: limit('Rooms at a time.', 1_000_000),
    roomCapacity: limit('Peers in one room, whatever its tokens say.', 10_000),
    messageBytes: limit('Longest signaling frame in bytes.', 1_048_576),
    metadataBytes: limit('Most bytes of JSON metadata of a peer.', 65_536),
    signalsPerSecond: limit('Frames that a peer may send each second, lastingly.', 100_000),
    signalsBurst: limit('Frames that a peer may send at once.', 1_000_000),
    socketsPerAddress: limit('Signaling sockets of this project from one client address.', 1_000_000),
  },
  quotaAction: Type.Enum(['disable', 'notify', 'none'], { description: 'What a byte quota that is used up does. disable: nothing is issued and what lives is cut until it resets. notify: only the event is sent. none: not even that.' }),
  webhook: Type.String({ maxLength: 1024, pattern: '^https?://[^\\s]+$', description: 'Where events are sent to (POST, signed).' }),
  webhookEvents: some(EVENT_TYPES, 'Which events are sent there; all of them where null.'),
} as const

type Quotas = { [Q in keyof typeof FIELDS.quotas]: number | null }
export type ProjectSettings = {
  enabled: boolean
  ttl: { default: number | null, min: number | null, max: number | null }
  expiry: 'soft' | 'hard'
  transports: IceTransport[]
  regions: string[]
  origins: string[]
  publishableKeys: boolean
  forms: FormName[]
  dialects: DialectName[]
  anonymousDialects: boolean
  /** null: no limit but those of the server. */
  quotas: Quotas
  quotaAction: 'disable' | 'notify' | 'none'
  webhook: string | null
  webhookEvents: EventType[]
}
export const DEFAULT_PROJECT_SETTINGS: ProjectSettings = {
  enabled: true,
  ttl: { default: null, min: null, max: null },
  expiry: 'soft',
  transports: [...TRANSPORTS],
  regions: [],
  origins: [],
  publishableKeys: false,
  forms: [...FORMS],
  dialects: [],
  anonymousDialects: false,
  quotas: { allocationsPerUser: null, allocations: null, bytesPerDay: null, bytesPerMonth: null, credentialsPerMinute: null, requestsPerMinute: null, peers: null, rooms: null, roomCapacity: null, messageBytes: null, metadataBytes: null, signalsPerSecond: null, signalsBurst: null, socketsPerAddress: null },
  quotaAction: 'disable',
  webhook: null,
  webhookEvents: [...EVENT_TYPES],
}

const isGroup = (field: unknown): field is Record<string, TSchema> => typeof field === 'object' && field !== null && !('type' in field) && !('enum' in field)
const each = (fields: Record<string, unknown>, make: (schema: TSchema) => TSchema, group: (of: TSchema) => TSchema): TSchema =>
  Type.Object(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, isGroup(field) ? group(each(field, make, group)) : make(field as TSchema)])), { additionalProperties: false })

/** A change: everything may be left out or be null. */
export const ProjectPatchSchema = each(FIELDS, schema => Type.Optional(Type.Union([schema, Type.Null()])), group => Type.Optional(Type.Union([group, Type.Null()])))
/** All settings, as they are answered. */
export const ProjectSettingsSchema = each(FIELDS, schema => Type.Union([schema, Type.Null()]), group => group)
export type ProjectPatch = Static<TSchema> & Record<string, unknown>

/** For checking: what is null is taken out first, so that a fault is said once and in the words of its own field. */
const CHECKED = each(FIELDS, schema => Type.Optional(schema), group => Type.Optional(group))

const ID = /^[A-Za-z0-9_-]{1,64}$/
/** What is relayed with names that others make up is counted under this name. */
const RESERVED = 'other'
export const PROJECT_ID_EXPECTED = `must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -, and not ${RESERVED}`

export function isProjectId (text: string): boolean {
  return ID.test(text) && text !== RESERVED
}

/** What is wrong with a change, field by field; empty where nothing is. */
export function projectPatchProblems (patch: unknown): FieldError[] {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return [{ field: 'body', message: 'must be an object' }]
  return Value.Errors(CHECKED, merge({}, patch as Record<string, unknown>)).flatMap(({ keyword, params, instancePath, message }) => {
    const field = instancePath.slice(1).replaceAll('/', '.')
    if (keyword === 'boolean') return []
    if (keyword !== 'additionalProperties') return [{ field, message: inWords({ keyword, params, message }) }]
    return (params as { additionalProperties: string[] }).additionalProperties.map(name => ({ field: [field, name].filter(part => part !== '').join('.'), message: 'is no setting of a project' }))
  })
}

/** The settings after a change. Throws invalid-request with the fields that are wrong, alone or together. */
export function applyPatch (stored: ProjectPatch, patch: unknown): { stored: ProjectPatch, settings: ProjectSettings } {
  const problems = projectPatchProblems(patch)
  if (problems.length > 0) throw invalid(problems)
  const merged = merge(stored, patch as ProjectPatch) as ProjectPatch
  const settings = merge(structuredClone(DEFAULT_PROJECT_SETTINGS) as unknown as ProjectPatch, merged) as unknown as ProjectSettings
  const together = conflicts(settings)
  if (together.length > 0) throw invalid(together)
  return { stored: merged, settings }
}

function conflicts ({ ttl, publishableKeys, origins }: ProjectSettings): FieldError[] {
  const { min, max } = ttl
  const isOutside = (value: number | null): boolean => value !== null && ((min !== null && value < min) || (max !== null && value > max))
  return [
    ...(min !== null && max !== null && min > max ? [{ field: 'ttl.min', message: `is ${min}, above ttl.max, which is ${max}` }] : []),
    ...(isOutside(ttl.default) ? [{ field: 'ttl.default', message: `is ${ttl.default}; expected it between ttl.min and ttl.max` }] : []),
    ...(publishableKeys && origins.length === 0 ? [{ field: 'origins', message: 'is empty; publishable keys need the origins that they work from' }] : []),
  ]
}

function invalid (fields: FieldError[]): TurnpikeError {
  return new TurnpikeError('invalid-request', fields.map(({ field, message }) => `${field} ${message}`).join('; '), { fields })
}

/** RFC 7396 §2, for groups and values; null takes away. */
function merge (base: Record<string, unknown>, patch: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else if (typeof value === 'object' && !Array.isArray(value)) merged[name] = merge((merged[name] ?? {}) as Record<string, unknown>, value as Record<string, unknown>)
    else merged[name] = value
  }
  return merged
}
