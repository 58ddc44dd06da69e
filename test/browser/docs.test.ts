/** What docs/ shows for web pages, in a real Chromium, as it stands there but for addresses. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Browser, Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { allowDialects } from '../kit/dialects.ts'
import { blockWith } from '../kit/doc-blocks.ts'
import { tokenFor } from '../kit/peer.ts'
import { issue } from '../kit/turn.ts'

const LIBRARIES: Record<string, string> = { '/peerjs.js': 'node_modules/peerjs/dist/peerjs.min.js', '/ayame.mjs': 'node_modules/@open-ayame/ayame-web-sdk/dist/ayame.mjs' }

cleanUpAfterFile()
let app: TestApp
let browser: Browser
let site = ''
/** What the site answers at `/`. */
let html = ''
let room = ''
let visitors = 0
beforeAll(async () => {
  app = await startApp()
  await allowDialects(app, { dialects: ['peerjs', 'ayame'] })
  // A site of the reader's: its page, and its own server that asks Turnpike for tokens and credentials.
  const server = createServer(({ url = '' }, response) => {
    const library = LIBRARIES[url]
    const answer = async (): Promise<[string, string]> => {
      if (library !== undefined) return ['text/javascript', readFileSync(library, 'utf8')]
      if (url === '/my-token') return ['application/json', JSON.stringify((await app.request(`/v1/rooms/${room}/tokens`, { method: 'POST', body: JSON.stringify({ peer: `p${++visitors}` }) })).body)]
      if (url === '/my-credentials') return ['application/json', JSON.stringify(await issue(app, { user: 'alice' }))]
      return ['text/html', html]
    }
    answer().then(([type, text]) => response.setHeader('content-type', type).end(text), (error: unknown) => response.writeHead(500).end(String(error)))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  whenDone(() => server.close())
  site = `http://localhost:${(server.address() as { port: number }).port}/`
  browser = await launchBrowser()
})

const here = (text: string): string => text.replaceAll('https://turnpike.example', app.url()).replaceAll('wss://turnpike.example', app.url().replace('http', 'ws'))

async function open (page: string): Promise<Page> {
  html = `<!doctype html><link rel="icon" href="data:,">${page}`
  const tab = await browser.newPage()
  whenDone(() => tab.close())
  await tab.goto(site)
  return tab
}

const sees = async (tab: Page): Promise<unknown> => await tab.waitForFunction(() => (document.querySelector('video')?.videoWidth ?? 0) > 0, undefined, { timeout: 40_000 })

test.each(['/sdk/turnpike.js', 'new WebSocket('])('the page of docs/browser.md with %s is a call: each of two sees the other', async words => {
  room = words.replaceAll(/\W/g, '')
  const page = here(blockWith('docs/browser.md', words).text)
  const [one, other] = [await open(page), await open(page)]
  await sees(one)
  await sees(other)
  await other.close()
  // With the SDK, who has left is gone from the page.
  if (words.startsWith('/sdk')) await one.waitForFunction(() => document.querySelector('video') === null, undefined, { timeout: 40_000 })
})

test('the page of docs/browser.md with signaling of its own reaches the relay', async () => {
  const { text } = blockWith('docs/browser.md', '/my-credentials')
  const tab = await open(`<script type="module">${text.replace('RTCPeerConnection({ iceServers })', "RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' })")}
    pc.onicecandidate = ({ candidate }) => { if (candidate?.type === 'relay') document.title = 'relay' }
    pc.createDataChannel('')
    await pc.setLocalDescription()</script>`)
  await tab.waitForFunction(() => document.title === 'relay')
})

test('a PeerJS client with the settings of docs/dialects.md is let in as who its token says', async () => {
  const { text } = blockWith('docs/dialects.md', 'new Peer(')
  const { hostname, port } = new URL(app.url())
  const token = await tokenFor(app, 'peers', { peer: 'alice' })
  const { iceServers } = await issue(app)
  const settled = text.replace(/host: '[^']*', port: 443, secure: true/, `host: '${hostname}', port: ${port}, secure: false`)
  expect(settled).not.toBe(text)
  const tab = await open(`<script src="/peerjs.js"></script><script>const [token, iceServers] = ${JSON.stringify([token, iceServers])}\n${settled}; peer.on('open', id => { document.title = id }); peer.on('error', error => { document.title = error.message })</script>`)
  await tab.waitForFunction(() => document.title !== '')
  expect(await tab.title()).toBe('alice')
})

test('two pages with the lines of docs/dialects.md for Ayame are connected', async () => {
  const { text } = blockWith('docs/dialects.md', 'createConnection(')
  for (const peer of ['one', 'other']) {
    const token = await tokenFor(app, 'room-1', { peer, kind: 'pair' })
    const tab = await open(`<script type="module">import { createConnection, defaultOptions } from './ayame.mjs'
      const token = '${token}', stream = await navigator.mediaDevices.getUserMedia({ video: true })
      ${here(text)}; conn.on('addstream', () => { document.title = 'seen' }); conn.on('open', () => { document.title = 'open' })</script>`)
    await tab.waitForFunction(() => document.title !== '')
    if (peer === 'other') await tab.waitForFunction(() => document.title === 'seen')
  }
})
