/** The SDK in Node.js against the real server: how it is handed out, why it is refused, and that nothing is lost on the way. */
import { setTimeout as wait } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { join, type Room } from '../../src/client/client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { tokenFor } from '../kit/peer.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp() })

const urlOf = (of: TestApp): string => `${of.url().replace('http', 'ws')}/v1/signal`

async function enter (room: string, peer: string, of: TestApp = app): Promise<Room> {
  const joined = await join({ url: urlOf(of), getToken: async () => await tokenFor(of, room, { peer }), reconnect: { minMs: 20, maxMs: 100 }, framesPerSecond: 1000 })
  whenDone(() => joined.leave())
  return joined
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
