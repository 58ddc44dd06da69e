/** The Ayame protocol frame by frame, as its own server speaks it. */
import Fastify from 'fastify'
import { beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import type { App } from '../../src/http/app-type.ts'
import { serveAyame } from '../../src/http/dialects/ayame.ts'
import { acceptWebSockets } from '../../src/http/websocket.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { allowDialects } from '../kit/dialects.ts'
import { until } from '../kit/files.ts'
import { joinAs, tokenFor, type Frame } from '../kit/peer.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => {
  app = await startApp()
  await allowDialects(app, { dialects: ['ayame'] })
  await until('the relay', () => app.relayHealth().ready, 20_000)
})

type Client = { socket: WebSocket, frames: Frame[], texts: string[], closed: number | null, answersPings: boolean, say (frame: object | string): void, next (type: string): Promise<Frame> }
let rooms = 0
const newRoom = (): string => `ayame-${++rooms}`

async function open (path = '/ayame', at: TestApp = app): Promise<Client> {
  const socket = new WebSocket(at.url().replace('http', 'ws').replace('localhost', '127.0.0.1') + path)
  whenDone(() => socket.terminate())
  let read = 0
  const client: Client = {
    ...{ socket, frames: [], texts: [], closed: null, answersPings: true },
    say: frame => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    next: async type => {
      let found = -1
      await until(`a frame ${type}, after ${client.texts.join()}`, () => (found = client.frames.findIndex((frame, i) => i >= read && frame.type === type)) !== -1)
      read = found + 1
      return client.frames[found] as Frame
    },
  }
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Frame
    if (frame.type === 'ping' && client.answersPings) socket.send('{"type":"pong"}')
    client.texts.push(data.toString())
    client.frames.push(frame)
  })
  socket.on('close', code => { client.closed = code })
  socket.on('error', () => {})
  await until('the socket is open', () => socket.readyState !== WebSocket.CONNECTING)
  return client
}

async function accepted (fields: object, path?: string, at: TestApp = app): Promise<Client & { accept: Frame }> {
  const client = await open(path, at)
  client.say({ type: 'register', ...fields })
  return Object.assign(client, { accept: await client.next('accept') })
}
const pairToken = (room: string, peer: string, at: TestApp = app): Promise<string> => tokenFor(at, room, { peer, kind: 'pair' })

test('two register, the second is told that somebody is there, and what they say arrives as the very text', async () => {
  const room = newRoom()
  const first = await accepted({ roomId: room, clientId: 'anything', signalingKey: await pairToken(room, 'a') })
  expect(first.accept).toMatchObject({ isExistClient: false, isExistUser: false, connectionId: expect.stringMatching(/^s_/) as string })
  expect(first.accept['iceServers']).toMatchObject([{ urls: [expect.stringMatching(/^stun:/)] }, { urls: expect.arrayContaining([expect.stringMatching(/^turn:/)]) as string[], username: expect.any(String) as string, credential: expect.any(String) as string }])
  // The name of the key before, at the address of its own server.
  const second = await accepted({ roomId: room, clientId: 'b', key: await pairToken(room, 'b') }, '/signaling')
  expect(second.accept).toMatchObject({ isExistClient: true, isExistUser: true })
  const offer = '{ "type":"offer", "sdp":"v=0\\r\\n", "more": 1.0 }'
  second.say(offer)
  await first.next('offer')
  expect(first.texts).toContain(offer)
  first.say({ type: 'answer', sdp: 'v=0' })
  first.say({ type: 'candidate', ice: { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 } })
  expect(await second.next('answer')).toEqual({ type: 'answer', sdp: 'v=0' })
  expect(await second.next('candidate')).toEqual({ type: 'candidate', ice: { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 } })
})

test('who is left hears bye and is closed with 1000, as at its own server, and the room is free', async () => {
  const room = newRoom()
  const [a, b] = [await accepted({ roomId: room, key: await pairToken(room, 'a') }), await accepted({ roomId: room, key: await pairToken(room, 'b') })]
  b.socket.terminate()
  await a.next('bye')
  await until('the close', () => a.closed !== null)
  expect(a.closed).toBe(1000)
  expect((await accepted({ roomId: room, key: await pairToken(room, 'a') })).accept).toMatchObject({ isExistClient: false })
})

test('a client that needs nobody once it is connected says so and is closed', async () => {
  const room = newRoom()
  const client = await accepted({ roomId: room, key: await pairToken(room, 'a'), standalone: true })
  client.say({ type: 'connected' })
  await until('the close', () => client.closed !== null)
  expect(client.closed).toBe(1000)
})

test('whoever may not come in is rejected with the reason, and closed with 1000', async () => {
  const room = newRoom()
  const reason = async (frame: object | string): Promise<unknown> => {
    const client = await open()
    client.say(frame)
    const { reason } = await client.next('reject')
    await until('the close', () => client.closed !== null)
    expect(client.closed).toBe(1000)
    return reason
  }
  const token = await pairToken(room, 'a')
  const registered = { type: 'register', roomId: room, clientId: 'x' }
  expect(await reason(registered)).toBe('token-missing')
  expect(await reason({ ...registered, key: 'x' })).toBe('token-invalid')
  expect(await reason({ ...registered, key: token, roomId: 'another' })).toBe('room-mismatch')
  for (const frame of ['{', 'null', '[]', '"x"', { type: 'offer' }, { type: 'register' }, { type: 'register', roomId: 5 }, { ...registered, type: 'Register' }]) expect(await reason(frame)).toBe('invalid-request')
  await accepted({ ...registered, key: token })
  expect(await reason({ ...registered, key: await pairToken(room, 'a') })).toBe('peer-id-taken')
  await accepted({ ...registered, key: await pairToken(room, 'b') })
  expect(await reason({ ...registered, key: await pairToken(room, 'c') })).toBe('full')
})

test('a project that does not have the dialect refuses it; one that takes clients without a token has rooms of two for them', async () => {
  const own = await startApp()
  const answer = async (path: string, fields: object): Promise<Frame> => {
    const client = await open(path, own)
    client.say({ type: 'register', ...fields })
    await until('an answer', () => client.frames.length > 0)
    return client.frames[0] as Frame
  }
  expect(await answer('/ayame', { roomId: 'r', signalingKey: await tokenFor(own, 'r', { peer: 'a' }) })).toEqual({ type: 'reject', reason: 'dialect-off' })
  await allowDialects(own, { dialects: ['ayame'], anonymousDialects: true })
  expect(await answer('/ayame', { roomId: 'r' })).toMatchObject({ type: 'accept', isExistClient: false })
  expect(await answer('/ayame?project=default', { roomId: 'r', clientId: 'b', signalingKey: '' })).toMatchObject({ type: 'accept', isExistClient: true })
  expect(await answer('/ayame', { roomId: 'r', clientId: 'c' })).toEqual({ type: 'reject', reason: 'full' })
  expect(await answer('/ayame?project=nobody', { roomId: 'r' })).toEqual({ type: 'reject', reason: 'token-missing' })
  // The room of a token with the same name is another one.
  expect(await answer('/ayame', { roomId: 'r', key: await tokenFor(own, 'r', { peer: 'd', kind: 'pair' }) })).toMatchObject({ type: 'accept', isExistClient: false })
})

test('pings are frames; whoever answers them stays, and is measured; whoever does not is lost', async () => {
  const own = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1' })
  await allowDialects(own, { dialects: ['ayame'] })
  const metric = async (series: string): Promise<number> => Number((await (await fetch(own.metricsUrl())).text()).split('\n').find(line => line.startsWith(`${series} `))?.split(' ')[1] ?? 0)
  const [a, b] = [await accepted({ roomId: 'r', key: await pairToken('r', 'a', own) }, '/ayame', own), await accepted({ roomId: 'r', key: await pairToken('r', 'b', own) }, '/ayame', own)]
  await until('it has answered twice', () => a.frames.filter(({ type }) => type === 'ping').length > 1)
  b.answersPings = false
  await a.next('bye')
  expect(await metric('turnpike_signaling_round_trip_seconds_count')).toBeGreaterThan(0)
  await until('the other one is closed', () => b.closed !== null)
  expect(await metric('turnpike_signaling_errors_total{code="heartbeat-lost"}')).toBe(1)
})

test('whoever comes again with the same token takes its own place', async () => {
  const room = newRoom()
  const key = await pairToken(room, 'a')
  const [first, other] = [await accepted({ roomId: room, key }), await accepted({ roomId: room, key: await pairToken(room, 'b') })]
  const again = await accepted({ roomId: room, key })
  expect([again.accept, await until('the first is closed', () => first.closed !== null)]).toMatchObject([{ isExistClient: true }, undefined])
  expect(first.closed).toBe(4001)
  await other.next('bye')
})

test('what has no meaning is not carried and ends nothing; what is no JSON object ends the socket', async () => {
  const room = newRoom()
  const [a, b] = [await accepted({ roomId: room, key: await pairToken(room, 'a') }), await accepted({ roomId: room, key: await pairToken(room, 'b') })]
  for (const frame of ['{"type":"register","roomId":"x"}', '{"type":"pong"}', '{"type":7}', '{}']) a.say(frame)
  a.say({ type: 'answer', sdp: 'last' })
  expect(await b.next('answer')).toMatchObject({ sdp: 'last' })
  expect(b.frames.filter(({ type }) => type !== 'ping').map(({ type }) => type)).toEqual(['accept', 'answer'])
  a.say('[]')
  await until('the close', () => a.closed !== null)
  expect(a.closed).toBe(4008)
})

test('whoever does not register is let go, and no more than a hundred of one address are waited for', async () => {
  const own = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '4' })
  await allowDialects(own, { dialects: ['ayame'] })
  const waiting = await Promise.all(Array.from({ length: 100 }, () => open('/ayame', own)))
  const more = new WebSocket(`${own.url().replace('http', 'ws').replace('localhost', '127.0.0.1')}/ayame`)
  const refused = new Promise(resolve => more.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode)))
  more.on('error', () => {})
  expect(await refused).toBe(429)
  await until('they are let go', () => waiting.every(({ closed }) => closed !== null))
  await accepted({ roomId: 'r', key: await pairToken('r', 'a', own) }, '/ayame', own)
})

test('a native peer and an Ayame client say the same in their own words', async () => {
  const room = newRoom()
  const native = await joinAs(app, room, 'n', { kind: 'pair' })
  const ayame = await accepted({ roomId: room, key: await pairToken(room, 'a') })
  expect(ayame.accept).toMatchObject({ isExistClient: true })
  const ice = { candidate: 'candidate:1 1 UDP 1 10.0.0.1 1 typ host', sdpMid: '0', sdpMLineIndex: 0 }
  ayame.say({ type: 'offer', sdp: 'v=0\r\n' })
  ayame.say({ type: 'candidate', ice })
  expect(await native.next('signal')).toMatchObject({ from: 'a', data: { description: { type: 'offer', sdp: 'v=0\r\n' } } })
  expect(await native.next('signal')).toMatchObject({ from: 'a', data: { candidate: ice } })
  native.send({ type: 'signal', to: 'a', data: { candidate: null } })
  native.send({ type: 'signal', cid: 1, to: 'a', data: { hello: 1 } })
  native.send({ type: 'signal', to: '*', data: { description: { type: 'answer', sdp: 'v=0' } } })
  expect(await ayame.next('answer')).toEqual({ type: 'answer', sdp: 'v=0' })
  expect(await native.next('error')).toMatchObject({ ref: 1, code: 'dialect-mismatch' })
  native.send({ type: 'leave' })
  await ayame.next('bye')
})

test('what nobody expected while a client registers is told in the words of its server, and thrown at nobody', async () => {
  const faulty = Fastify() as unknown as App
  whenDone(() => faulty.close())
  await acceptWebSockets(faulty, 65_536)
  const access = { checkRoomToken: () => { throw new Error('a fault of ours') }, projects: app } as never
  serveAyame(faulty, { access, allowedOrigins: ['*'], anonymousCapacity: 2, heartbeatSeconds: 10, signaling: {} as never })
  const url = await faulty.listen({ host: '127.0.0.1', port: 0 })
  const client = await open('/ayame', { ...app, url: () => url })
  client.say({ type: 'register', roomId: 'r', key: 'x' })
  expect(await client.next('reject')).toEqual({ type: 'reject', reason: 'InternalServerError' })
})

test('the health check of its server is answered, and its addresses speak WebSocket only', async () => {
  expect(await app.request('/.ok', { key: null })).toMatchObject({ status: 200, body: { text: '' } })
  expect((await app.request('/ayame', { key: null })).body['code']).toBe('upgrade-required')
})
