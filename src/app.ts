/** The composition root: what exists, what each part needs, in which order it starts. No part knows another but through here. */
import type { Config } from './config/schema.ts'
import { startAll, stopAll, type Log } from './lifecycle.ts'
import { openStore } from './store/store.ts'
import { createMetrics } from './metrics/metrics.ts'
import { createAccess, migrations as accessMigrations } from './access/access.ts'
import { createCredentials, migrations as credentialsMigrations } from './credentials/credentials.ts'
import { createRelay, type RelayHealth } from './relay/relay.ts'
import { createSignaling } from './signaling/signaling.ts'
import { createHttp, type HttpLogger } from './http/server.ts'

/** The parts of the world that the process lends and a test may replace. */
export type World = {
  nowSeconds: () => number
  log: Log & HttpLogger
  version: string
  /** Directories that are searched for turnserver. */
  programPath: readonly string[]
  /** Where the Docker engine listens (DOCKER_HOST), where it is not the usual socket. */
  dockerHost: string | undefined
  /** May coturn be installed with apt where it is missing? */
  installRelay: boolean
}

export type App = {
  start (): Promise<void>
  /** Ends everything, coturn included, within the deadline (ms). */
  stop (deadlineMs: number): Promise<void>
  /** Keys that were made by this start, in plain text, to be shown once. */
  firstKeys (): { adminKey: string | null, apiKey: string | null }
  relayHealth (): RelayHealth
  /** What was decided at the start and why, in sentences. */
  decisions (): string[]
  firewall (): { protocol: string, ports: string, what: string }[]
  /** Where HTTP and metrics listen. */
  url (): string
  metricsUrl (): string
  iceUrls (): string[]
}

/** The whole house in one place. Throws where the store cannot be opened; a relay that does not start is told by `relayHealth`. */
export function createApp (config: Config, world: World): App {
  const { nowSeconds, log } = world
  const store = openStore(`${config.dataDir}/turnpike.db`, [...accessMigrations, ...credentialsMigrations])
  const metrics = createMetrics()
  metrics.set('turnpike_build_info', { version: world.version, node: process.versions.node }, 1)

  const access = createAccess({ store, metrics, config, nowSeconds })
  const credentials = createCredentials({
    store,
    metrics,
    nowSeconds,
    ttl: config.credentials,
    fixedSecret: config.relay.driver === 'external' ? config.relay.secret : undefined,
    relays: () => relay.endpoints(),
    relayDown: () => relay.health().reason,
  })
  const relay = createRelay({ ...world, config, metrics, secret: credentials.relaySecret(), onTraffic: () => {} })
  const signaling = createSignaling({ limits: config.signaling, log, metrics, nowSeconds, iceServersFor: peer => credentials.issueFor(peer) })
  const http = createHttp({ config, access, credentials, relay, signaling, metrics, isStoreWritable: () => store.isWritable(), logger: log, version: world.version })

  // HTTP first, so that a relay that needs long (an image is pulled) is told of by /readyz meanwhile.
  const parts = [relay, http, signaling]
  return {
    start: async () => { await startAll([signaling, http, relay]) },
    stop: async deadlineMs => {
      await stopAll(parts, deadlineMs)
      store.close()
    },
    firstKeys: () => access.firstKeys(),
    relayHealth: () => relay.health(),
    decisions: () => relay.decisions(),
    firewall: () => [{ protocol: 'tcp', ports: new URL(http.url()).port, what: 'API, signaling and the call page' }, ...relay.firewall()],
    url: () => http.url(),
    metricsUrl: () => http.metricsUrl(),
    iceUrls: () => credentials.urls(),
  }
}
