/** The API described by its own schemas: OpenAPI 3.1 at /v1/openapi.json. */
import swagger from '@fastify/swagger'
import type { App } from './app-type.ts'

/** Must be called before the routes, which it listens to. */
export async function collectOpenapi (app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Turnpike', version, description: 'Errors are problem documents (RFC 9457, application/problem+json); docs/errors.md lists their codes.' },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key (tpk_…) of a project, or the admin key (tpa_…).' } } },
      tags: [{ name: 'TURN' }, { name: 'Rooms' }, { name: 'Relays' }, { name: 'Health' }],
    },
  })
}

export function serveOpenapi (app: App): void {
  app.get('/v1/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, (_request, reply) => {
    reply.type('application/json; charset=utf-8').serializer(JSON.stringify).send(app.swagger())
  })
}
