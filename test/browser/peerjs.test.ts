/** The npm package peerjs 1.5.5 as it is, in a real Chromium, against the real server: what its users do, and what they have waited for in vain. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { tokenFor } from '../kit/peer.ts'
import { allowPeerjs } from '../kit/peerjs.ts'
import { issue } from '../kit/turn.ts'

cleanUpAfterFile()
/** Runs in the page: a peer whose events can be read, and which answers what it is asked. */
const PAGE = `<!doctype html><script src="/peerjs.min.js"></script><script>
  const events = []
  const received = []
  const keep = connection => {
    connection.on('data', data => { received.push(data); if (typeof data === 'string' && !data.startsWith('echo ')) connection.send('echo ' + data) })
    connection.on('open', () => events.push('connection open'))
    return connection
  }
  function start (id, options) {
    window.peer = id === null ? new Peer(options) : new Peer(id, options)
    peer.on('open', id => events.push('open ' + id))
    peer.on('error', error => events.push('error ' + error.type + ': ' + error.message))
    peer.on('disconnected', () => events.push('disconnected'))
    peer.on('connection', keep)
    peer.on('call', async call => {
      call.on('stream', show)
      call.answer(await navigator.mediaDevices.getUserMedia({ video: true, audio: true }))
    })
  }
  function show (stream) {
    window.video = Object.assign(document.createElement('video'), { srcObject: stream, muted: true })
    video.play()
  }
  const dial = id => { window.connection = keep(peer.connect(id)) }
  const call = async id => { peer.call(id, await navigator.mediaDevices.getUserMedia({ video: true, audio: true })).on('stream', show) }
</script>`

let app: TestApp
let browser: Browser
let origin = ''
let port = 0
beforeAll(async () => {
  app = await startApp({ TURNPIKE_SIGNALING_HEARTBEAT_SECONDS: '1' })
  await allowPeerjs(app)
  browser = await launchBrowser()
  const library = readFileSync('node_modules/peerjs/dist/peerjs.min.js')
  const server = createServer(({ url }, response) => { response.setHeader('content-type', url === '/' ? 'text/html' : 'text/javascript').end(url === '/' ? PAGE : library) })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
  whenDone(() => server.close())
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  port = Number(new URL(app.url()).port)
})

let names = 0
const newId = (name: string): string => `${name}-${++names}`

async function openTab (): Promise<Page> {
  const page = await browser.newPage()
  whenDone(() => page.close())
  await page.goto(origin)
  return page
}

const events = async (page: Page): Promise<string[]> => await page.evaluate<string[]>('events')
const run = async (page: Page, code: string): Promise<void> => { await page.evaluate(`(() => { ${code} })()`) }
const happens = async (page: Page, what: string, times = 1): Promise<void> => await until(`${what} (${times})`, async () => (await events(page)).filter(event => event.startsWith(what)).length >= times, 20_000)

async function start (page: Page, id: string | null, options: object = {}): Promise<void> {
  await run(page, `start(${JSON.stringify(id)}, ${JSON.stringify({ host: '127.0.0.1', port, path: '/peerjs', ...options })})`)
}

async function started (page: Page, id: string | null, options: object = {}): Promise<string> {
  await start(page, id, options)
  await happens(page, 'open')
  return await page.evaluate<string>('peer.id')
}

/** What goes there comes back: both ways work. */
async function talk (from: Page, to: string, words: string): Promise<void> {
  await run(from, `dial(${JSON.stringify(to)}); connection.on('open', () => connection.send(${JSON.stringify(words)}))`)
  await until('the echo', async () => (await from.evaluate<unknown[]>('received')).includes(`echo ${words}`), 20_000)
}

test('ids that the server makes, data both ways over our relay, with each path, also after both tabs were reloaded', async () => {
  const credential = await issue(app, { user: 'peerjs' })
  const config = { iceServers: credential.iceServers, iceTransportPolicy: 'relay' }
  const [one, other] = [await openTab(), await openTab()]
  const id = await started(one, null, { config })
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
  const bob = newId('bob')
  await started(other, bob, { config, path: '/' })
  await talk(one, bob, 'hello')
  await talk(other, id, 'hello back')
  await Promise.all([one.reload(), other.reload()])
  await Promise.all([started(one, id, { config }), started(other, bob, { config })])
  await talk(one, bob, 'hello again')
  expect([await events(one), await events(other)].flat().filter(event => event.startsWith('error'))).toEqual([])
})

test('a media call is heard and seen at both ends', async () => {
  const [one, other] = [await openTab(), await openTab()]
  const [alice, bob] = [await started(one, newId('alice')), await started(other, newId('bob'))]
  expect(alice).not.toBe(bob)
  await run(one, `call(${JSON.stringify(bob)})`)
  for (const page of [one, other]) await until('pictures', async () => await page.evaluate<boolean>('window.video !== undefined && video.videoWidth > 0 && video.currentTime > 0.5'), 20_000)
})

test('an id that is taken, a wrong key, a missing token and a wrong one are errors of the kinds that its documentation names', async () => {
  const [one, other] = [await openTab(), await openTab()]
  const alice = await started(one, newId('alice'))
  await start(other, alice)
  await happens(other, `error unavailable-id: ID "${alice}" is taken`)
  const token = await tokenFor(app, 'private', { peer: 'carol' })
  await start(other, 'carol', { token, key: 'other' })
  await happens(other, 'error invalid-key: API KEY "other" is invalid')
  await start(other, 'carol', { key: 'other' })
  await happens(other, 'error server-error: No room token was presented: the project takes no peerjs clients without a room token (token-missing)')
  await start(other, 'dave', { token })
  await happens(other, 'error server-error: The token is for another peer: the peer that is asked for is not the one in the token (peer-mismatch)')
  expect(await started(other, 'carol', { token })).toBe('carol')
  expect(await events(one)).toEqual([`open ${alice}`])
})

/** Forwards TCP; what is open can be made to lead nowhere, as when an address changes under a connection. */
async function tunnel (): Promise<{ port: number, swallow (): void }> {
  const open = new Set<Socket>()
  const server = createTcpServer(inside => {
    const outside = connect(port, '127.0.0.1')
    for (const socket of [inside, outside]) {
      open.add(socket)
      socket.on('error', () => {})
    }
    inside.pipe(outside)
    outside.pipe(inside)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
  whenDone(() => {
    server.close()
    open.forEach(socket => socket.destroy())
  })
  return { port: (server.address() as AddressInfo).port, swallow: () => open.forEach(socket => socket.unpipe().resume()) }
}

test('reconnect() opens again with the same id: at once, and also where the server still has the old socket', async () => {
  const [one, other] = [await openTab(), await openTab()]
  const way = await tunnel()
  const alice = await started(one, newId('alice'), { port: way.port })
  await run(one, 'peer.disconnect(); peer.reconnect()')
  await happens(one, `open ${alice}`, 2)
  way.swallow()
  await run(one, 'peer.disconnect(); peer.reconnect()')
  await happens(one, `open ${alice}`, 3)
  expect((await events(one)).filter(event => event.startsWith('error'))).toEqual([])
  const [first, fresh] = [await tokenFor(app, 'private', { peer: 'erin' }), await tokenFor(app, 'private', { peer: 'erin', takeover: true })]
  await started(other, 'erin', { token: first })
  await run(other, `peer.disconnect(); peer.options.token = ${JSON.stringify(fresh)}; peer.reconnect()`)
  await happens(other, 'open erin', 2)
  await run(other, 'peer.destroy(); events.length = 0')
  await started(other, newId('bob'))
  await run(other, `dial(${JSON.stringify(alice)})`)
  await until('the offer arrives', async () => await one.evaluate<boolean>('peer._connections.size > 0'), 20_000)
})

test('somebody who is not there is peer-unavailable, once, after five seconds; who comes in time is reached', async () => {
  const [one, other] = [await openTab(), await openTab()]
  await started(one, newId('alice'))
  const began = performance.now()
  await run(one, 'dial(\'nobody\')')
  await happens(one, 'error peer-unavailable: Could not connect to peer nobody')
  expect(performance.now() - began).toBeGreaterThan(4500)
  const late = newId('late')
  await run(one, `dial(${JSON.stringify(late)})`)
  await started(other, late)
  await until('the offer arrives', async () => await other.evaluate<boolean>('peer._connections.size > 0'), 20_000)
  await happens(one, 'connection open')
  expect((await events(one)).filter(event => event.startsWith('error'))).toHaveLength(1)
})

test('a tab stays connected over many heartbeats, whether its own come or, in the background, hardly ever', async () => {
  const [busy, throttled] = [await openTab(), await openTab()]
  const ids = [await started(busy, newId('busy'), { pingInterval: 50 }), await started(throttled, newId('throttled'), { pingInterval: 3_600_000 })]
  const answered = async (): Promise<number> => Number(/^turnpike_signaling_round_trip_seconds_count(?:\{.*\})? (\d+)/m.exec(await (await fetch(app.metricsUrl())).text())?.[1] ?? 0)
  const before = await answered()
  await until('six heartbeats of the server for each', async () => await answered() - before >= 12, 30_000)
  expect([await events(busy), await events(throttled)]).toEqual(ids.map(id => [`open ${id}`]))
  await run(throttled, `dial(${JSON.stringify(ids[0])})`)
  await until('the offer arrives', async () => await busy.evaluate<boolean>('peer._connections.size > 0'), 20_000)
})
