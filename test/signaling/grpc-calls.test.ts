/** What becomes of gRPC calls under trouble: readers that do not read, lines that go dead, certificates that change, servers that end. */
import { credentials } from '@grpc/grpc-js'
import { copyFileSync, readFileSync } from 'node:fs'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'
import { METHOD } from '../../src/grpc/message.ts'
import { whenDone } from '../kit/cleanup.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { dial, startGrpcApp, type GrpcApp, type GrpcPeer } from '../kit/grpc.ts'
import { joinAs, tokenFor } from '../kit/peer.ts'

async function connectAs (app: GrpcApp, room: string, peer: string, options: Parameters<typeof dial>[1] = {}): Promise<GrpcPeer> {
  const joined = await dial(app, { token: await tokenFor(app, room, { peer }), ...options })
  await joined.next('WELCOME')
  return joined
}

/** The value of a series, 0 where there is none. */
async function metric (app: GrpcApp, series: string): Promise<number> {
  const line = (await (await fetch(app.metricsUrl())).text()).split('\n').find(text => text.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? 0)
}

/** A line to the server that can go dead without a word. */
async function line (port: number): Promise<{ port: number, cut (): void }> {
  const sockets: Socket[] = []
  const server = createServer(near => {
    const far = connectTcp(port, '127.0.0.1')
    sockets.push(near, far)
    for (const socket of [near, far]) socket.on('error', () => {})
    near.on('data', bytes => far.write(bytes)).on('close', () => far.destroy())
    far.on('data', bytes => near.write(bytes)).on('close', () => near.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  whenDone(() => {
    server.close()
    sockets.forEach(socket => socket.destroy())
  })
  return { port: (server.address() as { port: number }).port, cut: () => sockets.forEach(socket => socket.removeAllListeners('data').pause()) }
}

test('a client that does not read is let go at a bound, is told so when it reads again, and delays nobody', async () => {
  const app = await startGrpcApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '1000', TURNPIKE_SIGNALING_SIGNALS_BURST: '1000' })
  const slow = await connectAs(app, 'r', 'slow')
  const other = await connectAs(app, 'r', 'other')
  const sender = await joinAs(app, 'r', 'sender')
  await slow.next('PEER_JOINED')
  slow.call.pause()
  const description = { type: 'offer', sdp: 'v=0'.padEnd(60_000, 'x') }
  let sent = 0
  await until('it is let go', async () => {
    sender.send({ type: 'signal', to: 'slow', data: { description } })
    sender.send({ type: 'signal', cid: sent, to: 'other', data: { description: { type: 'offer', sdp: `v=0 ${sent++}` } } })
    expect(await metric(app, 'turnpike_signaling_waiting_bytes')).toBeLessThan(3_000_000)
    return sender.frames.some(({ type, id }) => type === 'peer-left' && id === 'slow')
  }, 20_000)
  expect(await metric(app, 'turnpike_signaling_closes_total{code="4108"}')).toBe(1)
  await until('the other one has everything', () => other.messages.filter(({ event }) => event === 'OFFER').length === sent)
  slow.call.resume()
  expect(await slow.closed()).toMatchObject({ status: 'UNAVAILABLE', code: 'too-slow', retry: 'backoff' })
})

test('one that does not read the end either is cut off, and what it was sent is given up', async () => {
  const app = await startGrpcApp({ TURNPIKE_SIGNALING_OUTBOX_BYTES: '100000' })
  const session = connectHttp2(`http://127.0.0.1:${app.grpcPort}`)
  whenDone(() => session.destroy())
  const slow = session.request({ ':method': 'POST', ':path': METHOD, 'content-type': 'application/grpc', authorization: `Bearer ${await tokenFor(app, 'r', { peer: 'slow' })}` })
  let hasClosed = false
  slow.on('error', () => {}).on('close', () => { hasClosed = true }).pause()
  const sender = await joinAs(app, 'r', 'sender')
  await until('it is there', () => JSON.stringify(sender.frames).includes('"slow"'))
  await until('it is let go', () => {
    sender.send({ type: 'signal', to: 'slow', data: { description: { type: 'offer', sdp: 'v=0'.padEnd(60_000, 'x') } } })
    return sender.frames.some(({ type, id }) => type === 'peer-left' && id === 'slow')
  }, 20_000)
  expect(hasClosed).toBe(false)
  await until('it is cut off', () => hasClosed, 20_000)
  expect(slow.rstCode).toBe(constants.NGHTTP2_CANCEL)
})

test('connections are pinged and their round trip is measured, however many calls share one; a dead line is found', async () => {
  const app = await startGrpcApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1' })
  const { port, cut } = await line(app.grpcPort)
  const witness = await joinAs(app, 'r', 'witness')
  const calls = await Promise.all(Array.from({ length: 30 }, (_, i) => connectAs(app, 'r', `p${i}`, { port })))
  const series = 'turnpike_signaling_round_trip_seconds_count'
  await until('everybody was pinged three times', async () => await metric(app, series) >= 3 * calls.length, 20_000)
  expect(calls.filter(({ ended }) => ended !== null)).toEqual([])
  expect(await metric(app, 'turnpike_signaling_round_trip_seconds_sum')).toBeGreaterThan(0)
  cut()
  const left = (): number => witness.frames.reduce((count, { type, left }) => count + (type === 'peer-left' ? 1 : type === 'presence' ? (left as unknown[]).length : 0), 0)
  await until('all of them are found to be lost', () => left() === calls.length, 20_000)
  expect(await metric(app, 'turnpike_signaling_errors_total{code="heartbeat-lost"}')).toBe(calls.length)
})

test('thirty calls over one connection are thirty peers, pinged together', async () => {
  const app = await startGrpcApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1', TURNPIKE_SIGNALING_ROOM_CAPACITY: '40' })
  const first = await connectAs(app, 'r', 'first')
  const { Client, Metadata } = await import('@grpc/grpc-js')
  const client = new Client(`127.0.0.1:${app.grpcPort}`, credentials.createInsecure())
  whenDone(() => client.close())
  const calls = await Promise.all(Array.from({ length: 30 }, async (_, i) => {
    const metadata = new Metadata()
    metadata.set('authorization', `Bearer ${await tokenFor(app, 'r', { peer: `p${i}` })}`)
    const call = client.makeBidiStreamRequest(METHOD, (bytes: Buffer) => bytes, bytes => bytes, metadata)
    const seen = { hasEnded: false }
    call.on('error', () => {}).on('data', () => {}).on('status', () => { seen.hasEnded = true })
    return seen
  }))
  await until('all are there', () => first.messages.filter(({ event }) => event === 'PEER_JOINED').length === calls.length)
  await until('all were pinged three times', async () => await metric(app, 'turnpike_signaling_round_trip_seconds_count') >= 3 * (calls.length + 1), 20_000)
  expect(calls.filter(({ hasEnded }) => hasEnded)).toEqual([])
  expect(await metric(app, 'turnpike_signaling_errors_total{code="heartbeat-lost"}')).toBe(0)
})

test('a server that ends says so, with what to do', async () => {
  const app = await startGrpcApp()
  const peer = await connectAs(app, 'r', 'a')
  await app.stop(4000)
  await peer.next('DRAINING')
  expect(await peer.closed()).toMatchObject({ status: 'UNAVAILABLE', code: 'draining', retry: 'now' })
})

test('with a certificate it is encrypted; a new one is served without a restart, and one that does not fit is not', async () => {
  const files = selfMadeCertificate(scratchDirectory())
  const first = readFileSync(files.cert)
  const app = await startGrpcApp({ TURNPIKE_TLS_CERT: files.cert, TURNPIKE_TLS_KEY: files.key, TURNPIKE_TLS_CHECK_SECONDS: '1' })
  const served = (): Promise<string> => new Promise((resolve, reject) => {
    const socket = connectTls({ port: app.grpcPort, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
      resolve(socket.getPeerX509Certificate()?.toString() ?? '')
      socket.destroy()
    }).on('error', reject)
  })
  const peer = await connectAs(app, 'r', 'a', { security: credentials.createSsl(first) })
  expect(await served()).toBe(first.toString())
  const renewed = selfMadeCertificate(scratchDirectory())
  copyFileSync(renewed.cert, files.cert)
  // The key is still the old one: two looks go by.
  let looks = 0
  await until('two looks at the files', async () => {
    expect(await served()).toBe(first.toString())
    return ++looks > 100
  })
  copyFileSync(renewed.key, files.key)
  await until('the new one is served', async () => await served() === readFileSync(renewed.cert, 'utf8'))
  await connectAs(app, 'r', 'b', { security: credentials.createSsl(readFileSync(renewed.cert)) })
  expect(await peer.next('PEER_JOINED')).toMatchObject({ peer: 'b' })
})
