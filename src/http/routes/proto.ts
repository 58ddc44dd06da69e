/** GET /v1/signaling.proto: what a client of signaling over gRPC is made from. */
import { readFileSync } from 'node:fs'
import Type from 'typebox'
import type { App } from '../app-type.ts'

export function serveProto (app: App): void {
  const text = readFileSync(new URL('../../protocol/signaling.proto', import.meta.url), 'utf8')
  const schema = {
    summary: 'The Protocol Buffers definition of signaling over gRPC',
    description: 'See docs/dialects.md; the port is set by TURNPIKE_GRPC_PORT.',
    tags: ['Rooms'],
    security: [],
    response: { 200: { description: 'The definition', content: { 'text/plain': { schema: Type.String() } } } },
  }
  app.get('/v1/signaling.proto', { config: { access: 'public' }, schema }, (_request, reply) => {
    reply.type('text/plain; charset=utf-8').header('cache-control', 'no-cache').send(text)
  })
}
