/** Clients of libdatachannel's signaling servers and of FogROS2-SGC: the exchange that was recorded, and the real library. */
import { readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { loopbackSettings, startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { run } from '../kit/command.ts'
import { until } from '../kit/files.ts'
import { exampleClient, open, opened, peerConnection, robotClient, sayWhenOpen, told, wsAddress, type Door, type RefusedAt } from '../kit/libdatachannel.ts'
import { connect, joinAs, tokenFor, type Peer } from '../kit/peer.ts'

/** A lost first flight of DTLS is sent again after 1, 2, 4 and 8 s (RFC 6347 §4.2.4). */
const CONNECTED_MS = 30_000

cleanUpAfterFile()

/** An app whose project default answers the dialect. */
async function startSpeaking (settings: Record<string, string> = {}, project: object = {}): Promise<TestApp> {
  const app = await startApp(settings)
  await change(app, 'default', { dialects: ['libdatachannel'], ...project })
  return app
}

async function change (app: TestApp, project: string, settings: object): Promise<void> {
  const { status, body } = await app.request(`/v1/projects/${project}`, { method: 'PATCH', key: app.adminKey, body: JSON.stringify(settings) })
  if (status !== 200) throw new Error(JSON.stringify(body))
}

let app: TestApp
beforeAll(async () => { app = await startSpeaking() })

let rooms = 0
/** A room of its own, whose token lets its holder be any peer; the address that robots append their ids to. */
async function newRoom (of = app, more: object = {}): Promise<{ room: string, token: string, path: string, address: string }> {
  const room = `fleet ${++rooms}`
  const token = await tokenFor(of, room, { peer: '*', ...more })
  return { room, token, path: `/t/${token}`, address: wsAddress(of, `/t/${token}`) }
}

const codeOf = (outcome: Door | RefusedAt): unknown => ('status' in outcome ? [outcome.status, (JSON.parse(outcome.text) as { code: string }).code] : 'open')

test('the recorded exchange of two FogROS2-SGC robots comes out byte for byte', async () => {
  const { path } = await newRoom()
  const lines = readFileSync('test/fixtures/dialects/fogros2-sgc.txt', 'utf8').trim().split('\n')
  const robots = new Map<string, Door>()
  let compared = 0
  for (const line of lines) {
    const [, name = '', what, text = ''] = /^Client (\S+) (<<|>>|connected|disconnected)(?: (.*))?$/.exec(line) ?? []
    const robot = robots.get(name) ?? await opened(app, `${path}/${name}`)
    robots.set(name, robot)
    if (what === '<<') robot.send(text)
    if (what === '>>') {
      expect(await robot.next()).toBe(text)
      compared++
    }
    if (what === 'disconnected') await robot.close()
  }
  expect(compared).toBe(6)
  expect([...robots.values()].map(({ frames }) => frames.map(({ isBinary }) => isBinary))).toEqual([[false, false, false], [false, false, false]])
})

test('two clients of libdatachannel connect as its examples do, by its own WebSocket, without a token', async () => {
  const open = await startSpeaking({}, { anonymousDialects: true })
  const address = wsAddress(open, '/ldc')
  const [alice, bob] = [await exampleClient(address, 'aLcE'), await exampleClient(address, 'b0Bb')]
  alice.call('b0Bb')
  await until('the greetings', () => alice.heard.length > 0 && bob.heard.length > 0, CONNECTED_MS)
  expect(alice.heard).toEqual([{ from: 'b0Bb', text: 'Hello From b0Bb' }])
  expect(bob.heard).toEqual([{ from: 'aLcE', text: 'Hello from aLcE' }])
  expect([...alice.frames, ...bob.frames].map(text => (JSON.parse(text) as { type: string }).type).sort()).toEqual(['answer', 'candidate', 'candidate', 'offer'])
})

test.each([{ binary: false }, { binary: true }])('robots that dial before the other listens need no second of sleep; ids with commas; binary frames: $binary', async framing => {
  const { address } = await newRoom()
  const [topic, publisher, subscriber] = ['17,4,255,0', '9,1,2,3', '200,0,7,77']
  const caller = await robotClient(address, `${topic},${subscriber},${publisher}`, framing)
  caller.call(`${topic},${publisher},${subscriber}`)
  const callee = await robotClient(address, `${topic},${publisher},${subscriber}`, framing)
  await until('the data', () => caller.heard.length > 0 && callee.heard.length > 0, CONNECTED_MS)
  expect(caller.heard).toEqual([{ from: `${topic},${publisher},${subscriber}`, text: `accepted by ${topic},${publisher},${subscriber}` }])
  expect(callee.heard).toEqual([{ from: `${topic},${subscriber},${publisher}`, text: `dialed by ${topic},${subscriber},${publisher}` }])
  expect([caller.panicked, callee.panicked]).toEqual([null, null])
})

/** A native peer with a connection of libdatachannel's, which calls where it is told whom. */
function connectNatively (native: Peer, callee?: string): { heard: string[] } {
  const connection = peerConnection('native')
  const heard: string[] = []
  let other = callee ?? ''
  let read = 0
  const signal = (data: object): void => native.send({ type: 'signal', to: other, data })
  connection.onLocalDescription(told((sdp, type) => signal({ description: { type, sdp } })))
  connection.onLocalCandidate(told((candidate, sdpMid) => signal({ candidate: { candidate: candidate.replace('a=', ''), sdpMid, sdpMLineIndex: 0 } })))
  connection.onDataChannel(told(channel => {
    channel.onMessage(text => heard.push(String(text)))
    sayWhenOpen(channel, 'accepted natively')
  }))
  native.socket.on('message', () => {
    for (const { type, from, data } of native.frames.slice(read)) {
      read++
      if (type !== 'signal') continue
      other = String(from)
      const { description, candidate } = data as { description?: { type: 'offer' | 'answer', sdp: string }, candidate?: { candidate: string, sdpMid: string } }
      if (description !== undefined) connection.setRemoteDescription(description.sdp, description.type)
      if (candidate !== undefined) connection.addRemoteCandidate(candidate.candidate, candidate.sdpMid)
    }
  })
  if (callee !== undefined) {
    const channel = connection.createDataChannel('native')
    channel.onOpen(told(() => { channel.sendMessage('called natively') }))
    channel.onMessage(text => heard.push(String(text)))
  }
  return { heard }
}

test.each(['example', 'robot'] as const)('a client (%s) calls a native peer', async kind => {
  const { room, address } = await newRoom()
  const native = await joinAs(app, room, 'browser')
  const { heard } = connectNatively(native)
  const client = kind === 'example' ? await exampleClient(address, 'r1') : await robotClient(address, 'r1')
  client.call('browser')
  await until('the data', () => heard.length > 0 && client.heard.length > 0, CONNECTED_MS)
  expect(client.heard).toEqual([{ from: 'browser', text: 'accepted natively' }])
  expect(heard).toEqual([kind === 'example' ? 'Hello from r1' : 'dialed by r1'])
  expect(native.frames.filter(({ type }) => type === 'signal').map(({ data }) => Object.keys(data as object))).toEqual([['description'], ['candidate']])
})

test.each(['example', 'robot'] as const)('a native peer calls a client (%s) that has said nothing yet', async kind => {
  const { room, address } = await newRoom()
  const native = await joinAs(app, room, 'browser')
  const client = kind === 'example' ? await exampleClient(address, 'r1') : await robotClient(address, 'r1')
  const { heard } = connectNatively(native, 'r1')
  await until('the data', () => heard.length > 0 && client.heard.length > 0, CONNECTED_MS)
  expect(client.heard).toEqual([{ from: 'browser', text: 'called natively' }])
  expect(heard).toEqual([kind === 'example' ? 'Hello From r1' : 'accepted by r1'])
  if ('panicked' in client) expect(client.panicked).toBeNull()
})

test('what has no words in the dialect comes back to the native peer that said it', async () => {
  const { room, path } = await newRoom()
  const [native, robot] = [await joinAs(app, room, 'browser'), await opened(app, `${path}/r1`)]
  native.send({ type: 'signal', cid: 1, to: 'r1', data: { chat: 'hello' } })
  expect(await native.next('error')).toMatchObject({ ref: 1, code: 'dialect-mismatch' })
  native.send({ type: 'signal', cid: 2, to: 'r1', data: { candidate: null } })
  expect(await native.next('accepted')).toMatchObject({ ref: 2 })
  // And the other way: it is not told, because there is nothing to tell it with.
  robot.send({ id: 'browser', type: 'request' })
  robot.send({ id: 'browser', type: 'offer', sdp: 'v=0' })
  expect(await native.next('signal')).toMatchObject({ from: 'r1', data: { description: { type: 'offer', sdp: 'v=0' } } })
  expect(native.frames.filter(({ type }) => type === 'signal')).toHaveLength(1)
  expect(robot.frames).toEqual([])
})

test('nothing unsolicited: neither what happens nor what goes wrong is told, in three heartbeats and at the end', async () => {
  const quick = await startSpeaking({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1' })
  const { room, path } = await newRoom(quick)
  const robot = await opened(quick, `${path}/r1`)
  const native = await joinAs(quick, room, 'browser')
  native.send({ type: 'update', metadata: { a: 1 } })
  robot.send({ id: 'nobody', payload: {} })
  robot.send({ id: 'r1', payload: {} })
  robot.send({ id: '*', payload: {} })
  robot.send({ payload: {} })
  await native.close()
  await until('three heartbeats', () => robot.pings >= 3)
  expect(robot.closed).toBeNull()
  await quick.stop(2000)
  await until('the close', () => robot.closed !== null)
  expect([1001, 4200]).toContain(robot.closed?.code)
  expect(robot.frames).toEqual([])
})

test('a frame that is no JSON object ends its own socket, and nobody else\'s', async () => {
  const { path } = await newRoom()
  const [r1, r2] = [await opened(app, `${path}/r1`), await opened(app, `${path}/r2`)]
  r1.send('hello')
  await until('the close', () => r1.closed !== null)
  expect(r1.closed?.code).toBe(4008)
  // Whatever the socket does not check by itself: it would go on as other bytes.
  const garbled = await opened(app, `${path}/r4`)
  garbled.socket.send(Buffer.concat([Buffer.from('{"id":"r2","x":"'), Buffer.from([0xFF]), Buffer.from('"}')]), { binary: true })
  await until('the close', () => garbled.closed !== null)
  expect(garbled.closed?.code).toBe(4008)
  const large = await opened(app, `${path}/r3`)
  large.send({ id: 'r2', payload: 'x'.repeat(70_000) })
  await until('the close', () => large.closed !== null)
  expect(large.closed?.code).toBe(1009)
  await r2.settled()
  expect([r1.frames, r2.frames, large.frames, r2.closed]).toEqual([[], [], [], null])
})

test('ids are taken as they stand in the path', async () => {
  const { path } = await newRoom()
  const ids = ['1,2,3,4', '1%2C2%2C3%2C4', '%c3%a4', 'a%20b', 'a+b;c=d', '~!$&\'()=:@']
  const doors = await Promise.all(ids.map(async id => await opened(app, `${path}/${id}`)))
  const sender = await opened(app, `${path}/sender`)
  for (const id of ids) sender.send({ id, payload: id })
  for (const [i, door] of doors.entries()) expect(await door.next()).toBe(`{"id":"sender","payload":"${ids[i]}"}`)
  for (const [i, door] of doors.entries()) {
    door.send({ id: 'sender', payload: i })
    expect(await sender.next()).toBe(JSON.stringify({ id: ids[i], payload: i }))
  }
  expect(doors.map(({ frames }) => frames.length)).toEqual(ids.map(() => 1))
})

test('who may come in, and as whom', async () => {
  const { token, room } = await newRoom()
  expect(codeOf(await open(app, '/ldc/r1'))).toEqual([401, 'token-missing'])
  expect(codeOf(await open(app, '/t/x.y.z/r1'))).toEqual([401, 'token-invalid'])
  expect(codeOf(await open(app, `/ldc/r1?token=${token}`))).toBe('open')
  expect(codeOf(await open(app, `/t/${await tokenFor(app, room, { peer: 'alice' })}/alice`))).toBe('open')
  expect(codeOf(await open(app, `/t/${await tokenFor(app, room, { peer: 'alice' })}/bob`))).toEqual([403, 'peer-mismatch'])
  expect(codeOf(await open(app, `/ldc/r1?token=${token}&room=other`))).toEqual([403, 'room-mismatch'])
  expect(codeOf(await open(app, `/t/${token}/*`))).toEqual([400, 'invalid-request'])
  expect(codeOf(await open(app, `/t/${token}/${'x'.repeat(129)}`))).toEqual([400, 'invalid-request'])
  for (const path of [`/t/${token}`, `/t/${token}/`, `/t//${token}`, `/t/${token}/a/b`, '/t/', '/ldc/', '/ldc//r1', '/ldc/a/b/c']) expect(codeOf(await open(app, path)), path).toEqual([404, 'not-found'])
  expect((await app.request('/ldc/r1')).body).toMatchObject({ status: 426, code: 'upgrade-required' })
  const silent = await startApp()
  expect(codeOf(await open(silent, `/t/${await tokenFor(silent, 'r', { peer: '*' })}/r1`))).toEqual([403, 'dialect-off'])
})

test('clients without a token meet those of their project alone', async () => {
  const open = await startSpeaking({}, { anonymousDialects: true })
  await open.request('/v1/projects', { method: 'POST', key: open.adminKey, body: JSON.stringify({ id: 'shop', dialects: ['libdatachannel'], anonymousDialects: true }) })
  const { path } = await newRoom(open)
  const doors = await Promise.all(['/ldc/r2', '/ldc/shop/r2', `${path}/r2`].map(async path => await opened(open, path)))
  const sender = await opened(open, '/ldc/shop/sender')
  const asked = await opened(open, '/ldc/asked?project=shop')
  sender.send({ id: 'r2', payload: 1 })
  asked.send({ id: 'r2', payload: 2 })
  expect([await doors[1]?.next(), await doors[1]?.next()]).toEqual(['{"id":"sender","payload":1}', '{"id":"asked","payload":2}'])
  await Promise.all(doors.map(async door => await door.settled()))
  expect(doors.map(({ frames }) => frames.length)).toEqual([0, 2, 0])
})

test('a robot that comes back takes its id over from its own half-open socket; with another token it cannot', async () => {
  const { room, token, path } = await newRoom()
  const [before, other] = [await opened(app, `${path}/r1`), await opened(app, `${path}/other`)]
  // As after another network: no close, and nothing is read any more.
  before.socket.pause()
  const after = await opened(app, `${path}/r1`)
  other.send({ id: 'r1', payload: 1 })
  expect(await after.next()).toBe('{"id":"other","payload":1}')
  after.send({ id: 'other', payload: 2 })
  expect(await other.next()).toBe('{"id":"r1","payload":2}')
  before.socket.resume()
  await until('the older one is closed', () => before.closed !== null)
  expect(before.closed?.code).toBe(4001)
  // Its end takes nothing from the newer one.
  other.send({ id: 'r1', payload: 3 })
  expect(await after.next()).toBe('{"id":"other","payload":3}')
  expect([before.frames, after.closed]).toEqual([[], null])
  const stranger = await tokenFor(app, room, { peer: '*' })
  expect(codeOf(await open(app, `/t/${stranger}/r1`))).toEqual([409, 'peer-id-taken'])
  expect(codeOf(await open(app, `/t/${await tokenFor(app, room, { peer: 'r1', takeover: true })}/r1`))).toBe('open')
  // Nor does the dialect open what belongs to a native peer.
  await connect(app, { token, query: '?peer=n1' })
  expect(codeOf(await open(app, `${path}/n1`))).toEqual([409, 'peer-id-taken'])
})

test('clients without a token take the place of each other, as with the servers they know', async () => {
  const free = await startSpeaking({}, { anonymousDialects: true })
  const before = await opened(free, '/ldc/r1')
  const after = await opened(free, '/ldc/r1')
  await until('the older one is closed', () => before.closed !== null)
  expect([before.closed?.code, after.closed]).toEqual([4001, null])
})

test('a token in the path is neither logged nor answered, whatever is wrong with the address', async () => {
  const keys = { TURNPIKE_API_KEY: 'api-key-of-24-characters-or-more', TURNPIKE_ADMIN_KEY: 'admin-key-of-24-characters-or-more' }
  const started = run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], { ...await loopbackSettings(), ...keys, TURNPIKE_LOG_LEVEL: 'debug' })
  await started.until('the relay is proved', 60_000)
  const url = /Server listening at (http:[^"]+)/.exec(started.all())?.[1] ?? ''
  const asking = (key: string, method: string, body: object): RequestInit => ({ method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })
  await fetch(`${url}/v1/projects/default`, asking(keys.TURNPIKE_ADMIN_KEY, 'PATCH', { dialects: ['libdatachannel'] }))
  const { token } = await (await fetch(`${url}/v1/rooms/fleet/tokens`, asking(keys.TURNPIKE_API_KEY, 'POST', { peer: '*' }))).json() as { token: string }
  const place = { url: () => url }
  const outcomes: (Door | RefusedAt)[] = []
  for (const path of ['/r1', '', '/', '/*', '/a/b', '/%zz', '/r1?token=x&peer=y', 'x/r1']) outcomes.push(await open(place, `/t/${token}${path}`))
  outcomes.push(await open(place, `/ldc/r2?token=${token}`), await open(place, `/T/${token}/r1`))
  const answers = await Promise.all(['GET', 'POST', 'HEAD', 'OPTIONS', 'DELETE'].map(async method => await (await fetch(`${url}/t/${token}/r1`, { method })).text()))
  const [r1] = outcomes
  if (r1 === undefined || 'status' in r1) throw new Error('r1 is to be in')
  r1.send('hello')
  await until('the close', () => r1.closed !== null)
  await started.until('"route":"/t/*"')
  const refused = outcomes.map(outcome => ('status' in outcome ? outcome.text : ''))
  expect(refused.filter(text => text !== '')).toHaveLength(7)
  for (const text of [...refused, ...answers, started.all()]) for (const part of [token.slice(60, 80), token.slice(-20)]) expect(text).not.toContain(part)
})

test('requests are counted by the pattern of their address, and each close once', async () => {
  const counted = await startSpeaking()
  const { path } = await newRoom(counted)
  const [r1, r2] = [await opened(counted, `${path}/r1`), await opened(counted, `${path}/r2`)]
  await open(counted, `${path}/a/b`)
  r1.socket.close(1000)
  r2.socket.send(Buffer.from([0xFF]), { binary: false })
  await until('the closes', () => r1.closed !== null && r2.closed !== null)
  const metrics = async (): Promise<string> => await (await fetch(counted.metricsUrl())).text()
  await until('they are gone', async () => (await metrics()).includes('turnpike_signaling_sockets{project="default"} 0'))
  expect((await metrics()).split('\n').filter(line => line.startsWith('turnpike_signaling_closes_total'))).toEqual(['turnpike_signaling_closes_total{code="1000"} 1', 'turnpike_signaling_closes_total{code="1007"} 1'])
  expect(await metrics()).toContain('turnpike_http_requests_total{method="GET",route="/t/*",status="404"} 1')
  expect(await metrics()).not.toContain(path.slice(-20))
})
