/** /v1/relays: each relay, what runs it, what its last probe saw; and what an operator may ask of it. */
import Type, { type Static } from 'typebox'
import type { Access } from '../../access/access.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { OperationKind, Relay } from '../../relay/relay.ts'
import type { App } from '../app-type.ts'
import { audit } from '../audit-trail.ts'
import { problems, UnixSeconds, WITH_BODY } from '../schemas.ts'

export type RelaysNeeds = { access: Pick<Access, 'audit'>, relay: Pick<Relay, 'healths' | 'begin'> }

const tags = ['Relays']
const security = [{ key: [] }]
const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
const Operation = Type.Object({
  kind: Type.Enum(['drain', 'restart', 'upgrade']),
  phase: Type.Enum(['starting', 'handing-over', 'draining', 'ending', 'done', 'failed'], { description: 'starting: a new coturn is started and probed. handing-over: nobody is sent to the old one any more. draining: it takes nothing new. ending: what is left is cut. failed: see detail; what served before serves on.' }),
  since: UnixSeconds,
  deadline: OrNull(Type.Integer({ description: 'When what is left is cut. Unix seconds.' })),
  detail: Type.String(),
  left: Type.Integer({ description: 'Live allocations on the coturn that goes.' }),
  cut: Type.Integer({ description: 'Allocations that were cut at the deadline.' }),
})
const Check = Type.Object({ check: Type.String(), transport: Type.String(), result: Type.String(), detail: Type.String(), roundTripMs: OrNull(Type.Number()) })
const Answer = Type.Object({
  id: Type.String(),
  region: Type.String(),
  weight: Type.Integer(),
  driver: Type.String({ description: 'docker, process, external (run by somebody else) or none (not chosen yet).' }),
  why: Type.String({ description: 'Why this driver.' }),
  version: OrNull(Type.String({ description: 'Of coturn.' })),
  state: Type.String({ description: 'stopped, starting, healthy, degraded, restarting or failed.' }),
  ready: Type.Boolean(),
  handedOut: Type.Boolean({ description: 'Are clients sent there?' }),
  drained: Type.Boolean({ description: 'Taken out of service by an operator.' }),
  code: OrNull(Type.String()),
  reason: Type.String(),
  since: UnixSeconds,
  restarts: Type.Integer(),
  checks: Type.Array(Check),
  listenIp: Type.String(),
  publicAddress: Type.String(),
  publicAddress6: OrNull(Type.String()),
  host: Type.String({ description: 'In the URLs.' }),
  port: Type.Integer(),
  tlsPort: OrNull(Type.Integer()),
  slot: Type.Enum(['main', 'alternate'], { description: 'Which of its two places serves: on its own ports, or on the alternate ones while an upgrade runs.' }),
  allocations: Type.Integer(),
  leaving: OrNull(Type.Object({ allocations: Type.Integer(), until: UnixSeconds }, { description: 'The coturn that is being replaced.' })),
  operation: OrNull(Operation),
  warnings: Type.Array(Type.String()),
})
const Seconds = (maximum: number, description: string) => Type.Optional(Type.Integer({ minimum: 0, maximum, description }))
const Request = Type.Object({
  drainSeconds: Seconds(604_800, 'Seconds that calls are given to end; what is left then is cut, so that its totals are counted. Of the settings (an hour) where not given; 0 for a restart.'),
  handOverSeconds: Seconds(3600, 'Seconds in which the coturn that goes still takes new allocations, of clients that were sent there before. Of the settings (30) where not given; 0 for a restart.'),
}, { additionalProperties: false })
const UpgradeRequest = Type.Object({ ...Request.properties, image: Type.Optional(Type.String({ minLength: 1, maxLength: 256, pattern: '^[A-Za-z0-9][A-Za-z0-9._/:@-]*$', description: 'Image to change to (driver docker), with its exact tag. The one that runs where not given: for other settings, or a new certificate authority.' })) }, { additionalProperties: false })

const DESCRIPTIONS: Readonly<Record<OperationKind, string>> = {
  drain: 'Takes the relay out of service: nobody is sent there, it takes nothing new, and it is ended when its last call is, or at the deadline. It stays out of service, over restarts of Turnpike too, until restart.',
  restart: 'Ends coturn and starts it again on the same ports; live calls end, after drainSeconds where that is given. Brings a drained relay back into service.',
  upgrade: 'Starts a second coturn beside the first on the alternate ports, probes it, sends clients there (peers in rooms are given its URLs at once), lets the calls of the first end, ends it, and then does the same back to the main ports. No call is dropped before the deadline. Where the new one does not pass its probe it is ended, and the old one serves on.',
}

export function serveRelays (app: App, { access, relay }: RelaysNeeds): void {
  const find = (id: string): Static<typeof Answer> => {
    const found = relay.healths().find(health => health.id === id)
    if (found === undefined) throw new TurnpikeError('not-found', `there is no relay ${id.slice(0, 64)}`)
    return found
  }
  app.get('/v1/relays', { config: { access: 'admin' }, schema: { summary: 'List relays and their health', tags, security, response: { 200: Type.Object({ relays: Type.Array(Answer) }), ...problems() } } }, (_request, reply) => {
    reply.header('cache-control', 'no-store').send({ relays: relay.healths() })
  })
  const params = Type.Object({ relay: Type.String({ maxLength: 64 }) })
  app.get('/v1/relays/:relay', { config: { access: 'admin' }, schema: { summary: 'One relay', tags, security, params, response: { 200: Answer, ...problems('not-found') } } }, (request, reply) => {
    reply.header('cache-control', 'no-store').send(find(request.params.relay))
  })
  for (const kind of ['drain', 'restart', 'upgrade'] as const) {
    const schema = { summary: `${kind.slice(0, 1).toUpperCase()}${kind.slice(1)} a relay`, description: `${DESCRIPTIONS[kind]} Goes on by itself: GET /v1/relays/{relay} tells how far. Asked for again while it goes on, with other drainSeconds: those count from now.`, tags, security, params, body: kind === 'upgrade' ? UpgradeRequest : Request, response: { 202: Answer, ...problems(WITH_BODY, 'not-found', 'relay-busy', 'relay-not-ours', 'store-unwritable', ...(kind === 'upgrade' ? ['relay-drained'] as const : [])) } }
    app.post(`/v1/relays/:relay/${kind}`, { config: { access: 'admin' }, schema }, (request, reply) => {
      const { id } = find(request.params.relay)
      audit(access, request, { action: `relay.${kind}`, project: null, target: id, detail: { ...request.body } })
      relay.begin(id, kind, request.body)
      reply.code(202).header('cache-control', 'no-store').send(find(id))
    })
  }
}
