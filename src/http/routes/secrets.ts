/** /v1/secrets: the TURN secret and the signing keys of room tokens, replaced without anybody noticing. Admin keys only. */
import Type from 'typebox'
import type { Access } from '../../access/access.ts'
import type { Credentials } from '../../credentials/credentials.ts'
import type { App } from '../app-type.ts'
import { audit, audited } from '../audit-trail.ts'
import { problems, UnixSeconds } from '../schemas.ts'

export type SecretsNeeds = { access: Pick<Access, 'audit' | 'change' | 'rotateSigningKey'>, credentials: Pick<Credentials, 'secrets'> }

const tags = ['Secrets']
const security = [{ key: [] }]
const Secret = Type.Object({
  id: Type.Integer(),
  state: Type.Enum(['pending', 'current', 'old'], { description: 'pending: made, and not proved yet. current: signs. old: accepted until retiresAt.' }),
  createdAt: UnixSeconds,
  retiresAt: Type.Union([Type.Integer(), Type.Null()]),
})
const Secrets = Type.Object({ secrets: Type.Array(Secret) })

export function serveSecrets (app: App, { access, credentials }: SecretsNeeds): void {
  const listSchema = { summary: 'The TURN secrets that the relay accepts, without the secrets', tags, security, response: { 200: Secrets, ...problems() } }
  app.get('/v1/secrets/turn', { config: { access: 'admin' }, schema: listSchema }, (_request, reply) => {
    reply.send({ secrets: credentials.secrets.list() })
  })
  const rotateSchema = {
    summary: 'Replace the TURN secret',
    description: 'The new secret is given to the relay and proved by an Allocate before anything is signed with it. The old one is accepted until the last credential that was signed with it has expired. No live call notices.',
    tags,
    security,
    body: Type.Object({ overlap: Type.Optional(Type.Integer({ minimum: 0, maximum: 31_536_000, description: 'Seconds in which the old secret is accepted too. Where not given: until no credential of it can live any more. 0: after a leak; no credential of before makes another allocation.' })) }, { additionalProperties: false }),
    response: { 200: Secrets, ...problems('secret-not-ours', 'rotation-running', 'relay-unproven', 'data-dir-unwritable', 'store-unwritable') },
  }
  app.post('/v1/secrets/turn/rotate', { config: { access: 'admin' }, schema: rotateSchema }, async (request, reply) => {
    const { overlap } = request.body
    // First: it can be broken off between any two of its steps, and goes on by itself.
    audit(access, request, { action: 'secret.rotate', project: null, target: 'turn', detail: { overlap: overlap ?? null } })
    return await reply.send({ secrets: await credentials.secrets.rotate(overlap) })
  })
  const signingSchema = { summary: 'Replace the key that room tokens are signed with', description: 'Tokens that were signed with the key before are taken until they expire; those of older keys are not.', tags, security, response: { 200: Type.Object({ keyId: Type.String() }), ...problems('store-unwritable') } }
  app.post('/v1/secrets/signing/rotate', { config: { access: 'admin' }, schema: signingSchema }, (request, reply) => {
    const { keyId } = audited(access, request, made => ({ action: 'secret.rotate', project: null, target: 'signing', detail: { current: made.keyId } }), () => access.rotateSigningKey())
    reply.send({ keyId })
  })
}
