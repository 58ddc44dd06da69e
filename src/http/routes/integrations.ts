/** /v1/integrations: a secret of their own for programs that mint TURN credentials by themselves. Admin keys only. */
import Type from 'typebox'
import type { Access } from '../../access/access.ts'
import type { Credentials, Integration } from '../../credentials/credentials.ts'
import type { App } from '../app-type.ts'
import { auditedWrite } from '../audit-trail.ts'
import { problems, UnixSeconds, WITH_BODY } from '../schemas.ts'
import { snippetsOf } from '../integration-snippets.ts'

export type IntegrationsNeeds = { access: Pick<Access, 'change'>, credentials: Pick<Credentials, 'secrets' | 'urls'> }

const tags = ['Integrations']
const security = [{ key: [] }]
const Params = Type.Object({ name: Type.String({ maxLength: 64 }) })
const Listed = Type.Object({ name: Type.String(), createdAt: UnixSeconds, previousRetiresAt: Type.Union([Type.Integer(), Type.Null()], { description: 'Until when the secret before is accepted too.' }) })
const WithSecret = Type.Intersect([Listed, Type.Object({
  secret: Type.String({ description: 'Shown now and never again.' }),
  snippets: Type.Record(Type.String(), Type.String(), { description: 'What to paste, by program.' }),
})])

export function serveIntegrations (app: App, { access, credentials }: IntegrationsNeeds): void {
  const { secrets } = credentials
  const shown = (integration: Integration) => ({ ...integration, snippets: snippetsOf(integration.secret, credentials.urls()) })
  app.get('/v1/integrations', { config: { access: 'admin' }, schema: { summary: 'List integrations, without their secrets', tags, security, response: { 200: Type.Object({ integrations: Type.Array(Listed) }), ...problems() } } }, (_request, reply) => {
    reply.send({ integrations: secrets.integrations().map(({ name, createdAt, previousRetiresAt }) => ({ name, createdAt, previousRetiresAt })) })
  })
  const postSchema = {
    summary: 'Make an integration',
    description: 'For Synapse, Nextcloud Talk, Prosody, MediaMTX and Galène, which are given a secret and mint by themselves. coturn does not tell which secret a user name was signed with: what they relay is counted under the project other, Matrix by its host, and no quota applies. Refused where coturn is older than 4.13.',
    tags,
    security,
    body: Type.Object({ name: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: '1 to 64 characters out of A-Z, a-z, 0-9, _ and -' }) }, { additionalProperties: false, examples: [{ name: 'synapse' }] }),
    response: { 201: WithSecret, ...problems(WITH_BODY, 'integration-exists', 'integration-unsafe', 'secret-not-ours', 'store-unwritable') },
  }
  app.post('/v1/integrations', { config: { access: 'admin' }, schema: postSchema }, (request, reply) => {
    const { name } = request.body
    const made = secrets.addIntegration(name, auditedWrite(access, request, { action: 'integration.create', project: null, target: name }))
    reply.code(201).header('cache-control', 'no-store').send(shown(made))
  })
  const rotateSchema = {
    summary: 'A new secret for an integration',
    tags,
    security,
    params: Params,
    body: Type.Object({ overlap: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_592_000, default: 172_800, description: 'Seconds in which the old secret is accepted too: time to paste the new one, and for what was minted to expire.' })) }, { additionalProperties: false }),
    response: { 201: WithSecret, ...problems(WITH_BODY, 'not-found', 'integration-unsafe', 'store-unwritable') },
  }
  app.post('/v1/integrations/:name/rotate', { config: { access: 'admin' }, schema: rotateSchema }, (request, reply) => {
    const { overlap = 172_800 } = request.body
    const { name } = request.params
    const rotated = secrets.rotateIntegration(name, overlap, auditedWrite(access, request, { action: 'integration.rotate', project: null, target: name, detail: { overlap } }))
    reply.code(201).header('cache-control', 'no-store').send(shown(rotated))
  })
  app.delete('/v1/integrations/:name', { config: { access: 'admin' }, schema: { summary: 'Remove an integration; what it minted is accepted no more', tags, security, params: Params, response: { 204: Type.Null(), ...problems('not-found', 'store-unwritable') } } }, (request, reply) => {
    const { name } = request.params
    secrets.removeIntegration(name, auditedWrite(access, request, { action: 'integration.delete', project: null, target: name }))
    reply.code(204).send(null)
  })
}
