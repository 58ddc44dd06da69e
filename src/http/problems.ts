/** Errors as problem documents (RFC 9457): every error that leaves over HTTP passes here. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { errorEntry, isTurnpikeError, TurnpikeError, type ErrorCode, type FieldError } from '../protocol/errors.ts'
import { inWords } from '../protocol/violations.ts'
import type { App } from './app-type.ts'

export type Problem = { type: string, title: string, status: number, detail: string, code: ErrorCode, cure: string, instance: string, errors?: FieldError[] }

const CONTENT_TYPE = 'application/problem+json; charset=utf-8'
const PLAIN_TYPE = 'application/json; charset=utf-8'
/** Fastify's own errors that a client causes, by their code. */
const OF_FASTIFY: Readonly<Record<string, { code: ErrorCode, detail: string }>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'invalid-json', detail: 'the body cannot be read as JSON' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'invalid-request', detail: 'Content-Length is not the length of the body' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'unsupported-media-type', detail: 'only application/json is read here' },
  FST_ERR_BAD_URL: { code: 'invalid-request', detail: 'the path cannot be decoded' },
}

/** The problem document of an error; for anything that is not one of ours, without its words. */
export function problemOf (error: unknown, instance: string): Problem {
  const known = isTurnpikeError(error) ? error : new TurnpikeError('internal', 'see the log for this request id', { cause: error })
  const { status, title, cure } = errorEntry(known.code)
  return { type: `urn:turnpike:error:${known.code}`, title, status, detail: known.message, code: known.code, cure, instance, ...(known.fields.length === 0 ? {} : { errors: [...known.fields] }) }
}

/** Installs the answers to errors and to addresses that nobody answers. */
export function answerWithProblems (app: App, bodyLimitBytes: number): void {
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply, bodyLimitBytes))
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.replace(/\?.*$/, '')
    const allowed = (['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const).filter(method => app.findRoute({ method, url: path }) !== null)
    if (allowed.length > 0 && !allowed.includes(request.method as 'GET')) {
      return send(reply.header('allow', allowed.join(', ')), problemOf(new TurnpikeError('method-not-allowed', `${request.method} is not answered here; ${allowed.join(', ')} is`), request.id))
    }
    return send(reply, problemOf(new TurnpikeError('not-found', `nothing answers ${request.method} ${withoutTokens(path).slice(0, 200)}`), request.id))
  })
}

/** An answer is kept by whoever asked, in a log perhaps: what is as long as a room token is left out of it. */
function withoutTokens (path: string): string {
  return path.replaceAll(/[^/]{129,}/g, '…')
}

/** Answers one error. Fastify calls it by itself for requests that reach no route at all. */
export function answerError (error: FastifyError, request: FastifyRequest, reply: FastifyReply, bodyLimitBytes: number): FastifyReply {
  const ours = translate(error, request, bodyLimitBytes)
  const problem = problemOf(ours, request.id)
  if (problem.code === 'internal') request.log.error({ requestId: request.id, err: error }, 'a request failed on our side')
  const more = request.routeOptions.config?.moreOfProblem?.(problem)
  return send(reply, problem, isTurnpikeError(ours) ? ours.retryAfterSeconds : undefined, more)
}

function send (reply: FastifyReply, problem: Problem, retryAfterSeconds?: number, more: object = {}): FastifyReply {
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
  if (problem.status === 401) reply.header('www-authenticate', reply.request.routeOptions.config?.challenge ?? 'Bearer')
  return reply.code(problem.status).header('cache-control', 'no-store').type(reply.request.routeOptions.config?.plainErrors === true ? PLAIN_TYPE : CONTENT_TYPE).serializer(JSON.stringify).send({ ...problem, ...more })
}

function translate (error: FastifyError, request: FastifyRequest, bodyLimitBytes: number): unknown {
  if (isTurnpikeError(error)) return error
  if (error.validation !== undefined) {
    const fields = error.validation.flatMap(found => fieldErrors(found, error.validationContext ?? 'body'))
    return new TurnpikeError('invalid-request', fields.map(({ field, message }) => `${field} ${message}`).join('; '), { fields, cause: error })
  }
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new TurnpikeError('body-too-large', `the body may have ${bodyLimitBytes} bytes`)
  const known = OF_FASTIFY[error.code]
  if (known !== undefined) return new TurnpikeError(known.code, known.detail)
  // JSON.parse's own error, from where Fastify does not wrap it.
  if (error instanceof SyntaxError && error.statusCode === 400) return new TurnpikeError('invalid-json', 'the body cannot be read as JSON')
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) return new TurnpikeError('invalid-request', `the request to ${request.routeOptions.url ?? 'this address'} cannot be read`)
  return error
}

type Violation = NonNullable<FastifyError['validation']>[number]

/** What a JSON Schema validator found, in words: which field, and what it must be. */
function fieldErrors ({ keyword, instancePath, params, message = '' }: Violation, where: string): FieldError[] {
  const path = instancePath.slice(1).replaceAll('/', '.')
  const named = params as Record<string, unknown>
  const under = (names: unknown): string[] => (names as string[]).map(name => [path, name].filter(part => part !== '').join('.'))
  if (keyword === 'additionalProperties') return under(named['additionalProperties']).map(field => ({ field, message: 'is not a field that is read here' }))
  if (keyword === 'required') return under(named['requiredProperties']).map(field => ({ field, message: 'is missing' }))
  const field = path === '' ? where : path
  // Said already by the field's additionalProperties.
  return keyword === 'boolean' ? [] : [{ field, message: inWords({ keyword, params, message }) }]
}
