/** The composition root: what exists, what each part needs, in which order it starts. No part knows another but through here. */
import type { Config } from './config/schema.ts'
import { grantFor } from './joining.ts'
import { startAll, stopAll, type Log, type Part } from './lifecycle.ts'
import { restore } from './store/backup.ts'
import { openStore, type Store } from './store/store.ts'
import { watchDisk } from './metrics/disk.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { watchProcess } from './metrics/process.ts'
import type { ProjectSettings } from './protocol/project-settings.ts'
import { createAcme, type Acme } from './acme/acme.ts'
import { Certificates } from './tls/certificates.ts'
import { byGravity, type Finding } from './protocol/findings.ts'
import { createAccess, type Access, migrations as accessMigrations } from './access/access.ts'
import { createCredentials, type Credentials, migrations as credentialsMigrations } from './credentials/credentials.ts'
import { createRelay, type Relay, type RelayHealth } from './relay/relay.ts'
import { createSignaling, type Kicked, type Signaling, type Write, migrations as signalingMigrations } from './signaling/signaling.ts'
import { createUsage, type Usage, migrations as usageMigrations } from './usage/usage.ts'
import { createWebhooks, type Webhooks, migrations as webhooksMigrations } from './webhooks/webhooks.ts'
import { createGrpc, type GrpcDoor, type GrpcNeeds } from './grpc/grpc.ts'
import { createHttp, type Http, type HttpLogger, type InternalAnswer, type InternalRequest } from './http/server.ts'

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
  /** The environment of this process, for programs of the operator's that it starts; without settings of ours they get it. */
  env?: Readonly<Record<string, string | undefined>>
  /** The addresses of a name, where this machine is not to be asked. */
  resolve?: (name: string) => Promise<readonly string[]>
}

export type App = {
  start (): Promise<void>
  /** Ends everything, coturn included, within the deadline (ms). */
  stop (deadlineMs: number): Promise<void>
  /** Gives the data directory back where it was never started. */
  close (): void
  /** Answers one request of the API without a socket, also where it was never started. */
  inject (request: InternalRequest): Promise<InternalAnswer>
  /** An admin key for this machine's own command line; it ends with this process. */
  lendAdminKey (): string
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
  /** Where others reach it by https; null where it is not served. */
  httpsUrl (): string | null
  /** How far certificates by ACME are; null where there are none. */
  certificateStatus (): ReturnType<Acme['status']>
}

/** Puts a backup in the place of the database of a data directory that no process uses. Returns where what was there is kept. */
export const restoreBackup = restore

/** The whole house in one place. Throws where the store cannot be opened; a relay that does not start is told by `relayHealth`. */
export function createApp (config: Config, world: World): App {
  const { nowSeconds, log } = world
  const store = openStore(`${config.dataDir}/turnpike.db`, [...accessMigrations, ...credentialsMigrations, ...usageMigrations, ...signalingMigrations, ...webhooksMigrations])
  const metrics = createMetrics()
  metrics.set('turnpike_build_info', { version: world.version, node: process.versions.node }, 1)

  const { certificates, acme } = certify(config, world, metrics, () => relay.health().publicAddress)
  const access = createAccess({ store, metrics, config, log, nowSeconds })
  const settingsOf = (project: string): ProjectSettings | null => access.projects.get(project)?.settings ?? null
  const webhooks = createWebhooks({ store, metrics, log, nowSeconds, settingsOf, secretOf: project => (access.projects.get(project) === undefined ? null : access.projects.webhookSecret(project)) })
  const usage = createUsage({ store, metrics, log, nowSeconds, config: config.usage, projects: () => access.projects.list('', Infinity).map(({ id }) => id), settingsOf, announce: (project, type, fields) => webhooks.announce(project, type, fields) })
  const credentials = createCredentials({
    ...{ store, metrics, log, nowSeconds },
    limits: config.credentials,
    rotateDays: config.secrets.turnRotateDays,
    fixedSecret: config.relay.driver === 'external' ? config.relay.secret : undefined,
    isKeyAlive: keyId => access.isKeyAlive(keyId),
    settingsOf: project => access.projects.require(project).settings,
    requireAllowance: project => usage.requireAllowance(project),
    relays: wanted => relay.endpoints(wanted),
    regions: () => relay.regions(),
    relayDown: () => relay.health().reason,
    applySecrets: () => relay.applySecrets(),
    proveSecret: secret => relay.proveSecret(secret),
    takesAnyUserName: () => relay.takesAnyUserName(),
    cut: (matches, reason) => relay.cut(relay.allocations().filter(matches), reason),
  })
  const relay = createRelay({
    ...world,
    ...{ config, certificates, metrics },
    secrets: takesAnyUserName => credentials.acceptedSecrets(takesAnyUserName),
    onTraffic: event => usage.addTraffic(event),
    onBegun: allocation => usage.addAllocation(allocation),
    onEnded: allocation => usage.endAllocation(allocation),
    onForgotten: coturn => usage.forgetCoturn(coturn),
    remembered: coturn => usage.liveAllocations(coturn),
    knowsProject: project => access.projects.get(project) !== undefined,
    onUrlsChanged: () => signaling.renewIceServers(),
    reasonToCut: (allocation, crowd) => credentials.reasonToCut(allocation) ?? usage.reasonToCut(allocation.project, crowd),
  })
  const signaling = createSignaling({
    ...{ store, metrics, log, nowSeconds, limits: config.signaling },
    limitsOf: project => access.projects.get(project)?.settings.quotas ?? null,
    announce: (project, event) => webhooks.announceSoon(project, event.type, event.fields),
    isEnabled: project => access.projects.get(project)?.settings.enabled === true,
    iceServersFor: peer => credentials.issueFor(peer),
    onKicked: (kicked, write) => keepOut({ access, credentials }, kicked, write),
  })
  const http = createHttp({ config, certificates, certificateStatus: () => acme.status(), examine: async () => await examineAll(acme, relay), access, credentials, relay, signaling, usage, webhooks, metrics, store, nowSeconds, logger: log, version: world.version })

  return appOver({ acme, certificates, machine: watchMachine(metrics, config.dataDir), access, webhooks, usage, credentials, relay, signaling, http, grpc: createGrpc({ config, certificates, log, signaling, grantFor: mayJoin(config, access) }) }, store)
}

async function examineAll (acme: Acme, relay: Relay): Promise<Finding[]> {
  return byGravity([...acme.examine(), ...await relay.examine()])
}

/** What TLS is served with, and who gets it. */
function certify (config: Config, world: World, metrics: Metrics, publicAddress: () => string): { certificates: Certificates, acme: Acme } {
  const certificates = new Certificates({ files: config.certificate.files, checkSeconds: config.tls.checkSeconds, log: world.log, metrics })
  return { certificates, acme: createAcme({ ...world, config, metrics, publicAddress, onIssued: async () => await certificates.check() }) }
}

function mayJoin (config: Config, access: Access): GrpcNeeds['grantFor'] {
  return (claim, request) => grantFor(claim, request, { access, allowedOrigins: config.http.allowedOrigins, anonymousCapacity: config.signaling.topicCapacity })
}

/** A peer that was kicked comes back neither with its token nor to the relay with what it was issued; with a new token it does both. */
async function keepOut ({ access, credentials }: Pick<Parts, 'access' | 'credentials'>, { tokenId, ...peer }: Kicked, write: Write): Promise<{ allocationsClosed: number }> {
  return await credentials.revokePeer(peer, work => write(() => {
    if (tokenId !== '') access.revokeRoomToken(peer.project, tokenId)
    work()
  }))
}

/** What the control plane itself takes and has left, measured while it runs. */
function watchMachine (metrics: Metrics, dataDir: string): Part {
  let stops: (() => void)[] = []
  return {
    name: 'machine',
    start: async () => { stops = [watchProcess(metrics), watchDisk(metrics, dataDir)] },
    stop: async () => { for (const stop of stops.splice(0)) stop() },
  }
}

type Parts = { acme: Acme, certificates: Part, machine: Part, access: Access, webhooks: Webhooks, usage: Usage, credentials: Credentials, relay: Relay, signaling: Signaling, http: Http, grpc: GrpcDoor }

function appOver ({ acme, certificates, machine, access, webhooks, usage, credentials, relay, signaling, http, grpc }: Parts, store: Store): App {
  return {
    // HTTP before the relay, so that one that needs long (an image is pulled) is told of by /readyz meanwhile.
    start: async () => { await startAll([machine, acme, certificates, access, webhooks, usage, signaling, http, grpc, relay, credentials]) },
    stop: async deadlineMs => {
      await stopAll([machine, acme, certificates, access, webhooks, usage, credentials, relay, http, grpc, signaling], deadlineMs)
      store.close()
    },
    close: () => store.close(),
    inject: async request => await http.inject(request),
    lendAdminKey: () => access.lendAdminKey(),
    firstKeys: () => access.firstKeys(),
    relayHealth: () => relay.health(),
    decisions: () => relay.decisions(),
    firewall: () => [...http.firewall(), ...acme.firewall(), ...grpc.firewall(), ...relay.firewall()],
    url: () => http.url(),
    metricsUrl: () => http.metricsUrl(),
    iceUrls: () => credentials.urls(),
    httpsUrl: () => http.httpsUrl(),
    certificateStatus: () => acme.status(),
  }
}
