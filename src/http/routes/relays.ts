/** GET /v1/relays: each relay, what runs it, and what its last probe saw. */
import Type from 'typebox'
import type { Relay } from '../../relay/relay.ts'
import type { App } from '../app-type.ts'
import { problems } from '../schemas.ts'

const schema = {
  summary: 'List relays and their health',
  tags: ['Relays'],
  security: [{ key: [] }],
  response: { 200: Type.Object({ relays: Type.Array(Type.Object({ id: Type.String(), state: Type.String(), ready: Type.Boolean(), reason: Type.String() }, { additionalProperties: true })) }), ...problems() },
}

export function listRelays (app: App, { relay }: { relay: Pick<Relay, 'health'> }): void {
  app.get('/v1/relays', { config: { access: 'admin' }, schema }, (_request, reply) => {
    reply.header('cache-control', 'no-store').send({ relays: [relay.health()] })
  })
}
