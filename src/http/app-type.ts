/** The types that routes share: the Fastify instance with TypeBox schemas, the access rule of a route, its caller. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify'
import type { Caller } from '../access/access.ts'

export type App = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, TypeBoxTypeProvider>

/** Who may call a route. A route without a rule answers nobody. */
export type AccessRule = 'public' | 'project' | 'admin'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessRule
  }
  interface FastifyRequest {
    /** Who is calling; set on routes with the rule project or admin. */
    caller: Caller | null
  }
}
