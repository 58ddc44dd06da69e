/** A real gRPC client, made from the .proto that the server gives out. */
import { Client, credentials, Metadata, status, type ChannelCredentials, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js'
import { loadSync, type MethodDefinition } from '@grpc/proto-loader'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startApp, type TestApp } from './app.ts'
import { whenDone } from './cleanup.ts'
import { allowDialects } from './dialects.ts'
import { freePorts, scratchDirectory, until } from './files.ts'

export type Message = { peer: string, event: string, message: Buffer, iceServers: { urls: string[], username: string, credential: string }[], iceExpiresAt: string, error: { code: string, message: string, retry: string } | null, role: string }
export type GrpcApp = TestApp & { grpcPort: number }
export type GrpcPeer = {
  call: ClientDuplexStream<object, Message>
  messages: Message[]
  /** How the call ended, in words. */
  ended: { status: string, code: string, retry: string, details: string } | null
  say (message: { peer?: string, event: string, message?: Buffer | string }): void
  /** The next message of this kind that was not asked for yet. */
  next (event: string): Promise<Message>
  closed (): Promise<NonNullable<GrpcPeer['ended']>>
}

/** With gRPC on a free port, and the dialects of the default project switched on. */
export async function startGrpcApp (settings: Record<string, string> = {}, dialects: string[] = ['grpc']): Promise<GrpcApp> {
  const [port = 0] = await freePorts(1)
  const app = await startApp({ TURNPIKE_GRPC_PORT: String(port), ...settings })
  await allowDialects(app, { dialects })
  return { ...app, grpcPort: port }
}

/** The method as the file that the server gives out describes it. */
export async function negotiateMethod (app: TestApp): Promise<MethodDefinition<object, Message>> {
  const file = join(scratchDirectory(), 'signaling.proto')
  writeFileSync(file, await (await fetch(`${app.url()}/v1/signaling.proto`)).text())
  const loaded = loadSync(file, { longs: String, enums: String, defaults: true, arrays: true, objects: true })
  return (loaded['turnpike.v1.Signaling'] as unknown as { Negotiate: MethodDefinition<object, Message> }).Negotiate
}

export type Dialing = { token?: string, metadata?: Record<string, string>, security?: ChannelCredentials, port?: number, options?: { deadline?: Date }, method?: MethodDefinition<object, Message>, endsWithTest?: boolean }

/** What ends with the test is held on to until then; what does not ends with its call. */
export async function dial (app: GrpcApp, { token, metadata = {}, security = credentials.createInsecure(), port = app.grpcPort, options = {}, method, endsWithTest = true }: Dialing = {}): Promise<GrpcPeer> {
  const { path, requestSerialize, responseDeserialize } = method ?? await negotiateMethod(app)
  const client = new Client(`127.0.0.1:${port}`, security, { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' })
  if (endsWithTest) whenDone(() => client.close())
  const sent = new Metadata()
  for (const [key, value] of Object.entries({ ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...metadata })) sent.set(key, value)
  const call = client.makeBidiStreamRequest(path, message => (Buffer.isBuffer(message) ? message : requestSerialize(message)), responseDeserialize, sent, options) as GrpcPeer['call']
  const taken = new Set<Message>()
  const peer: GrpcPeer = {
    call,
    messages: [],
    ended: null,
    say: ({ message = '', ...rest }) => { call.write({ ...rest, message: Buffer.from(message) }) },
    next: async event => {
      let found: Message | undefined
      await until(`${event}; there are ${peer.messages.map(message => message.event).join(', ')}${peer.ended === null ? '' : `, and the end: ${JSON.stringify(peer.ended)}`}`, () => (found = peer.messages.find(message => message.event === event && !taken.has(message))) !== undefined)
      taken.add(found as Message)
      return found as Message
    },
    closed: async () => {
      await until('the end of the call', () => peer.ended !== null, 20_000)
      return peer.ended as NonNullable<GrpcPeer['ended']>
    },
  }
  call.on('data', (message: Message) => peer.messages.push(message))
  call.on('error', () => {})
  call.on('status', ({ code, details, metadata: trailing }: StatusObject) => {
    peer.ended = { status: status[code], code: String(trailing.get('turnpike-code')[0] ?? ''), retry: String(trailing.get('turnpike-retry')[0] ?? ''), details }
    if (!endsWithTest) client.close()
  })
  return peer
}
