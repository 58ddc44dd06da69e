/** The door of gRPC: turnpike.v1.Signaling (protocol/signaling.proto) on a port of its own, where one is set. */
import type * as library from '@grpc/grpc-js'
import type { Server, ServerCredentials, ServerOptions } from '@grpc/grpc-js'
import { createServer, type Server as Listener } from 'node:net'
import type { Config } from '../config/schema.ts'
import type { Part } from '../lifecycle.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import { isLoopbackHost } from '../protocol/hosts.ts'
import type { Certificates } from '../tls/certificates.ts'
import { ServedCertificate } from './certificate.ts'
import { Pings, type Call } from './call-socket.ts'
import { METHOD } from './message.ts'
import { negotiate, type NegotiateNeeds } from './negotiate.ts'

type Library = typeof library
export type GrpcNeeds = NegotiateNeeds & { config: Pick<Config, 'grpc' | 'certificate' | 'signaling'>, certificates: Pick<Certificates, 'served' | 'use'> }
export type GrpcDoor = Part & {
  /** The port that others than this machine reach, where there is one. */
  firewall (): { protocol: string, ports: string, what: string }[]
}

const IDLE_MS = 60_000
/** As many as over HTTP may wait to be taken; grpc-js would ask for the 511 that Node.js does, so the port is listened on here, and what comes is handed to it. */
const BACKLOG = 4096
const KEEPALIVE = { 'grpc.keepalive_time_ms': 30_000, 'grpc.keepalive_timeout_ms': 20_000 }

export function createGrpc (needs: GrpcNeeds): GrpcDoor {
  const { host, port } = needs.config.grpc
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  let running: { server: Server, listener: Listener } | null = null
  return {
    name: 'grpc',
    firewall: () => (port === 0 || isLoopbackHost(host) ? [] : [{ protocol: 'tcp', ports: String(port), what: 'signaling over gRPC' }]),
    start: async () => {
      if (port === 0) return
      // Only here: it takes memory and time that nobody is to spend on a port that is off.
      const library = await import('@grpc/grpc-js')
      const server = build(needs, library)
      const { injectConnection } = server.createConnectionInjector(credentialsOf(needs, library))
      running = { server, listener: createServer({ noDelay: true }, injectConnection) }
      await listen(running.listener, host, port)
      needs.log.info({ address, tls: needs.config.certificate.files !== null }, 'gRPC signaling listens')
    },
    stop: async deadlineMs => {
      if (running === null) return
      const { server, listener } = running
      running = null
      listener.close()
      const forced = setTimeout(() => server.forceShutdown(), deadlineMs / 2)
      await new Promise<void>(resolve => server.tryShutdown(() => resolve()))
      clearTimeout(forced)
    },
  }
}

function build (needs: GrpcNeeds, library: Library): Server {
  const { messageBytes, socketsPerAddress } = needs.config.signaling
  const options: ServerOptions = {
    ...KEEPALIVE,
    'grpc.max_receive_message_length': messageBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': socketsPerAddress,
    'grpc.max_connection_idle_ms': IDLE_MS,
    'grpc.enable_channelz': 0,
  }
  const server = new library.Server(options)
  const pings = new Pings()
  const asItIs = (bytes: Buffer): Buffer => bytes
  const definition = { Negotiate: { path: METHOD, requestStream: true, responseStream: true, requestSerialize: asItIs, requestDeserialize: asItIs, responseSerialize: asItIs, responseDeserialize: asItIs } }
  server.addService(definition, { Negotiate: (call: Call) => negotiate(call, needs, library, pings) })
  return server
}

function credentialsOf ({ config, certificates }: GrpcNeeds, { ServerCredentials, experimental }: Library): ServerCredentials {
  if (config.certificate.files === null) return ServerCredentials.createInsecure()
  return experimental.createCertificateProviderServerCredentials(new ServedCertificate(certificates), null, false)
}

async function listen (listener: Listener, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(new TurnpikeError('address-in-use', `${host}:${port} cannot be listened on (${error.code}); it is set by TURNPIKE_GRPC_PORT`, { cause: error }))
    listener.once('error', failed).listen({ host, port, backlog: BACKLOG }, () => {
      listener.off('error', failed)
      resolve()
    })
  })
}
