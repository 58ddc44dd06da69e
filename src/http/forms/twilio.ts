/** POST /2010-04-01/Accounts/{account}/Tokens.json: Twilio's Network Traversal Service, as its client libraries call it. */
import Type from 'typebox'
import type { FastifyRequest } from 'fastify'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App, ProblemView } from '../app-type.ts'
import { accountSidOf } from '../routes/projects.ts'
import { asPlainJson, problems, WITH_BODY } from '../schemas.ts'
import { issueIn, requireForm, secondsOf, valueOf, type FormNeeds } from './form.ts'

const Entry = Type.Object({ url: Type.String(), urls: Type.String(), username: Type.Optional(Type.String()), credential: Type.Optional(Type.String()) })
const schema = {
  summary: 'A token of Twilio\'s Network Traversal Service',
  description: 'HTTP Basic: the account (accountSid of the project, or its id) or anything as the user, the API key as the password. Ttl in the form body, in seconds.',
  tags: ['Forms of others'],
  security: [{ basic: [] }],
  params: Type.Object({ account: Type.String({ maxLength: 64 }) }),
  response: {
    201: Type.Object({ ttl: Type.String(), password: Type.String(), username: Type.String(), account_sid: Type.String(), ice_servers: Type.Array(Entry), date_created: Type.String(), date_updated: Type.String() }),
    ...asPlainJson(problems(WITH_BODY, 'form-off', 'not-found', 'project-disabled', 'user-revoked', 'quota-exceeded', 'relay-unavailable')),
  },
}
/** Twilio's numbers. Its libraries take `code` for a number, and a body with `type` and `title` for another kind of error than they throw here. */
const NUMBERS: Readonly<Record<number, number>> = { 401: 20003, 403: 20005, 404: 20404, 429: 20429 }

export function twilioForm (app: App, needs: FormNeeds): void {
  const config = { access: 'project', scope: 'turn:issue', keyOf: keyInBasic, keyIn: 'the password of Authorization: Basic', challenge: 'Basic realm="Turnpike"', plainErrors: true, moreOfProblem: ({ type, status, detail }: ProblemView) => ({ type: undefined, title: undefined, code: NUMBERS[status] ?? 20001, message: detail, more_info: type }) } as const
  app.post('/2010-04-01/Accounts/:account/Tokens.json', { config, schema }, (request, reply) => {
    const project = requireForm('twilio', request, needs.access)
    const { account } = request.params
    if (account !== project && account !== accountSidOf(project)) throw new TurnpikeError('not-found', 'the key is of another account')
    const issued = issueIn('twilio', request, needs, { ttlSeconds: secondsOf(valueOf(request.body, 'Ttl'), 'Ttl') }, 'Ttl')
    const now = new Date(needs.nowSeconds() * 1000).toUTCString().replace('GMT', '+0000')
    const entries = issued.iceServers.flatMap(({ urls, username, credential }) => urls.map(url => ({ url, urls: url, ...(username === undefined ? {} : { username, credential }) })))
    reply.code(201).header('cache-control', 'no-store').send({ ttl: String(issued.ttlSeconds), password: issued.credential, username: issued.username, account_sid: account, ice_servers: entries, date_created: now, date_updated: now })
  })
}

function keyInBasic ({ headers: { authorization = '' } }: FastifyRequest): string | undefined {
  const encoded = /^basic +(\S+)$/i.exec(authorization.slice(0, 1024))?.[1]
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8').replace(/^[^:]*:/, '')
}
