/**
 * /api/v1/turn: Metered. A backend makes a credential and hands its `apiKey` to the page, which asks for the ICE servers of that credential
 * with it. Here that `apiKey` is the credential itself, encoded: nothing has to be kept for it, and it opens nothing else.
 */
import Type from 'typebox'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { FastifyRequest } from 'fastify'
import type { App, ProblemView } from '../app-type.ts'
import { projectOf } from '../authenticate.ts'
import { problems } from '../schemas.ts'
import { issueIn, keyInQuery, requireFormOf, secondsOf, valueOf, type FormNeeds } from './form.ts'
import { urlsOf } from './formats.ts'

const tags = ['Forms of others']
const Entry = Type.Object({ urls: Type.String(), username: Type.Optional(Type.String()), credential: Type.Optional(Type.String()) })
const PREFIX = 'tpc_'
const moreOfProblem = ({ detail }: ProblemView): object => ({ error: detail, message: detail })
const failures = problems('form-off', 'project-disabled', 'user-revoked', 'origin-not-allowed', 'quota-exceeded', 'relay-unavailable')

export function meteredForm (app: App, needs: FormNeeds): void {
  const getSchema = {
    summary: 'The bare array of ICE servers, in Metered\'s form',
    description: 'apiKey in the query: an API key, a publishable one too, or the apiKey of a credential that was made by POST /api/v1/turn/credential.',
    tags,
    security: [{ key: [] }],
    response: { 200: Type.Array(Entry), ...failures },
  }
  const readsCredential = (request: { query: unknown }): boolean => valueOf(request.query, 'apiKey')?.startsWith(PREFIX) === true
  app.get('/api/v1/turn/credentials', { config: { access: 'project', scope: 'turn:issue', publishable: true, publicWhen: readsCredential, openToPages: readsCredential, keyOf: keyInQuery('apiKey'), keyIn: 'apiKey in the query', moreOfProblem }, schema: getSchema }, (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (readsCredential(request)) {
      const login = decoded(valueOf(request.query, 'apiKey') ?? '', needs)
      reply.send(entriesOf(urlsFor(login.username, needs), login.username, login.password))
      return
    }
    const issued = issueIn('metered', request, needs, { region: regionOf(valueOf(request.query, 'region'), request, needs) })
    reply.send(entriesOf(urlsOf(issued), issued.username, issued.credential))
  })
  const postSchema = {
    summary: 'Make a credential, in Metered\'s form',
    description: 'secretKey in the query: an API key. Without expiryInSeconds it lives as long as the project says; for ever is not to be had. The label becomes the user.',
    tags,
    security: [{ key: [] }],
    response: { 200: Type.Object({ username: Type.String(), password: Type.String(), expiryInSeconds: Type.Integer(), label: Type.Optional(Type.String()), apiKey: Type.String() }), ...failures, ...problems('invalid-request') },
  }
  app.post('/api/v1/turn/credential', { config: { access: 'project', scope: 'turn:issue', keyOf: keyInQuery('secretKey'), keyIn: 'secretKey in the query', moreOfProblem }, schema: postSchema }, (request, reply) => {
    const label = valueOf(request.body, 'label')
    const issued = issueIn('metered', request, needs, { user: label, ttlSeconds: secondsOf(valueOf(request.body, 'expiryInSeconds'), 'expiryInSeconds') }, 'expiryInSeconds')
    const apiKey = PREFIX + Buffer.from(JSON.stringify([issued.username, issued.credential])).toString('base64url')
    reply.header('cache-control', 'no-store').send({ username: issued.username, password: issued.credential, expiryInSeconds: issued.ttlSeconds, ...(label === undefined ? {} : { label }), apiKey })
  })
}

function entriesOf (urls: readonly string[], username: string, credential: string): { urls: string, username?: string, credential?: string }[] {
  return urls.map(url => (url.startsWith('stun:') ? { urls: url } : { urls: url, username, credential }))
}

/** Its names for regions are its own: what the project has not is anywhere. */
function regionOf (region: string | undefined, { caller }: FastifyRequest, { access }: FormNeeds): string | undefined {
  const { regions } = access.projects.require(projectOf(caller, undefined)).settings
  return region !== undefined && regions.includes(region) ? region : undefined
}

/** Throws unauthorized for what we did not mint, or what has expired: nothing else is told to somebody without a key. */
function decoded (apiKey: string, { credentials }: FormNeeds): { username: string, password: string } {
  try {
    const [username, password] = JSON.parse(Buffer.from(apiKey.slice(PREFIX.length), 'base64url').toString('utf8')) as unknown[]
    if (typeof username === 'string' && typeof password === 'string' && credentials.isOurs({ username, password })) return { username, password }
  } catch {
    // The same answer as for one that has expired.
  }
  throw new TurnpikeError('unauthorized', 'Invalid API Key')
}

/** What its project may hand out now. Throws form-off, user-revoked, project-disabled or relay-unavailable. */
function urlsFor (username: string, { access, credentials }: FormNeeds): string[] {
  const [, expiry = '', project = '', user = '', keyId = ''] = /^(\d+):([^.]+)\.([^.]+)\.([^.]+)(?:\.[^.]+)?$/.exec(username) ?? []
  requireFormOf(project, 'metered', access)
  const reason = credentials.reasonToCut({ project, user, keyId, username, expiresAtSeconds: Number(expiry) })
  if (reason !== null) throw new TurnpikeError(reason === 'project-disabled' ? reason : 'user-revoked', 'nothing may be relayed with this credential any more')
  const urls = credentials.urls(access.projects.require(project).settings.transports)
  if (!urls.some(url => url.startsWith('turn'))) throw new TurnpikeError('relay-unavailable', 'no relay is ready', { retryAfterSeconds: 2 })
  return urls
}
