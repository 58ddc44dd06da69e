/** Signaling over gRPC, with the real client of @grpc/grpc-js and peers of libdatachannel. */
import { beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { rtcPeer, type RtcPeer } from '../kit/data-channel.ts'
import { allowDialects } from '../kit/dialects.ts'
import { until } from '../kit/files.ts'
import { dial, startGrpcApp, type GrpcApp, type GrpcPeer } from '../kit/grpc.ts'
import { joinAs, tokenFor, type Frame, type Peer } from '../kit/peer.ts'
import { startApp } from '../kit/app.ts'

cleanUpAfterFile()
let app: GrpcApp
beforeAll(async () => {
  app = await startGrpcApp({ TURNPIKE_SIGNALING_MAILBOX_SECONDS: '2' }, ['grpc', 'ayame'])
  await until('the relay', () => app.relayHealth().ready, 20_000)
})

let rooms = 0
const newRoom = (): string => `grpc-${++rooms}`

/** In the room, welcomed. */
async function connectAs (room: string, peer: string, role?: string, at: GrpcApp = app): Promise<GrpcPeer> {
  const joined = await dial(at, { token: await tokenFor(at, room, { peer, ...(role === undefined ? {} : { role }) }) })
  await joined.next('WELCOME')
  return joined
}

/** A peer connection whose words go over gRPC, in the JSON of the web. */
function speakGrpc (self: GrpcPeer, name: string, to: string): RtcPeer {
  const iceServers = self.messages.find(({ event }) => event === 'WELCOME')?.iceServers ?? []
  const rtc = rtcPeer(name, iceServers, {
    description: (type, sdp) => self.say({ peer: to, event: type === 'offer' ? 'OFFER' : 'ANSWER', message: JSON.stringify({ type, sdp }) }),
    candidate: (candidate, sdpMid) => self.say({ peer: to, event: 'LOCAL_ICE_CANDIDATE', message: JSON.stringify({ candidate, sdpMid }) }),
  })
  const hear = ({ event, message }: { event: string, message: Buffer }): void => {
    if (event === 'ICE_CANDIDATE') {
      const { candidate, sdpMid } = JSON.parse(message.toString()) as { candidate: string, sdpMid: string }
      rtc.addCandidate(candidate, sdpMid)
    } else if (event === 'OFFER' || event === 'ANSWER') {
      rtc.setDescription(event === 'OFFER' ? 'offer' : 'answer', (JSON.parse(message.toString()) as { sdp: string }).sdp)
      if (event === 'ANSWER') self.say({ peer: to, event: 'ACCEPT_ANSWER' })
    }
  }
  self.messages.forEach(hear)
  self.call.on('data', hear)
  return rtc
}

function speakNative (self: Peer, name: string, to: string): RtcPeer {
  const send = (data: object): void => self.send({ type: 'signal', to, data })
  const rtc = rtcPeer(name, self.welcome['iceServers'] as { urls: string[] }[], {
    description: (type, sdp) => send({ description: { type, sdp } }),
    candidate: (candidate, sdpMid) => send({ candidate: { candidate, sdpMid, sdpMLineIndex: 0 } }),
  })
  const hear = (frame: Frame): void => {
    if (frame.type !== 'signal') return
    const { description, candidate } = frame['data'] as { description?: { type: 'offer', sdp: string }, candidate?: { candidate: string, sdpMid: string } }
    if (description !== undefined) rtc.setDescription(description.type, description.sdp)
    if (candidate !== undefined) rtc.addCandidate(candidate.candidate, candidate.sdpMid)
  }
  self.frames.forEach(hear)
  self.socket.on('message', (data: Buffer) => hear(JSON.parse(data.toString()) as Frame))
  return rtc
}

async function bytesFlow (one: RtcPeer, other: RtcPeer): Promise<void> {
  await one.send('from one')
  await other.send('from the other')
  await until('both messages', () => one.received.length === 1 && other.received.length === 1, 20_000)
  expect([one.received, other.received]).toEqual([['from the other'], ['from one']])
}

test('a client dials a worker by its id, and bytes flow between them through the relay', async () => {
  const room = newRoom()
  const worker = await connectAs(room, 'worker-7', 'worker')
  const client = await connectAs(room, 'client-1', 'client')
  expect(await client.next('PEER_JOINED')).toMatchObject({ peer: 'worker-7', role: 'worker' })
  expect(await worker.next('PEER_JOINED')).toMatchObject({ peer: 'client-1', role: 'client' })
  const [rtcWorker, rtcClient] = [speakGrpc(worker, 'worker', 'client-1'), speakGrpc(client, 'client', 'worker-7')]
  rtcClient.open()
  await bytesFlow(rtcClient, rtcWorker)
  expect(await worker.next('ACCEPT_ANSWER')).toMatchObject({ peer: 'client-1' })
  // What was sent as LOCAL_ICE_CANDIDATE is local to nobody who receives it.
  expect([...worker.messages, ...client.messages].filter(({ event }) => event === 'LOCAL_ICE_CANDIDATE' || event === 'ERROR')).toEqual([])
})

test('a worker that comes later than the offer finds it, and a client whose worker does not come is told', async () => {
  const room = newRoom()
  const client = await connectAs(room, 'client-1', 'client')
  client.say({ peer: 'nobody', event: 'OFFER', message: 'v=0' })
  const rtcClient = speakGrpc(client, 'early client', 'late')
  rtcClient.open()
  await until('the offer is on its way', () => client.call.writableLength === 0)
  const worker = await connectAs(room, 'late', 'worker')
  await bytesFlow(rtcClient, speakGrpc(worker, 'late worker', 'client-1'))
  expect(await client.next('ERROR')).toMatchObject({ peer: 'nobody', error: { code: 'peer-unavailable', retry: 'backoff' } })
})

test.each(['native', 'grpc'] as const)('gRPC and native peers connect; %s makes the offer', async offering => {
  const room = newRoom()
  const grpc = await connectAs(room, 'g')
  const native = await joinAs(app, room, 'n')
  const [rtcGrpc, rtcNative] = [speakGrpc(grpc, `grpc of ${offering}`, 'n'), speakNative(native, `native of ${offering}`, 'g')]
  ;(offering === 'native' ? rtcNative : rtcGrpc).open()
  await bytesFlow(rtcNative, rtcGrpc)
  // ACCEPT_ANSWER, which has no words there, disturbs nobody.
  expect([...grpc.messages.filter(({ event }) => event === 'ERROR'), ...native.frames.filter(({ type }) => type === 'error')]).toEqual([])
})

test('a gRPC peer and an Ayame client, each in its own words', async () => {
  const room = newRoom()
  const grpc = await dial(app, { token: await tokenFor(app, room, { peer: 'g', kind: 'pair' }) })
  await grpc.next('WELCOME')
  const ayame = new WebSocket(`${app.url().replace('http', 'ws').replace('localhost', '127.0.0.1')}/ayame`)
  whenDone(() => ayame.terminate())
  const frames: Frame[] = []
  ayame.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame))
  const heard = async (type: string): Promise<Frame | undefined> => {
    await until(type, () => frames.some(frame => frame.type === type))
    return frames.find(frame => frame.type === type)
  }
  const token = await tokenFor(app, room, { peer: 'a', kind: 'pair' })
  await until('the socket', () => ayame.readyState === WebSocket.OPEN)
  ayame.send(JSON.stringify({ type: 'register', roomId: room, signalingKey: token }))
  expect(await heard('accept')).toMatchObject({ isExistClient: true })
  ayame.send(JSON.stringify({ type: 'offer', sdp: 'v=0\r\n' }))
  const { peer, message } = await grpc.next('OFFER')
  expect([peer, JSON.parse(message.toString())]).toEqual(['a', { type: 'offer', sdp: 'v=0\r\n' }])
  grpc.say({ peer: 'a', event: 'ANSWER', message: 'v=0\r\nbare' })
  expect(await heard('answer')).toEqual({ type: 'answer', sdp: 'v=0\r\nbare' })
  grpc.say({ peer: 'a', event: 'ACCEPT_ANSWER' })
  grpc.say({ peer: 'a', event: 'ICE_CANDIDATE', message: 'candidate:1 1 UDP 1 10.0.0.1 1 typ host' })
  expect(await heard('candidate')).toEqual({ type: 'candidate', ice: { candidate: 'candidate:1 1 UDP 1 10.0.0.1 1 typ host', sdpMid: null, sdpMLineIndex: 0 } })
  grpc.call.end()
  await heard('bye')
  expect(grpc.messages.filter(({ event }) => event === 'ERROR')).toEqual([])
})

test('bytes that are no text arrive as they are, up to the longest message, and no further', async () => {
  const room = newRoom()
  const [a, b] = [await connectAs(room, 'a'), await connectAs(room, 'b')]
  const any = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  a.say({ peer: 'b', event: 'ANSWER', message: any })
  expect((await b.next('ANSWER')).message.equals(any)).toBe(true)
  const long = Buffer.alloc(65_536 - 10, 0xFF)
  a.say({ peer: 'b', event: 'ANSWER', message: long })
  expect((await b.next('ANSWER')).message.equals(long)).toBe(true)
  a.say({ peer: 'b', event: 'ANSWER', message: Buffer.alloc(65_537) })
  expect((await a.closed()).status).toBe('RESOURCE_EXHAUSTED')
  expect(await b.next('PEER_LEFT')).toMatchObject({ peer: 'a' })
})

test('what native peers say beside negotiating has no words here, and its sender learns it', async () => {
  const room = newRoom()
  const grpc = await connectAs(room, 'g')
  const native = await joinAs(app, room, 'n')
  native.send({ type: 'signal', cid: 1, to: 'g', data: { hello: 1 } })
  expect(await native.next('error')).toMatchObject({ ref: 1, code: 'dialect-mismatch' })
  grpc.say({ peer: 'n', event: 'OFFER', message: 'no SDP' })
  expect(await grpc.next('ERROR')).toMatchObject({ peer: 'n', error: { code: 'dialect-mismatch' } })
})

test('messages that are wrong are answered, and the stream goes on', async () => {
  const peer = await connectAs(newRoom(), 'w', 'worker')
  const errorAfter = async (say: () => void): Promise<string | undefined> => {
    say()
    return (await peer.next('ERROR')).error?.code
  }
  expect(await errorAfter(() => peer.call.write(Buffer.from('0a7f61', 'hex')))).toBe('frame-invalid')
  expect(await errorAfter(() => peer.call.write(Buffer.from('1063', 'hex')))).toBe('frame-unknown')
  expect(await errorAfter(() => peer.say({ peer: 'x', event: 'WELCOME' }))).toBe('frame-unknown')
  expect(await errorAfter(() => peer.say({ peer: 'x', event: 'OFFER' }))).toBe('not-permitted')
  expect(await errorAfter(() => peer.say({ peer: 'w', event: 'ANSWER' }))).toBe('peer-unavailable')
  peer.say({ event: 'BLANK' })
  peer.say({ event: 'PING', message: 'are you there' })
  expect((await peer.next('PING')).message.toString()).toBe('are you there')
})

test('whoever may not join is told why: a gRPC status, and the code of the error', async () => {
  const room = newRoom()
  const refusedWith = async (options: Parameters<typeof dial>[1]): Promise<object> => await (await dial(app, options)).closed()
  const token = await tokenFor(app, room, { peer: 'a', kind: 'pair' })
  const free = await tokenFor(app, room, { peer: '*', kind: 'pair' })
  expect(await refusedWith({})).toMatchObject({ status: 'UNAUTHENTICATED', code: 'token-missing', retry: 'never' })
  expect(await refusedWith({ token: 'x' })).toMatchObject({ status: 'UNAUTHENTICATED', code: 'token-invalid' })
  expect(await refusedWith({ token, metadata: { 'turnpike-room': 'another' } })).toMatchObject({ status: 'PERMISSION_DENIED', code: 'room-mismatch' })
  expect(await refusedWith({ token, metadata: { 'turnpike-peer': 'b' } })).toMatchObject({ status: 'PERMISSION_DENIED', code: 'peer-mismatch' })
  expect(await refusedWith({ token: free })).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'invalid-request' })
  expect(await (await dial(app, { token })).next('WELCOME')).toMatchObject({ peer: 'a' })
  expect(await refusedWith({ token: await tokenFor(app, room, { peer: 'a', kind: 'pair' }) })).toMatchObject({ status: 'ABORTED', code: 'peer-id-taken', retry: 'backoff' })
  expect(await (await dial(app, { token: free, metadata: { 'turnpike-peer': 'b' } })).next('WELCOME')).toMatchObject({ peer: 'b' })
  expect(await refusedWith({ token: free, metadata: { 'turnpike-peer': 'c' } })).toMatchObject({ status: 'UNAVAILABLE', code: 'room-full' })
})

test('whoever dials again with the same token takes its own place', async () => {
  const token = await tokenFor(app, newRoom(), { peer: 'a' })
  const before = await dial(app, { token })
  await before.next('WELCOME')
  await (await dial(app, { token })).next('WELCOME')
  expect(await before.closed()).toMatchObject({ status: 'ABORTED', code: 'replaced', retry: 'never' })
})

test('a project that does not have the dialect refuses it', async () => {
  const own = await startGrpcApp({}, [])
  const token = await tokenFor(own, 'r', { peer: 'a' })
  expect(await (await dial(own, { token })).closed()).toMatchObject({ status: 'PERMISSION_DENIED', code: 'dialect-off' })
})

test('clients without a token have a room of their own, where their project allows them', async () => {
  const own = await startGrpcApp({}, [])
  await allowDialects(own, { dialects: ['grpc'], anonymousDialects: true })
  const worker = await dial(own, { metadata: { 'turnpike-peer': 'w', 'turnpike-room': 'r' } })
  await worker.next('WELCOME')
  const client = await dial(own, { metadata: { 'turnpike-peer': 'c', 'turnpike-room': 'r', 'turnpike-project': 'default' } })
  client.say({ peer: 'w', event: 'OFFER', message: 'v=0' })
  expect(await worker.next('OFFER')).toMatchObject({ peer: 'c' })
  expect(await (await dial(own, { metadata: { 'turnpike-peer': 'c', 'turnpike-project': 'nobody' } })).closed()).toMatchObject({ status: 'UNAUTHENTICATED', code: 'token-missing' })
  const other = await connectAs('r', 'w', undefined, own)
  expect(other.messages.map(({ event }) => event)).toEqual(['WELCOME'])
})

test('the definition is served to everybody, as text', async () => {
  const { status, headers, body } = await app.request('/v1/signaling.proto', { key: null })
  expect([status, headers.get('content-type'), String(body['text']).includes('service Signaling')]).toEqual([200, 'text/plain; charset=utf-8', true])
})

test.each([
  ['has said all', 'OK', (peer: GrpcPeer) => peer.call.end()],
  ['is cancelled', 'CANCELLED', (peer: GrpcPeer) => peer.call.cancel()],
])('a call that %s is a peer that left', async (_what, ended, end) => {
  const room = newRoom()
  const [a, b] = [await connectAs(room, 'a'), await connectAs(room, 'b')]
  await a.next('PEER_JOINED')
  end(b)
  expect((await b.closed()).status).toBe(ended)
  expect(await a.next('PEER_LEFT')).toMatchObject({ peer: 'b' })
  // Its place is free at once.
  await connectAs(room, 'b')
})

test('a call whose deadline has passed is a peer that left', async () => {
  const room = newRoom()
  const a = await connectAs(room, 'a')
  const b = await dial(app, { token: await tokenFor(app, room, { peer: 'b' }), options: { deadline: new Date(Date.now() + 1500) } })
  await b.next('WELCOME')
  expect((await b.closed()).status).toBe('DEADLINE_EXCEEDED')
  expect(await a.next('PEER_LEFT')).toMatchObject({ peer: 'b' })
})

test('it is off by default, and a port that is taken stops the start', async () => {
  const listening = (): number => process.getActiveResourcesInfo().filter(name => name === 'TCPServerWrap').length
  const before = listening()
  const off = await startApp()
  const withoutGrpc = listening() - before
  await off.stop(2000)
  await until('it has ended', () => listening() === before)
  const on = await startGrpcApp()
  expect(listening() - before).toBe(withoutGrpc + 1)
  const taken = startApp({ TURNPIKE_GRPC_PORT: String(on.grpcPort) })
  await expect(taken).rejects.toMatchObject({ code: 'address-in-use', message: expect.stringContaining('TURNPIKE_GRPC_PORT') as string })
})
