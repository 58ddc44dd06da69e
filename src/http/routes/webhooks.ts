/** /v1/projects/{project}/webhook-deliveries: what waits for a project's own server, what was given up, and another try. For an admin, and for keys of the project that may administer its rooms. */
import Type, { type Static } from 'typebox'
import type { Access } from '../../access/access.ts'
import type { Webhooks } from '../../webhooks/webhooks.ts'
import type { App } from '../app-type.ts'
import { audited } from '../audit-trail.ts'
import { projectOf } from '../authenticate.ts'
import { cursorOf, DEFAULT_LIMIT, NEXT, numberedPositionOf, PAGE_QUERY } from '../paging.ts'
import { problems, UnixSeconds } from '../schemas.ts'

export type WebhooksNeeds = { access: Pick<Access, 'projects' | 'change'>, webhooks: Pick<Webhooks, 'list' | 'replay' | 'replayDead'> }

const tags = ['Webhooks']
const security = [{ key: [] }]
const config = { access: 'project', scope: 'rooms:admin' } as const
const Params = Type.Object({ project: Type.String({ maxLength: 64 }) })
const DeliveryParams = Type.Object({ project: Type.String({ maxLength: 64 }), delivery: Type.String({ maxLength: 64 }) })
const State = Type.Enum(['waiting', 'dead'], { description: 'dead: given up.' })
const Answer = Type.Object({
  id: Type.String({ description: 'Of the event, the same in every attempt.' }),
  type: Type.String({ description: 'Such as room.ended.' }),
  at: UnixSeconds,
  state: State,
  attempts: Type.Integer(),
  reason: Type.Union([Type.String(), Type.Null()], { description: 'Why it was not taken the last time.' }),
  nextAttemptAt: Type.Union([Type.Integer(), Type.Null()], { description: 'Not before this; Unix seconds.' }),
  givenUpAt: Type.Union([Type.Integer(), Type.Null()], { description: 'Unix seconds.' }),
  event: Type.Object({}, { additionalProperties: true, description: 'What is sent.' }),
})

export function serveWebhookDeliveries (app: App, { access, webhooks }: WebhooksNeeds): void {
  const listSchema = {
    summary: 'List what a webhook has not taken',
    description: 'In the order in which the events were written down. What was taken is not kept.',
    tags,
    security,
    params: Params,
    querystring: Type.Object({ state: Type.Optional(State), ...PAGE_QUERY }, { additionalProperties: false }),
    response: { 200: Type.Object({ deliveries: Type.Array(Answer), next: NEXT }), ...problems('invalid-request', 'not-found') },
  }
  app.get('/v1/projects/:project/webhook-deliveries', { config, schema: listSchema }, (request, reply) => {
    const { id } = access.projects.require(projectOf(request.caller, request.params.project))
    const { state = null, limit = DEFAULT_LIMIT, cursor } = request.query
    const { deliveries, next } = webhooks.list(id, { state, cursor: numberedPositionOf(cursor), limit })
    reply.send({ deliveries: deliveries as Static<typeof Answer>[], next: cursorOf(next) })
  })
  const allSchema = { summary: 'Send all dead ones again', description: 'At once, in the order of their events, and for another three days.', tags, security, params: Params, response: { 200: Type.Object({ replayed: Type.Integer() }), ...problems('not-found', 'store-unwritable') } }
  app.post('/v1/projects/:project/webhook-deliveries/replay', { config, schema: allSchema }, (request, reply) => {
    const { id } = access.projects.require(projectOf(request.caller, request.params.project))
    const replayed = audited(access, request, count => ({ action: 'webhook.replay', project: id, target: 'dead', detail: { events: count } }), () => webhooks.replayDead(id))
    reply.send({ replayed })
  })
  const oneSchema = { summary: 'Send one again', description: 'At once, dead or waiting, and for another three days.', tags, security, params: DeliveryParams, response: { 200: Answer, ...problems('not-found', 'store-unwritable') } }
  app.post('/v1/projects/:project/webhook-deliveries/:delivery/replay', { config, schema: oneSchema }, (request, reply) => {
    const { id } = access.projects.require(projectOf(request.caller, request.params.project))
    const { delivery } = request.params
    reply.send(audited(access, request, () => ({ action: 'webhook.replay', project: id, target: delivery }), () => webhooks.replay(id, delivery)) as Static<typeof Answer>)
  })
}
