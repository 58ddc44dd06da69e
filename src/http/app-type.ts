/** The types that routes share: the Fastify instance with TypeBox schemas, what a route may say of itself, its caller. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify'
import type { Caller } from '../access/access.ts'
import type { Scope } from '../protocol/project-settings.ts'

export type App = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, TypeBoxTypeProvider>

/** Who may call a route. A route without a rule answers nobody. */
export type AccessRule = 'public' | 'project' | 'admin'

/** What an API of somebody else may say of a problem in its own words. */
export type ProblemView = { type: string, status: number, detail: string }
type KeyFinder = (request: FastifyRequest) => string | undefined
type Condition = (request: FastifyRequest) => boolean

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessRule
    /** What a key of a project must be allowed to do. */
    scope?: Scope
    /** May a key that stands in a web page call it? */
    publishable?: boolean
    /** Is a repetition with the same Idempotency-Key answered with the same answer? */
    idempotent?: boolean
    /** Is it left out of the limits of requests? For those that watch us. */
    unlimited?: boolean
    /** Where the key stands in an API of somebody else; undefined: in the Authorization header as Bearer. */
    keyOf?: KeyFinder
    /** The same in words, for who has sent none. */
    keyIn?: string
    /** Requests that need no key after all. */
    publicWhen?: Condition
    /** WWW-Authenticate of a refusal; Bearer where not given. */
    challenge?: string
    /** May pages of every origin read the answer? Where no cookie and no publishable key is in play. */
    openToPages?: Condition
    /** Do its clients read an error only where its type is application/json? */
    plainErrors?: boolean
    /** What clients of an API of somebody else look for in an error, instead of ours where the names are the same; undefined takes a field out. */
    moreOfProblem?: (problem: ProblemView) => object
  }
  interface FastifyRequest {
    /** Who is calling; set on routes with the rule project or admin. */
    caller: Caller | null
  }
}
