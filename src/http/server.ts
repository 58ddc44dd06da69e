/** The door of HTTP: one Fastify, its limits, its hooks and the list of its routes; and the listener of the metrics. */
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Fastify, { LogController, type FastifyBaseLogger } from 'fastify'
import { randomBytes } from 'node:crypto'
import type { Access } from '../access/access.ts'
import type { Config } from '../config/schema.ts'
import type { Credentials } from '../credentials/credentials.ts'
import type { Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Relay } from '../relay/relay.ts'
import type { Signaling } from '../signaling/signaling.ts'
import type { App } from './app-type.ts'
import { authenticateRequests } from './authenticate.ts'
import { createMetricsListener } from './metrics-listener.ts'
import { observeRequests } from './observe.ts'
import { collectOpenapi, serveOpenapi } from './openapi.ts'
import { answerError, answerWithProblems } from './problems.ts'
import { callPage } from './routes/call.ts'
import { issueCredentials } from './routes/credentials.ts'
import { answerHealth } from './routes/health.ts'
import { listRelays } from './routes/relays.ts'
import { issueRoomToken } from './routes/rooms.ts'
import { signalSocket } from './websocket.ts'

export type HttpLogger = FastifyBaseLogger
export type HttpNeeds = {
  config: Pick<Config, 'http' | 'metrics' | 'callPage' | 'signaling'>
  access: Access
  credentials: Pick<Credentials, 'issue'>
  relay: Pick<Relay, 'health'>
  signaling: Pick<Signaling, 'admit' | 'attach'>
  isStoreWritable: () => boolean
  metrics: Metrics
  logger: HttpLogger
  version: string
}
export type Http = Part & {
  /** Where a person on this machine reaches the API, after start. */
  url (): string
  metricsUrl (): string
}

const BODY_LIMIT_BYTES = 65_536
const TIMEOUTS = { connectionTimeout: 0, requestTimeout: 15_000, keepAliveTimeout: 65_000 }

export function createHttp (needs: HttpNeeds): Http {
  const { http, metrics } = needs.config
  const stopping = { yes: false }
  const metricsApp = createMetricsListener(needs.metrics)
  let app: App | null = null
  let url = ''
  let metricsUrl = ''
  return {
    name: 'http',
    start: async () => {
      app = await buildApp(needs, () => stopping.yes)
      url = await listen(app, http, 'TURNPIKE_HTTP_PORT')
      metricsUrl = `${await listen(metricsApp as unknown as App, metrics, 'TURNPIKE_METRICS_PORT')}/metrics`
    },
    stop: async deadlineMs => {
      stopping.yes = true
      const forced = setTimeout(() => app?.server.closeAllConnections(), deadlineMs / 2)
      await Promise.all([app?.close(), metricsApp.close()])
      clearTimeout(forced)
    },
    url: () => url,
    metricsUrl: () => metricsUrl,
  }
}

async function buildApp (needs: HttpNeeds, isStopping: () => boolean): Promise<App> {
  const { config, logger, version } = needs
  const app: App = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    bodyLimit: BODY_LIMIT_BYTES,
    ...TIMEOUTS,
    trustProxy: config.http.trustProxy.length === 0 ? false : [...config.http.trustProxy],
    genReqId: () => randomBytes(9).toString('base64url'),
    requestIdHeader: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 1024 },
    frameworkErrors: (error, request, reply) => { answerError(error, request, reply as never, BODY_LIMIT_BYTES) },
  })
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  answerWithProblems(app, BODY_LIMIT_BYTES)
  observeRequests(app, needs.metrics)
  authenticateRequests(app, needs.access)
  readJsonOrNothing(app)
  await collectOpenapi(app, version)
  await signalSocket(app, { ...needs, allowedOrigins: config.http.allowedOrigins, messageBytes: config.signaling.messageBytes })
  answerHealth(app, { ...needs, isStopping })
  issueCredentials(app, needs)
  issueRoomToken(app, needs)
  listRelays(app, needs)
  await callPage(app, { ...needs, callPage: config.callPage })
  serveOpenapi(app)
  return app
}

/** A POST without a body means {}: every field has a default. */
function readJsonOrNothing (app: App): void {
  app.removeContentTypeParser('text/plain')
  app.addHook('preValidation', async request => {
    if (request.method === 'POST' && request.body === undefined) request.body = {}
  })
}

async function listen (app: App, { host, port }: { host: string, port: number }, variable: string): Promise<string> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL') throw new TurnpikeError('address-in-use', `${host}:${port} cannot be listened on (${code}); it is set by ${variable}`, { cause: error })
    throw error
  }
  const address = app.server.address()
  const listened = typeof address === 'object' && address !== null ? address.port : port
  const isEverywhere = host === '0.0.0.0' || host === '::' || host === '127.0.0.1'
  return `http://${isEverywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${listened}`
}
