/** What is counted and logged of each request: a counter and a histogram by route, and a line for each that went wrong. */
import type { Metrics } from '../metrics/metrics.ts'
import type { App } from './app-type.ts'
import { EVENT_STREAM } from './event-stream.ts'

/** Slower than this is worth a line even where it went well. */
const SLOW_MS = 2000

export function observeRequests (app: App, metrics: Pick<Metrics, 'add' | 'observe'>): void {
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
  })
  app.addHook('onResponse', (request, reply, done) => {
    // The pattern, never the path: paths are anybody's to make up.
    const route = request.routeOptions.url ?? 'unmatched'
    const { method } = request
    const status = reply.statusCode
    metrics.add('turnpike_http_requests_total', { method, route, status: String(status) })
    // A stream is as long as somebody listens, which says nothing about us.
    const isStream = reply.raw.getHeader('content-type') === EVENT_STREAM
    if (!isStream) metrics.observe('turnpike_http_request_duration_seconds', { route }, reply.elapsedTime / 1000)
    // Neither the query, which can hold a token, nor the path.
    if (status >= 400 || (reply.elapsedTime > SLOW_MS && !isStream)) {
      request.log.info({ requestId: request.id, method, route, status, ms: Math.round(reply.elapsedTime), remoteAddress: request.ip }, 'request')
    }
    done()
  })
}
