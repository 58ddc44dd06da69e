/** Who may call: every route has a rule, checked before anything of the request is read; a route without one answers nobody. */
import type { Access, Caller } from '../access/access.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { App } from './app-type.ts'

export function authenticateRequests (app: App, access: Pick<Access, 'callerFor'>): void {
  app.decorateRequest('caller', null)
  app.addHook('onRequest', async request => {
    const rule = request.routeOptions.config.access
    // An address that nobody answers is told apart from one that is closed only by the not-found answer.
    if (request.is404 || rule === 'public') return
    const caller = access.callerFor(request.headers.authorization)
    if (rule === undefined || (rule === 'admin' && caller.kind !== 'admin')) throw new TurnpikeError('forbidden', 'this needs an admin key')
    request.caller = caller
  })
}

/** The project that a request is about: that of the key; an admin key names one, or means the default. Throws forbidden for a key of another project. */
export function projectOf (caller: Caller | null, named: string | undefined): string {
  if (caller === null) throw new TurnpikeError('unauthorized', 'there is no caller')
  if (caller.kind === 'admin') return named ?? 'default'
  if (named !== undefined && named !== caller.project) throw new TurnpikeError('forbidden', `the key is of the project ${caller.project}, not of ${named}`)
  return caller.project
}
