/** CORS preflights (Fetch standard §3.2.2) of the routes that web pages may call. */
import type { App } from './app-type.ts'

const ROUTES = ['/v1/turn/credentials', '/turn', '/ice', '/api/v1/turn/credentials', '/_matrix/client/v3/voip/turnServer', '/_matrix/client/r0/voip/turnServer'] as const
/** A preflight has no key, so it is for everybody; which page reads the answer, the answer itself decides. */
const HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key',
  'access-control-max-age': '600',
}

export function answerPreflights (app: App): void {
  for (const url of ROUTES) app.options(url, { config: { access: 'public' }, schema: { hide: true } }, (_request, reply) => { reply.code(204).headers(HEADERS).send() })
}
