/** GET /_matrix/client/v3/voip/turnServer: the shape of Matrix (client-server API, VoIP), for homeservers that hand the question on. */
import Type from 'typebox'
import type { App, ProblemView } from '../app-type.ts'
import { asPlainJson, problems } from '../schemas.ts'
import { issueIn, keyInQuery, valueOf, type FormNeeds } from './form.ts'
import { turnRestOf } from './formats.ts'

const schema = {
  summary: 'TURN servers in Matrix\' form',
  description: 'An API key as Authorization: Bearer, or as access_token. user_id in the query tells whose it is.',
  tags: ['Forms of others'],
  security: [{ key: [] }],
  response: {
    200: Type.Object({ username: Type.String(), password: Type.String(), uris: Type.Array(Type.String()), ttl: Type.Integer() }),
    ...asPlainJson(problems('form-off', 'project-disabled', 'user-revoked', 'quota-exceeded', 'relay-unavailable')),
  },
}
/** Never M_UNKNOWN_TOKEN: clients take it for the end of their session with the homeserver. */
const ERRCODES: Readonly<Record<number, string>> = { 403: 'M_FORBIDDEN', 404: 'M_NOT_FOUND', 429: 'M_LIMIT_EXCEEDED' }
const moreOfProblem = ({ status, detail }: ProblemView): object => ({ errcode: ERRCODES[status] ?? 'M_UNKNOWN', error: detail })

export function matrixForm (app: App, needs: FormNeeds): void {
  for (const version of ['v3', 'r0']) {
    app.get(`/_matrix/client/${version}/voip/turnServer`, { config: { access: 'project', scope: 'turn:issue', keyOf: keyInQuery('access_token'), keyIn: 'Authorization: Bearer, or access_token in the query', openToPages: () => true, plainErrors: true, moreOfProblem }, schema }, (request, reply) => {
      reply.header('cache-control', 'no-store').send(turnRestOf(issueIn('matrix', request, needs, { user: valueOf(request.query, 'user_id') })))
    })
  }
}
