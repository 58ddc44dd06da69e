/** /v1/turn/keys/{key}/credentials: Cloudflare Realtime TURN, for programs whose base URL can be set. */
import Type from 'typebox'
import type { FastifyRequest } from 'fastify'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App } from '../app-type.ts'
import { auditedWrite } from '../audit-trail.ts'
import { targetOf } from '../routes/revocations.ts'
import { IceServerSchema, problems, WITH_BODY } from '../schemas.ts'
import { issueIn, requireForm, type FormNeeds } from './form.ts'
import { urlsOf } from './formats.ts'

const BASE = '/v1/turn/keys/:key/credentials'
const tags = ['Forms of others']
const security = [{ key: [] }]
const Params = Type.Object({ key: Type.String({ maxLength: 64, description: 'The id of the key that stands in Authorization, or the project.' }) })
const Body = Type.Object({ ttl: Type.Optional(Type.Integer({ description: 'Seconds.' })), customIdentifier: Type.Optional(Type.String({ maxLength: 256, description: 'Becomes the user: usage and revocation go by it.' })) }, { examples: [{ ttl: 86_400 }] })
const failures = problems(WITH_BODY, 'form-off', 'not-found', 'project-disabled', 'user-revoked', 'quota-exceeded', 'relay-unavailable')

export function cloudflareForm (app: App, needs: FormNeeds): void {
  const issuing = { access: 'project', scope: 'turn:issue' } as const
  app.post(`${BASE}/generate-ice-servers`, { config: issuing, schema: { summary: 'ICE servers in Cloudflare\'s form', tags, security, params: Params, body: Body, response: { 201: Type.Object({ iceServers: Type.Array(IceServerSchema) }), ...failures } } }, (request, reply) => {
    const { iceServers } = issue(request, request.params.key, request.body, needs)
    reply.code(201).header('cache-control', 'no-store').send({ iceServers })
  })
  app.post(`${BASE}/generate`, { config: issuing, schema: { summary: 'ICE servers in Cloudflare\'s older form: one object', tags, security, params: Params, body: Body, response: { 201: Type.Object({ iceServers: IceServerSchema }), ...failures } } }, (request, reply) => {
    const issued = issue(request, request.params.key, request.body, needs)
    reply.code(201).header('cache-control', 'no-store').send({ iceServers: { urls: urlsOf(issued), username: issued.username, credential: issued.credential } })
  })
  const RevokeParams = Type.Object({ key: Type.String({ maxLength: 64 }), username: Type.String({ maxLength: 256 }) })
  const revokeSchema = { summary: 'Revoke a credential in Cloudflare\'s form', tags, security, params: RevokeParams, response: { 204: Type.Null(), ...problems(WITH_BODY, 'form-off', 'not-found', 'relay-control-lost', 'store-unwritable') } }
  app.post(`${BASE}/:username/revoke`, { config: { access: 'project', scope: 'turn:revoke' }, schema: revokeSchema }, async (request, reply) => {
    const project = requireForm('cloudflare', request, needs.access)
    requireKey(request, request.params.key, project)
    const target = targetOf(project, request.params.username)
    await needs.credentials.revoke(project, target, auditedWrite(needs.access, request, { action: 'credentials.revoke', project, target: target.subject, detail: { kind: target.kind } }))
    return await reply.code(204).send(null)
  })
}

function issue (request: FastifyRequest, key: string, body: { ttl?: number, customIdentifier?: string }, needs: FormNeeds): ReturnType<typeof issueIn> {
  requireKey(request, key, requireForm('cloudflare', request, needs.access))
  return issueIn('cloudflare', request, needs, { ttlSeconds: body.ttl, user: body.customIdentifier })
}

function requireKey ({ caller }: FastifyRequest, key: string, project: string): void {
  if (key !== project && key !== caller?.keyId) throw new TurnpikeError('not-found', 'there is no such TURN key')
}
