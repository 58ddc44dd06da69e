/** GET /ice: the authentication service of STUNner (getIceAuth), which answers with an RTCConfiguration. */
import Type from 'typebox'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App } from '../app-type.ts'
import { IceServerSchema, problems } from '../schemas.ts'
import { issueIn, keyInQuery, secondsOf, transportsOf, valueOf, type FormNeeds } from './form.ts'

const schema = {
  summary: 'ICE servers for clients of STUNner',
  description: 'Parameters of the query: service=turn, username, ttl, iceTransportPolicy (relay or all), key (the API key; or Authorization: Bearer), transport. namespace, gateway, listener and public-addr are read and mean nothing here.',
  tags: ['Forms of others'],
  security: [{ key: [] }],
  response: {
    200: Type.Object({ iceServers: Type.Array(IceServerSchema), iceTransportPolicy: Type.String() }),
    ...problems('invalid-request', 'form-off', 'project-disabled', 'user-revoked', 'origin-not-allowed', 'quota-exceeded', 'relay-unavailable'),
  },
}

export function stunnerForm (app: App, needs: FormNeeds): void {
  app.get('/ice', { config: { access: 'project', scope: 'turn:issue', publishable: true, keyOf: keyInQuery('key'), keyIn: 'key in the query, or in Authorization: Bearer' }, schema }, (request, reply) => {
    const { query } = request
    const asked = valueOf(query, 'iceTransportPolicy') ?? 'all'
    // An old name for all, which STUNner still has.
    const policy = asked === 'public' ? 'all' : asked
    if (policy !== 'all' && policy !== 'relay') throw new TurnpikeError('invalid-request', 'iceTransportPolicy must be all or relay', { fields: [{ field: 'iceTransportPolicy', message: 'must be all or relay' }] })
    const { iceServers } = issueIn('stunner', request, needs, { user: valueOf(query, 'username'), ttlSeconds: secondsOf(valueOf(query, 'ttl'), 'ttl'), transports: transportsOf(valueOf(query, 'transport')), policy })
    reply.header('cache-control', 'no-store').send({ iceServers, iceTransportPolicy: policy })
  })
}
