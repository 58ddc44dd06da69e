/** The SDK in Node.js against the real server: how it is handed out, why it is refused, and that nothing is lost on the way. */
import { setTimeout as wait } from 'node:timers/promises'
import { beforeAll, expect, test, vi } from 'vitest'
import { join, type Room } from '../../src/client/client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { Cable } from '../kit/cable.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { tokenFor } from '../kit/peer.ts'
import { Server } from '../kit/server.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp() })

const urlOf = (of: TestApp): string => `${of.url().replace('http', 'ws')}/v1/signal`

const enter = async (room: string, peer: string, of: TestApp = app): Promise<Room> => await enterAt(urlOf(of), async () => await tokenFor(of, room, { peer }))

async function enterAt (url: string, getToken: () => Promise<string>): Promise<Room> {
  const joined = await join({ url, getToken, reconnect: { minMs: 20, maxMs: 100 }, framesPerSecond: 1000 })
  whenDone(() => joined.leave())
  return joined
}

/** What happens in a room, as text. */
function listen (room: Room): string[] {
  const told: string[] = []
  for (const type of ['state', 'signal', 'session-lost', 'undelivered', 'error', 'closed'] as const) room.on(type, detail => told.push(`${type} ${JSON.stringify(detail)}`))
  return told
}

/** What the server says on every socket that is opened from now on. */
function overhear (): string[] {
  const said: string[] = []
  vi.stubGlobal('WebSocket', class extends WebSocket {
    constructor (url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      this.addEventListener('message', ({ data }) => said.push(String(data)))
    }
  })
  whenDone(() => vi.unstubAllGlobals())
  return said
}

test('the SDK is served to pages of every site, and not again while it is the same', async () => {
  const script = 'text/javascript; charset=utf-8'
  for (const [file, type] of [['turnpike.js', script], ['turnpike.umd.js', script], ['turnpike.d.ts', 'text/plain; charset=utf-8']] as const) {
    const answer = await fetch(`${app.url()}/sdk/${file}`, { headers: { origin: 'https://app.example' } })
    expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('content-type')]).toEqual([200, '*', type])
    expect(answer.headers.get('content-encoding')).toBe('gzip')
    expect((await fetch(`${app.url()}/sdk/${file}`, { headers: { 'accept-encoding': 'identity' } })).headers.get('content-encoding')).toBeNull()
    const etag = answer.headers.get('etag') ?? ''
    expect((await answer.text()).length).toBeGreaterThan(5000)
    expect((await fetch(`${app.url()}/sdk/${file}`, { headers: { 'if-none-match': etag } })).status).toBe(304)
  }
  expect((await app.request('/sdk/package.json')).body['code']).toBe('not-found')
})

test('a client that is refused learns why, which a browser would not tell it', async () => {
  const url = urlOf(app)
  await expect(join({ url, token: 'nonsense' })).rejects.toMatchObject({ code: 'token-invalid', retry: 'never' })
  await expect(join({ url })).rejects.toMatchObject({ code: 'token-missing', retry: 'never' })
  await enter('taken', 'ada')
  await expect(enter('taken', 'ada')).rejects.toMatchObject({ code: 'peer-id-taken', retry: 'never' })
  const asked = await app.request(`/v1/signal?token=${await tokenFor(app, 'taken', { peer: 'ada' })}`, { key: null })
  expect([asked.status, asked.body['code'], asked.headers.get('access-control-allow-origin')]).toEqual([409, 'peer-id-taken', '*'])
  expect((await app.request(`/v1/signal?token=${await tokenFor(app, 'taken', { peer: 'bob' })}`, { key: null })).body['code']).toBe('upgrade-required')
  expect((await app.request('/v1/signal?resume=s_1.x', { key: null })).body['code']).toBe('session-unknown')
})

test('a thousand signals over a server that restarts in good order: each arrives once, in its order, in the same session', async () => {
  const first = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '1000', TURNPIKE_SIGNALING_SIGNALS_BURST: '4000' })
  const [ada, bob] = [await enter('restart', 'ada', first), await enter('restart', 'bob', first)]
  const sessions = [ada.session, bob.session]
  const heard: unknown[] = []
  const told: string[] = []
  bob.on('signal', ({ data }) => heard.push(data))
  for (const room of [ada, bob]) for (const type of ['draining', 'session-lost', 'peer-left', 'peer-joined', 'closed'] as const) room.on(type, () => told.push(type))
  const sent: Promise<void>[] = []
  const port = new URL(first.url()).port
  let restarted: Promise<TestApp> | null = null
  for (let i = 0; i < 1000; i++) {
    sent.push(ada.send('bob', i))
    if (i === 300) restarted = first.stop(4000).then(async () => await startApp({ ...first.env, TURNPIKE_HTTP_PORT: port }))
    if (i % 20 === 0) await wait(1)
  }
  await restarted
  await Promise.all(sent)
  await until('all', () => heard.length >= 1000, 30_000)
  expect(heard).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  expect([ada.session, bob.session]).toEqual(sessions)
  expect(told).toEqual(['peer-joined', 'draining', 'draining'])
})

test('a server that is killed: both join anew by themselves, are told what may be lost, say again what was not accepted, and hear nothing twice', async () => {
  const said = overhear()
  const server = await Server.start({ TURNPIKE_SIGNALING_MAILBOX_SECONDS: '30' })
  const cable = await Cable.to(server.port)
  const ada = await enterAt(server.signalUrl, async () => await server.token('killed', { peer: 'ada' }))
  const bob = await enterAt(`ws://127.0.0.1:${cable.port}/v1/signal`, async () => await server.token('killed', { peer: 'bob' }))
  const sessions = [ada.session, bob.session]
  const [toAda, toBob] = [listen(ada), listen(bob)]
  await ada.send('bob', 'arrives')
  await until('the word that it did', () => said.some(text => text.includes('"delivered"') && text.includes('"cid":1')))
  // What is on Bob's way from now on vanishes, and neither end knows.
  cable.stall('both')
  await ada.send('bob', 'accepted, and vanishes')
  const sent = [bob.send('ada', 'vanishes on the way to the server')]
  server.freeze()
  sent.push(ada.send('bob', 'written, and not accepted'))
  await server.end('SIGKILL')
  cable.cut('rst')
  await until('both have noticed', () => ada.state === 'reconnecting' && bob.state === 'reconnecting')
  sent.push(ada.send('bob', 'said while there is no server'))
  await server.startAgain()
  await Promise.all(sent)
  await until('the rest', () => toBob.at(-1) === 'signal {"from":"ada","data":"said while there is no server"}' && toAda.at(-1)?.startsWith('signal') === true)
  expect(toAda).toEqual([
    'state "reconnecting"',
    'state "joined"',
    'session-lost {"undelivered":[{"cid":2,"to":"bob","data":"accepted, and vanishes"}]}',
    'signal {"from":"bob","data":"vanishes on the way to the server"}',
  ])
  expect(toBob).toEqual([
    'signal {"from":"ada","data":"arrives"}',
    'state "reconnecting"',
    'state "joined"',
    'session-lost {"undelivered":[]}',
    'signal {"from":"ada","data":"written, and not accepted"}',
    'signal {"from":"ada","data":"said while there is no server"}',
  ])
  expect([ada, bob].map(({ session }) => sessions.includes(session))).toEqual([false, false])
  expect([[...ada.peers.keys()], [...bob.peers.keys()]]).toEqual([['bob'], ['ada']])
})
