/** /v1/projects/{project}/keys: the API keys of a project. Admin keys only; a key is shown once, when it is made. */
import Type from 'typebox'
import type { Access, ApiKey } from '../../access/access.ts'
import type { Credentials } from '../../credentials/credentials.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { SCOPES } from '../../protocol/project-settings.ts'
import type { App } from '../app-type.ts'
import { audited } from '../audit-trail.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, numberedPositionOf, PAGE_QUERY } from '../paging.ts'
import { problems, UnixSeconds, WITH_BODY } from '../schemas.ts'

export type KeysNeeds = { access: Pick<Access, 'keys' | 'projects' | 'change'>, credentials: Pick<Credentials, 'revoke'>, nowSeconds: () => number }

const tags = ['Keys']
const security = [{ key: [] }]
const Params = Type.Object({ project: Type.String({ maxLength: 64 }) })
const KeyParams = Type.Object({ project: Type.String({ maxLength: 64 }), key: Type.String({ maxLength: 64 }) })
const KeyAnswer = Type.Object({
  id: Type.String(),
  project: Type.String(),
  name: Type.String(),
  kind: Type.Enum(['secret', 'publishable']),
  scopes: Type.Array(Type.String()),
  createdAt: UnixSeconds,
  expiresAt: Type.Union([Type.Integer(), Type.Null()]),
  lastUsedAt: Type.Union([Type.Integer(), Type.Null()]),
})
const NewKeyAnswer = Type.Intersect([KeyAnswer, Type.Object({ key: Type.String({ description: 'The key itself. It is shown now and never again.' }) })])
const LONGEST_OVERLAP_SECONDS = 30 * 86_400

export function serveKeys (app: App, needs: KeysNeeds): void {
  listKeys(app, needs)
  makeKeys(app, needs)
  endKeys(app, needs)
}

function listKeys (app: App, { access }: KeysNeeds): void {
  const schema = { summary: 'List the keys of a project', tags, security, params: Params, querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }), response: { 200: Type.Object({ keys: Type.Array(KeyAnswer), next: NEXT }), ...problems('invalid-request', 'not-found') } }
  app.get('/v1/projects/:project/keys', { config: { access: 'admin' }, schema }, (request, reply) => {
    const { id } = access.projects.require(request.params.project)
    const { limit = DEFAULT_LIMIT, cursor } = request.query
    const { keys, next } = access.keys.list(id, numberedPositionOf(cursor) ?? 0, limit)
    reply.send({ keys: keys.map(answerOf), next: cursorOf(next) })
  })
}

function makeKeys (app: App, { access, nowSeconds }: KeysNeeds): void {
  const schema = {
    summary: 'Make a key',
    tags,
    security,
    params: Params,
    body: Type.Object({
      name: Type.Optional(Type.String({ maxLength: 128, description: 'For you to know it by.' })),
      kind: Type.Optional(Type.Enum(['secret', 'publishable'], { description: 'publishable: for web pages. It issues TURN credentials to pages of the project\'s origins, at a low rate, and nothing else; the project must have publishableKeys on.' })),
      scopes: Type.Optional(Type.Array(Type.Enum([...SCOPES]), { minItems: 1, uniqueItems: true, description: 'What it may be used for; everything where not given.' })),
      expiresIn: Type.Optional(Type.Integer({ minimum: 1, maximum: 315_360_000, description: 'Seconds until it works no more; never where not given.' })),
    }, { additionalProperties: false, examples: [{ name: 'backend', scopes: ['turn:issue'] }] }),
    response: { 201: NewKeyAnswer, ...problems(WITH_BODY, 'not-found', 'idempotency-key-reused', 'idempotency-key-busy', 'store-unwritable') },
  }
  app.post('/v1/projects/:project/keys', { config: { access: 'admin', idempotent: true }, schema }, (request, reply) => {
    const { id, settings } = access.projects.require(request.params.project)
    const { name, kind, scopes, expiresIn } = request.body
    if (kind === 'publishable' && !settings.publishableKeys) throw wrong('kind', 'publishable needs the project to have publishableKeys on')
    if (kind === 'publishable' && scopes !== undefined) throw wrong('scopes', 'cannot be given for a publishable key: it issues, and nothing else')
    const { key, text } = audited(
      access, request, made => ({ action: 'key.create', project: id, target: made.key.id, detail: { name: made.key.name, kind: made.key.kind, scopes: made.key.scopes, expiresAt: made.key.expiresAt } }),
      () => access.keys.make(id, { name, kind, scopes, expiresAt: expiresIn === undefined ? undefined : nowSeconds() + expiresIn })
    )
    reply.code(201).header('cache-control', 'no-store').send({ ...answerOf(key), key: text })
  })
}

function endKeys (app: App, { access, credentials }: KeysNeeds): void {
  const rotateSchema = {
    summary: 'Replace a key by a new one that may do the same',
    tags,
    security,
    params: KeyParams,
    body: Type.Object({ overlap: Type.Optional(Type.Integer({ minimum: 0, maximum: LONGEST_OVERLAP_SECONDS, default: 86_400, description: 'Seconds in which the old one still works.' })) }, { additionalProperties: false }),
    response: { 201: NewKeyAnswer, ...problems(WITH_BODY, 'not-found', 'store-unwritable') },
  }
  app.post('/v1/projects/:project/keys/:key/rotate', { config: { access: 'admin' }, schema: rotateSchema }, (request, reply) => {
    const { project, key: id } = request.params
    const { overlap = 86_400 } = request.body
    const { key, text } = audited(access, request, made => ({ action: 'key.rotate', project, target: id, detail: { replacement: made.key.id, overlap } }), () => access.keys.rotate(project, id, overlap))
    reply.code(201).header('cache-control', 'no-store').send({ ...answerOf(key), key: text })
  })
  const deleteSchema = {
    summary: 'Revoke a key at once, with what it issued',
    description: 'TURN credentials that it issued are revoked and their live allocations cut; room tokens that it asked for admit nobody.',
    tags,
    security,
    params: KeyParams,
    querystring: Type.Object({ keepCredentials: Type.Optional(Type.Boolean({ description: 'Only the key: what it issued lives on to its expiry.' })) }, { additionalProperties: false }),
    response: { 200: Type.Object({ allocationsClosed: Type.Integer() }), ...problems('invalid-request', 'not-found', 'relay-control-lost', 'store-unwritable') },
  }
  app.delete('/v1/projects/:project/keys/:key', { config: { access: 'admin' }, schema: deleteSchema }, async (request, reply) => {
    const { project, key } = request.params
    access.keys.require(project, key)
    const deed = { action: 'key.revoke', project, target: key }
    if (request.query.keepCredentials === true) {
      audited(access, request, () => deed, () => access.keys.revoke(project, key))
      return await reply.code(200).send({ allocationsClosed: 0 })
    }
    // The key, the revocation of what it issued and the entry are one: none of them without the others.
    const write = (work: () => void): void => audited(access, request, () => deed, () => {
      access.keys.revoke(project, key)
      work()
    })
    const { allocationsClosed } = await credentials.revoke(project, { kind: 'key', subject: key }, write)
    return await reply.code(200).send({ allocationsClosed })
  })
}

function answerOf (key: ApiKey): Omit<ApiKey, 'scopes'> & { scopes: string[] } {
  return { ...key, scopes: [...key.scopes] }
}

function wrong (field: string, message: string): TurnpikeError {
  return new TurnpikeError('invalid-request', `${field} ${message}`, { fields: [{ field, message }] })
}
