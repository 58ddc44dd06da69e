/** The rules of who may import whom, as data: the architecture test enforces them and docs/architecture.md shows them. */

/** Folder (or file of src/) → folders it may import. `type x` allows types only. */
export const RULES: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  config: ['protocol'],
  store: ['protocol'],
  metrics: ['protocol'],
  stun: ['protocol'],
  lifecycle: ['protocol'],
  // The certificate that every door and the relay serve.
  tls: ['type metrics', 'type lifecycle'],
  acme: ['protocol', 'tls', 'type metrics', 'type config', 'type lifecycle'],
  relay: ['protocol', 'stun', 'tls', 'store', 'metrics', 'type config', 'type lifecycle'],
  credentials: ['protocol', 'store', 'metrics', 'type config', 'type lifecycle'],
  signaling: ['protocol', 'store', 'metrics', 'type config', 'type lifecycle'],
  access: ['protocol', 'store', 'metrics', 'type config', 'type lifecycle'],
  usage: ['protocol', 'store', 'metrics', 'type config', 'type lifecycle'],
  webhooks: ['protocol', 'store', 'metrics', 'type config', 'type lifecycle'],
  http: ['protocol', 'joining', 'type config', 'type metrics', 'type lifecycle', 'type tls', 'type relay', 'type credentials', 'type signaling', 'type access', 'type usage', 'type webhooks'],
  // Who may join, for every door that takes peers in.
  joining: ['protocol', 'type access'],
  grpc: ['protocol', 'type joining', 'type config', 'type lifecycle', 'type tls', 'type signaling', 'type access'],
  // The guard of the Docker engine is a program of its own: it knows nothing of the house.
  guard: ['protocol', 'type lifecycle'],
  client: ['protocol'],
  console: ['client', 'type protocol'],
  app: ['protocol', 'config', 'lifecycle', 'store', 'metrics', 'tls', 'acme', 'relay', 'credentials', 'signaling', 'access', 'usage', 'webhooks', 'joining', 'http', 'grpc'],
  cli: ['protocol', 'config', 'stun', 'app', 'guard'],
  main: ['cli'],
}

/** npm package, or Node module with an edge to it → the only places that may import it. */
export const OWNERS: Readonly<Record<string, readonly string[]>> = {
  fastify: ['http/'],
  '@fastify': ['http/'],
  '@grpc/grpc-js': ['grpc/'],
  ws: ['type http/', 'type signaling/'],
  pino: ['cli/logger.ts'],
  'pino-pretty': ['cli/logger.ts'],
  jsonwebtoken: ['access/room-tokens.ts'],
  'prom-client': ['metrics/'],
  // What asks for a certificate runs in a process of its own.
  'acme-client': ['acme/order-process.ts'],
  '@peculiar/x509': ['acme/order-process.ts'],
  dockerode: ['relay/drivers/docker'],
  'tar-stream': ['relay/drivers/docker', 'guard/archive.ts'],
  yaml: ['config/load.ts'],
  typebox: ['config/', 'protocol/', 'http/'],
  'node:child_process': ['relay/drivers/process', 'relay/install-coturn.ts', 'acme/order.ts', 'acme/dns-hook.ts', 'cli/deployment/programs.ts'],
  // relay/records.ts: coturn reads its secrets from a database of its own.
  'node:sqlite': ['store/', 'relay/records.ts'],
}

/** The one file of each subject that others may import. */
export const DOORS: readonly string[] = ['acme/acme.ts', 'relay/relay.ts', 'credentials/credentials.ts', 'signaling/signaling.ts', 'access/access.ts', 'usage/usage.ts', 'webhooks/webhooks.ts', 'http/server.ts', 'grpc/grpc.ts', 'guard/guard.ts']

export function folderOf (file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file.replace(/\.ts$/, '')
}
