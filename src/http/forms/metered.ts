/**
 * /api/v1/turn: Metered. A backend makes a credential and hands its `apiKey` to the page, which asks for the ICE servers of that credential
 * with it. Here that `apiKey` is the credential itself, encoded: nothing has to be kept for it, and it opens nothing else.
 */
import Type from 'typebox'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App, ProblemView } from '../app-type.ts'
import { problems } from '../schemas.ts'
import { issueIn, keyInQuery, secondsOf, valueOf, type FormNeeds } from './form.ts'

const tags = ['Forms of others']
const Entry = Type.Object({ urls: Type.String(), username: Type.Optional(Type.String()), credential: Type.Optional(Type.String()) })
const PREFIX = 'tpc_'
/** Its names for "wherever". */
const ANYWHERE = new Set(['global', 'standard'])
const moreOfProblem = ({ detail }: ProblemView): object => ({ error: detail, message: detail })
const failures = problems('invalid-request', 'form-off', 'project-disabled', 'user-revoked', 'origin-not-allowed', 'quota-exceeded', 'relay-unavailable')

export function meteredForm (app: App, needs: FormNeeds): void {
  const getSchema = {
    summary: 'The bare array of ICE servers, in Metered\'s form',
    description: 'apiKey in the query: an API key, a publishable one too, or the apiKey of a credential that was made by POST /api/v1/turn/credential.',
    tags,
    security: [{ key: [] }],
    response: { 200: Type.Array(Entry), ...failures },
  }
  const readsCredential = (request: { query: unknown }): boolean => valueOf(request.query, 'apiKey')?.startsWith(PREFIX) === true
  app.get('/api/v1/turn/credentials', { config: { access: 'project', scope: 'turn:issue', publishable: true, publicWhen: readsCredential, keyOf: keyInQuery('apiKey'), keyIn: 'apiKey in the query', moreOfProblem }, schema: getSchema }, (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (readsCredential(request)) {
      const { username, credential } = decoded(valueOf(request.query, 'apiKey') ?? '', needs.nowSeconds())
      reply.header('access-control-allow-origin', '*').send(entriesOf(needs.credentials.urls(), username, credential))
      return
    }
    const issued = issueIn('metered', request, needs, { region: regionOf(valueOf(request.query, 'region')) })
    reply.send(entriesOf(issued.iceServers.flatMap(({ urls }) => urls), issued.username, issued.credential))
  })
  const postSchema = {
    summary: 'Make a credential, in Metered\'s form',
    description: 'secretKey in the query: an API key. Without expiryInSeconds it lives as long as the project says; for ever is not to be had. The label becomes the user.',
    tags,
    security: [{ key: [] }],
    response: { 200: Type.Object({ username: Type.String(), password: Type.String(), expiryInSeconds: Type.Integer(), label: Type.Optional(Type.String()), apiKey: Type.String() }), ...failures },
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

function regionOf (region: string | undefined): string | undefined {
  return region === undefined || ANYWHERE.has(region) ? undefined : region
}

/** Throws unauthorized for what is none, or has expired. Whether the credential is right, the relay tells. */
function decoded (apiKey: string, nowSeconds: number): { username: string, credential: string } {
  try {
    const [username, credential] = JSON.parse(Buffer.from(apiKey.slice(PREFIX.length), 'base64url').toString('utf8')) as unknown[]
    const isWhole = typeof username === 'string' && typeof credential === 'string' && /^\d{1,10}:[\w.-]{1,200}$/.test(username) && /^[A-Za-z0-9+/=]{1,64}$/.test(credential)
    if (isWhole && Number(username.split(':')[0]) > nowSeconds) return { username, credential }
  } catch {
    // The same answer as for one that has expired.
  }
  throw new TurnpikeError('unauthorized', 'Invalid API Key')
}
