/** /metrics on a listener of its own, so that it is never where the API is. */
import Fastify, { type FastifyInstance } from 'fastify'
import type { Metrics } from '../metrics/metrics.ts'

export function createMetricsListener (metrics: Pick<Metrics, 'render'>): FastifyInstance {
  const app = Fastify({ logger: false, forceCloseConnections: true })
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics.render()
    return reply.type(contentType).send(text)
  })
  return app
}
