/** The API described by its own schemas: OpenAPI 3.1 at /v1/openapi.json, and for people at /v1/docs. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifySchema } from 'fastify'
import type { TSchema } from 'typebox'
import type { ErrorCode } from '../protocol/errors.ts'
import type { App } from './app-type.ts'
import { EXAMPLES } from './examples.ts'
import { publicProblems, WITH_BODY } from './schemas.ts'

const DESCRIPTION = [
  'Errors are problem documents (RFC 9457, application/problem+json); docs/errors.md lists their codes.',
  'What fails on our side is 500 (internal) everywhere, and its instance finds the cause in the log.',
  'Lists are paged: next of a page is the cursor of the one after it.',
  'Requests with a key are counted by key and by project, others by client address; RateLimit-* headers tell what is left, Retry-After when to come again.',
].join(' ')
const TAGS = [
  { name: 'TURN', description: 'Credentials, live allocations, revocation.' },
  { name: 'Rooms', description: 'Room tokens, the signaling socket, and what rooms hold.' },
  { name: 'Topics', description: 'Who publishes and who subscribes.' },
  { name: 'Usage' },
  { name: 'Projects' },
  { name: 'Keys' },
  { name: 'Secrets' },
  { name: 'Integrations', description: 'Programs that mint TURN credentials by themselves.' },
  { name: 'Audit' },
  { name: 'Backup' },
  { name: 'Relays' },
  { name: 'Health' },
  { name: 'Forms of others', description: 'APIs of other services, for programs that are written for them.' },
]

/** Must be called before the routes, which it listens to. */
export async function describeApi (app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Turnpike', version, description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: 'An API key (tpk_…) of a project, a publishable key (tpp_…), or the admin key (tpa_…).' },
          roomToken: { type: 'http', scheme: 'bearer', description: 'A room token.' },
          basic: { type: 'http', scheme: 'basic', description: 'The API key as the password.' },
        },
      },
      tags: TAGS,
    },
    transform: ({ schema, url, route }) => ({ schema: withWords(route.method === 'GET' || route.method === 'OPTIONS' ? schema : withBodyProblems(schema), EXAMPLES[`${String(route.method)} ${url}`]), url }),
    // Named as they are, and not def-0.
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => (typeof json['$id'] === 'string' ? json['$id'] : `def-${i}`) },
  })
  app.get('/v1/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, (_request, reply) => {
    reply.type('application/json; charset=utf-8').serializer(JSON.stringify).send(app.swagger())
  })
  await app.register(async plugin => {
    // The reference page has routes of its own, which do not know of our rules.
    plugin.addHook('onRoute', route => { route.config = { ...route.config, access: 'public' } })
    await plugin.register(swaggerUi, {
      routePrefix: '/v1/docs',
      staticCSP: true,
      uiConfig: { docExpansion: 'list', validatorUrl: null },
      theme: { title: 'Turnpike: HTTP API', css: [{ filename: 'turnpike.css', content: '.swagger-ui .topbar, .swagger-ui .scheme-container .schemes-server-container { display: none }' }] },
    })
  })
}

/** Whatever takes a body can be sent a wrong one, also where it needs none. */
function withBodyProblems (schema: FastifySchema | undefined): FastifySchema {
  const response = (schema?.response ?? {}) as Record<string, TSchema>
  const codes = [...WITH_BODY, ...Object.values(response).flatMap(codesOf)]
  return { ...schema, response: { ...response, ...publicProblems(codes) } }
}

function codesOf (answer: TSchema): ErrorCode[] {
  const { content } = answer as unknown as { content?: Record<string, { examples?: Record<string, unknown> }> }
  return Object.keys(content?.['application/problem+json']?.examples ?? {}) as ErrorCode[]
}

const WORDS: Readonly<Record<string, string>> = { 200: 'Done.', 201: 'Made.', 204: 'Done; there is no more to say.', 503: 'Not ready, and why.' }

function withWords (schema: FastifySchema | undefined, example: unknown): FastifySchema {
  const response = Object.entries((schema?.response ?? {}) as Record<string, { description?: string, content?: object }>)
  const shows = (status: string, { content }: { content?: object }): object => (status.startsWith('2') && content === undefined && example !== undefined ? { examples: [example] } : {})
  return { ...schema, response: Object.fromEntries(response.map(([status, answer]) => [status, { description: WORDS[status] ?? '', ...answer, ...shows(status, answer) }])) }
}
