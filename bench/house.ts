/** The house without a relay, as the benchmarks load it: what is measured is as shipped, only coturn is said to be there. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createAccess, migrations as accessMigrations, type Access } from '../src/access/access.ts'
import { createLogger } from '../src/cli/logger.ts'
import { loadConfig } from '../src/config/load.ts'
import { createCredentials, migrations as credentialsMigrations } from '../src/credentials/credentials.ts'
import { createHttp } from '../src/http/server.ts'
import { startAll } from '../src/lifecycle.ts'
import { createMetrics } from '../src/metrics/metrics.ts'
import { createSignaling, migrations as signalingMigrations } from '../src/signaling/signaling.ts'
import { openStore, type Store } from '../src/store/store.ts'
import { createUsage, migrations as usageMigrations } from '../src/usage/usage.ts'
import { createWebhooks, migrations as webhooksMigrations } from '../src/webhooks/webhooks.ts'

export const nowSeconds = (): number => Math.floor(Date.now() / 1000)

/** `fill` is called with the store before anything reads it. Resolves when it listens. */
export async function startHouse (env: Record<string, string> = {}, fill: (store: Store) => void = () => {}): Promise<{ url: string, access: Access }> {
  const { config, problems } = loadConfig({ env: { TURNPIKE_HTTP_HOST: '127.0.0.1', TURNPIKE_HTTP_PORT: '0', TURNPIKE_METRICS_PORT: '0', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_KEY: '100000000', TURNPIKE_LIMITS_REQUESTS_PER_MINUTE_PER_ADDRESS: '100000000', ...env }, readFile: () => '' })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  const store = openStore(`${mkdtempSync(`${tmpdir()}/turnpike-bench-`)}/turnpike.db`, [...accessMigrations, ...credentialsMigrations, ...usageMigrations, ...webhooksMigrations, ...signalingMigrations])
  fill(store)
  const metrics = createMetrics()
  const log = createLogger('warn', false)
  const world = { store, metrics, log, nowSeconds }
  const access = createAccess({ ...world, config })
  const usage = createUsage({ ...world, config: config.usage, projects: () => [], settingsOf: project => access.projects.get(project)?.settings ?? null, announce: () => {} })
  const webhooks = createWebhooks({ ...world, settingsOf: project => access.projects.get(project)?.settings ?? null, secretOf: () => null })
  const credentials = createCredentials({
    ...world,
    limits: config.credentials,
    rotateDays: 0,
    fixedSecret: undefined,
    isKeyAlive: keyId => access.isKeyAlive(keyId),
    settingsOf: project => access.projects.require(project).settings,
    requireAllowance: project => usage.requireAllowance(project),
    relays: () => [{ host: 'turn.example', port: 3478, tlsHost: 'turn.example', tlsPorts: [5349], secret: null }],
    regions: () => ['default'],
    relayDown: () => '',
    applySecrets: () => {},
    proveSecret: async () => {},
    takesAnyUserName: () => true,
    cut: async () => 0,
  })
  const signaling = createSignaling({ ...world, limits: config.signaling, limitsOf: project => access.projects.get(project)?.settings.quotas ?? null, announce: () => {}, isEnabled: () => true, iceServersFor: peer => credentials.issueFor(peer), onKicked: async () => ({ allocationsClosed: 0 }) })
  const relay = { health: (): never => { throw new Error('there is no relay here') }, healths: () => [], begin: (): never => { throw new Error('there is no relay here') }, rateOf: () => 0, allocations: () => [], cut: async () => 0 }
  const http = createHttp({ ...world, config, certificates: { served: () => null, use: () => {} }, certificateStatus: () => null, examine: async () => [], access, credentials, relay, signaling, usage, webhooks, logger: log, version: 'bench' })
  await startAll([access, usage, signaling, http, credentials])
  return { url: http.url(), access }
}
