/** OPTIONS /v1/ice: ICE servers as Link headers (RFC 9725 §4.6), one header for each URL, for WHIP and WHEP endpoints to hand on. */
import Type from 'typebox'
import type { App } from '../app-type.ts'
import { problems } from '../schemas.ts'
import { issueIn, keyInQuery, valueOf, type FormNeeds } from './form.ts'

const schema = {
  summary: 'ICE servers as Link headers, for WHIP and WHEP',
  description: 'Link: <turn:…>; rel="ice-server"; username="…"; credential="…"; credential-type="password", one header for each URL. A CORS preflight is answered without any.',
  tags: ['Forms of others'],
  security: [{ key: [] }],
  response: { 204: Type.Null(), ...problems('form-off', 'project-disabled', 'user-revoked', 'quota-exceeded', 'relay-unavailable') },
}

export function whipForm (app: App, needs: FormNeeds): void {
  const isPreflight = ({ headers }: { headers: Record<string, unknown> }): boolean => headers['access-control-request-method'] !== undefined
  app.options('/v1/ice', { config: { access: 'project', scope: 'turn:issue', publicWhen: isPreflight, openToPages: () => true, keyOf: keyInQuery('key'), keyIn: 'Authorization: Bearer, or key in the query' }, schema }, (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (isPreflight(request)) {
      reply.code(204).headers({ 'access-control-allow-methods': 'OPTIONS', 'access-control-allow-headers': 'authorization' }).send(null)
      return
    }
    const { iceServers } = issueIn('whip', request, needs, { user: valueOf(request.query, 'user') })
    const links = iceServers.flatMap(({ urls, username, credential }) => urls.map(url => `<${url}>; rel="ice-server"${username === undefined ? '' : `; username="${username}"; credential="${credential}"; credential-type="password"`}`))
    reply.code(204).header('link', links).send(null)
  })
}
