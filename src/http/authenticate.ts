/** Who may call, and how often: every route has a rule, checked before anything of the request is read; a route without one answers nobody. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access, Caller } from '../access/access.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { App } from './app-type.ts'
import type { RateLimits } from './rate-limits.ts'

type Needs = { access: Pick<Access, 'callerFor' | 'callerOf' | 'projects'>, limits: Pick<RateLimits, 'countAddress' | 'countCaller'> }

export function authenticateRequests (app: App, { access, limits }: Needs): void {
  app.decorateRequest('caller', null)
  app.addHook('onRequest', async (request, reply) => {
    const { config } = request.routeOptions
    if (config.openToPages?.(request) === true) reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', 'link, retry-after, x-request-id')
    // An address that nobody answers is told apart from one that is closed only by the not-found answer.
    if (request.is404 || config.access === 'public' || config.publicWhen?.(request) === true) {
      if (config.unlimited !== true) await limits.countAddress(request)
      return
    }
    let caller: Caller
    try {
      const key = config.keyOf?.(request)
      if (key === undefined && request.headers.authorization === undefined && config.keyIn !== undefined) throw new TurnpikeError('unauthorized', `there is no key; it is to stand in ${config.keyIn}`)
      caller = key === undefined ? access.callerFor(request.headers.authorization) : access.callerOf(key)
    } catch (error) {
      await limits.countAddress(request)
      throw error
    }
    request.caller = caller
    if (caller.kind === 'project' && caller.publishable) letPageRead(caller.project, access, request, reply)
    // Counted before it is looked at: what is refused costs too.
    await limits.countCaller(request, reply)
    requireRight(caller, request)
    if (caller.kind === 'project' && caller.publishable) requireOrigin(caller.project, access, request)
  })
}

function requireRight (caller: Caller, { routeOptions: { config } }: FastifyRequest): void {
  if (caller.kind === 'admin') return
  if (config.access !== 'project') throw new TurnpikeError('forbidden', 'this needs an admin key')
  if (caller.publishable && config.publishable !== true) throw new TurnpikeError('forbidden', 'a publishable key issues TURN credentials, and nothing else')
  if (config.scope !== undefined && !caller.scopes.includes(config.scope)) throw new TurnpikeError('forbidden', `the key lacks the scope ${config.scope}`)
}

/** A key that everybody can read in a page works from the pages it is meant for. The browser vouches for Origin, and for that alone. */
function requireOrigin (project: string, { projects }: Pick<Access, 'projects'>, { headers: { origin } }: FastifyRequest): void {
  const settings = projects.get(project)?.settings
  if (settings?.publishableKeys !== true) throw new TurnpikeError('forbidden', 'publishable keys are switched off in this project')
  if (origin === undefined || !settings.origins.includes(origin)) throw new TurnpikeError('origin-not-allowed', `${origin === undefined ? 'there is no Origin header; a publishable key works from browsers' : `${origin.slice(0, 200)} is not among the origins of the project`}`)
}

/** Whatever the answer is: a refusal that a page cannot read is a network error to it. */
function letPageRead (project: string, { projects }: Pick<Access, 'projects'>, { headers: { origin } }: FastifyRequest, reply: FastifyReply): void {
  if (origin === undefined || projects.get(project)?.settings.origins.includes(origin) !== true) return
  reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', 'retry-after, x-request-id').header('vary', 'Origin')
}

/**
 * The project that a request is about: that of the key; an admin key names one, or means the default. Throws not-found for any other
 * project, in the same words whether it exists or not.
 */
export function projectOf (caller: Caller | null, named: string | undefined): string {
  if (caller === null) throw new TurnpikeError('unauthorized', 'there is no caller')
  if (caller.kind === 'admin') return named ?? 'default'
  if (named !== undefined && named !== caller.project) throw new TurnpikeError('not-found', `there is no project ${named.slice(0, 64)}`)
  return caller.project
}

/** The API key that asks, where it is one of a project. */
export function keyIdOf (caller: Caller | null): string | null {
  return caller?.kind === 'project' ? caller.keyId : null
}
