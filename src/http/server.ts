/** The door of HTTP: one Fastify, its limits, its hooks and the list of its routes; and the listener of the metrics. */
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Fastify, { LogController, type FastifyBaseLogger } from 'fastify'
import { randomBytes } from 'node:crypto'
import type { Access } from '../access/access.ts'
import type { Config } from '../config/schema.ts'
import type { Credentials } from '../credentials/credentials.ts'
import type { Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { isLoopbackHost } from '../protocol/hosts.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Finding } from '../protocol/findings.ts'
import type { Relay } from '../relay/relay.ts'
import type { Signaling } from '../signaling/signaling.ts'
import type { Usage } from '../usage/usage.ts'
import type { Webhooks } from '../webhooks/webhooks.ts'
import type { Certificates } from '../tls/certificates.ts'
import type { App } from './app-type.ts'
import { authenticateRequests } from './authenticate.ts'
import { HttpsListener } from './https-listener.ts'
import { createMetricsListener } from './metrics-listener.ts'
import { observeRequests } from './observe.ts'
import { describeApi } from './openapi.ts'
import { answerError, answerWithProblems } from './problems.ts'
import { libdatachannelSocket } from './dialects/libdatachannel.ts'
import { servePeerjs } from './dialects/peerjs.ts'
import { serveForms } from './forms/forms.ts'
import { serveAyame } from './dialects/ayame.ts'
import { repeatAnswers } from './idempotency.ts'
import { answerPreflights } from './preflight.ts'
import { limitRequests } from './rate-limits.ts'
import { serveAllocations } from './routes/allocations.ts'
import { serveAudit } from './routes/audit.ts'
import { serveBackup } from './routes/backup.ts'
import { callPage } from './routes/call.ts'
import { issueCredentials } from './routes/credentials.ts'
import { serveDoctor } from './routes/doctor.ts'
import { answerHealth, type CertificateStatus } from './routes/health.ts'
import { serveIntegrations } from './routes/integrations.ts'
import { serveKeys } from './routes/keys.ts'
import { serveProjects } from './routes/projects.ts'
import { serveProto } from './routes/proto.ts'
import { serveRelays } from './routes/relays.ts'
import { serveRevocations } from './routes/revocations.ts'
import { serveRoomTokens } from './routes/room-tokens.ts'
import { serveRooms } from './routes/rooms.ts'
import { serveSdk } from './routes/sdk.ts'
import { serveSecrets } from './routes/secrets.ts'
import { serveTopics } from './routes/topics.ts'
import { serveUsage } from './routes/usage.ts'
import { serveWebhookDeliveries } from './routes/webhooks.ts'
import { PROBLEM_SCHEMA } from './schemas.ts'
import { acceptWebSockets, signalSocket } from './websocket.ts'

export type HttpLogger = FastifyBaseLogger
export type HttpNeeds = {
  config: Pick<Config, 'dataDir' | 'http' | 'https' | 'publicHost' | 'metrics' | 'callPage' | 'signaling' | 'limits'>
  access: Access
  certificates: Pick<Certificates, 'served' | 'use'>
  /** How far certificates by ACME are; null where there are none. */
  certificateStatus: () => CertificateStatus | null
  credentials: Pick<Credentials, 'issue' | 'revoke' | 'revocations' | 'liftRevocation' | 'reasonToCut' | 'isOurs' | 'secrets' | 'urls'>
  relay: Pick<Relay, 'health' | 'healths' | 'begin' | 'allocations' | 'rateOf' | 'cut'>
  examine: () => Promise<Finding[]>
  signaling: Pick<Signaling, 'admit' | 'attach' | 'resume' | 'requireSession' | 'rooms' | 'topics'>
  usage: Pick<Usage, 'query' | 'quotas' | 'settingsChanged'>
  webhooks: Pick<Webhooks, 'list' | 'replay' | 'replayDead' | 'forget'>
  store: { isWritable (): boolean, backUpTo (file: string): void }
  nowSeconds: () => number
  metrics: Metrics
  logger: HttpLogger
  version: string
}
export type InternalRequest = { method: string, path: string, headers: Record<string, string>, body?: string }
export type InternalAnswer = { status: number, headers: Record<string, unknown>, body: Buffer }
export type Http = Part & {
  /** Answers one request without a socket, also before the start. */
  inject (request: InternalRequest): Promise<InternalAnswer>
  /** Where a person on this machine reaches the API, after start. */
  url (): string
  /** Where others reach it by https; null where it is not served. */
  httpsUrl (): string | null
  metricsUrl (): string
  firewall (): { protocol: string, ports: string, what: string }[]
}

const BODY_LIMIT_BYTES = 65_536
const TIMEOUTS = { connectionTimeout: 0, requestTimeout: 15_000, keepAliveTimeout: 65_000 }

export function createHttp (needs: HttpNeeds): Http {
  const { http, https, metrics, publicHost } = needs.config
  const stopping = { yes: false }
  const metricsApp = createMetricsListener(needs.metrics)
  let app: Promise<App> | null = null
  let secure: HttpsListener | null = null
  let url = ''
  let metricsUrl = ''
  const built = (): Promise<App> => (app ??= buildApp(needs, () => stopping.yes))
  return {
    name: 'http',
    start: async () => {
      url = await listen(await built(), http, 'TURNPIKE_HTTP_PORT')
      if (https.port !== 0) {
        secure = new HttpsListener((await built()).server, { ...needs, https, backlog: BACKLOG })
        await secure.listen()
      }
      metricsUrl = `${await listen(metricsApp as unknown as App, metrics, 'TURNPIKE_METRICS_PORT')}/metrics`
    },
    inject: async ({ method, path, headers, body }) => {
      const answer = await (await built()).inject({ method: method as 'GET', url: path, headers, ...(body === undefined ? {} : { payload: body }) })
      return { status: answer.statusCode, headers: answer.headers, body: answer.rawPayload }
    },
    stop: async deadlineMs => {
      stopping.yes = true
      const served = await app
      secure?.close()
      const forced = setTimeout(() => {
        served?.server.closeAllConnections()
        secure?.closeAllConnections()
      }, deadlineMs / 2)
      await Promise.all([served?.close(), metricsApp.close()])
      clearTimeout(forced)
    },
    url: () => url,
    httpsUrl: () => (https.port === 0 ? null : `https://${publicHost ?? 'localhost'}${https.publicPort === 443 ? '' : `:${https.publicPort}`}`),
    metricsUrl: () => metricsUrl,
    firewall: () => [
      ...(https.port === 0 ? [] : [{ protocol: 'tcp', ports: String(https.publicPort), what: 'API, signaling and the call page over https' }]),
      ...(isLoopbackHost(http.host) ? [] : [{ protocol: 'tcp', ports: new URL(url).port, what: https.port === 0 ? 'API, signaling and the call page' : 'the same without https, for this machine and a proxy' }]),
    ],
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
    genReqId: requestIds(),
    // A logger of its own for each request costs more than issuing a credential; the few lines that there are name the request themselves.
    childLoggerFactory: parent => parent,
    requestIdHeader: false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1024 },
    frameworkErrors: (error, request, reply) => { answerError(error, request, reply as never, BODY_LIMIT_BYTES) },
  })
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  app.addSchema(PROBLEM_SCHEMA)
  answerWithProblems(app, BODY_LIMIT_BYTES)
  observeRequests(app, needs.metrics)
  keepToHttps(app)
  const limits = await limitRequests(app, { access: needs.access, limits: config.limits })
  authenticateRequests(app, { access: needs.access, limits })
  readJsonOrNothing(app)
  repeatAnswers(app)
  await describeApi(app, version)
  await addRoutes(app, needs, isStopping)
  return app
}

/** Browsers that have come over https once never come without it again (RFC 6797). */
function keepToHttps (app: App): void {
  app.addHook('onRequest', async (request, reply) => {
    if ('encrypted' in request.raw.socket) reply.header('strict-transport-security', 'max-age=15552000')
  })
}

/** Ids that tell requests apart over restarts too: random once, then counted. */
function requestIds (): () => string {
  const start = randomBytes(6).toString('base64url')
  let count = 0
  return () => `${start}${(count++).toString(36).padStart(4, '0')}`
}

async function addRoutes (app: App, needs: HttpNeeds, isStopping: () => boolean): Promise<void> {
  const { config } = needs
  await acceptWebSockets(app, config.signaling.messageBytes)
  const joining = { ...needs, allowedOrigins: config.http.allowedOrigins, anonymousCapacity: config.signaling.topicCapacity }
  signalSocket(app, joining)
  libdatachannelSocket(app, joining)
  servePeerjs(app, joining)
  serveAyame(app, { ...joining, heartbeatSeconds: config.signaling.heartbeatSeconds })
  serveProto(app)
  answerHealth(app, { ...needs, isStoreWritable: () => needs.store.isWritable(), isStopping })
  issueCredentials(app, needs)
  serveRevocations(app, needs)
  serveAllocations(app, needs)
  serveRoomTokens(app, needs)
  serveRooms(app, needs)
  serveTopics(app, { ...needs, heartbeatSeconds: config.signaling.heartbeatSeconds })
  serveUsage(app, needs)
  serveProjects(app, needs)
  serveWebhookDeliveries(app, needs)
  serveKeys(app, needs)
  serveSecrets(app, needs)
  serveIntegrations(app, needs)
  serveAudit(app, needs)
  serveBackup(app, needs)
  serveRelays(app, needs)
  serveDoctor(app, needs)
  await serveForms(app, needs)
  answerPreflights(app)
  serveSdk(app)
  callPage(app, { ...needs, callPage: config.callPage })
}

/** A POST or a PUT without a body means {}: every field has a default. */
function readJsonOrNothing (app: App): void {
  app.removeContentTypeParser('text/plain')
  const parse = app.getDefaultJsonParser('error', 'error')
  for (const type of ['application/json', 'application/merge-patch+json']) {
    app.removeContentTypeParser(type)
    // Libraries name a type also where they send nothing.
    app.addContentTypeParser(type, { parseAs: 'string' }, (request, body, done) => (body.length === 0 ? done(null, undefined) : parse(request, body as string, done)))
  }
  app.addHook('preValidation', async request => {
    if ((request.method === 'POST' || request.method === 'PUT') && request.body === undefined) request.body = {}
  })
}

/**
 * So many connections wait to be taken, as far as the kernel allows (net.core.somaxconn, 4096 of itself). One is taken in a turn of the
 * event loop (libuv), and when all peers of a server come back at once, those for whom there is no place try again after 1, 3 and 7 s.
 */
const BACKLOG = 4096

async function listen (app: App, { host, port }: { host: string, port: number }, variable: string): Promise<string> {
  try {
    await app.listen({ host, port, backlog: BACKLOG })
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
