/** The web SDK of Ayame as it comes from npm, in Chromium, against us: calls through the relay that `accept` names, with itself and with native peers. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { BrowserContext, Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { allowDialects } from '../kit/dialects.ts'
import { until } from '../kit/files.ts'
import { tokenFor } from '../kit/peer.ts'

const SDK = readFileSync('node_modules/@open-ayame/ayame-web-sdk/dist/ayame.mjs', 'utf8')
const PAGE = '<!doctype html><title>blank</title><link rel="icon" href="data:,"><script type="module">import * as sdk from "./ayame.mjs"; globalThis.sdk = sdk</script>'

cleanUpAfterFile()
let app: TestApp
let site = ''
beforeAll(async () => {
  const server = createServer((request, response) => {
    const isPage = request.url === '/'
    response.setHeader('content-type', isPage ? 'text/html' : 'text/javascript').end(isPage ? PAGE : SDK)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  whenDone(() => server.close())
  site = `http://127.0.0.1:${(server.address() as { port: number }).port}/`
  app = await startApp()
  await allowDialects(app, { dialects: ['ayame'] })
  await until('the relay', () => app.relayHealth().ready, 20_000)
})
type Seen = { heard: string[], connection: RTCPeerConnection, channel: RTCDataChannel | null, disconnect (): Promise<void> }
type Call = { url: string, room: string, token: string }

let rooms = 0
async function callFor (room: string, peer: string): Promise<Call> {
  return { url: app.url().replace('http', 'ws'), room, token: await tokenFor(app, room, { peer, kind: 'pair' }) }
}

/** A page of somebody else's, with the SDK and nothing of ours in it. */
async function blankPage (context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  await page.goto(site)
  return page
}

/** An application of the SDK, relay only: what it hears is kept where the test looks. */
async function ayamePage (context: BrowserContext, call: Call): Promise<Page> {
  const page = await blankPage(context)
  await page.evaluate(async ({ url, room, token }) => {
    type Connection = { on (kind: string, callback: (event: never) => void): void, connect (stream: MediaStream): Promise<void>, disconnect (): Promise<void>, createDataChannel (label: string): Promise<RTCDataChannel | null>, readonly peerConnection: RTCPeerConnection }
    const { sdk } = globalThis as unknown as { sdk: { defaultOptions: object, createConnection (url: string, room: string, options: object, debug: boolean, isRelay: boolean): Connection } }
    const connection = sdk.createConnection(`${url}/ayame`, room, { ...sdk.defaultOptions, signalingKey: token }, false, true)
    const seen = { heard: [] as string[], channel: null as RTCDataChannel | null, get connection () { return connection.peerConnection }, disconnect: () => connection.disconnect() }
    Object.assign(globalThis, { seen })
    const use = (channel: RTCDataChannel): void => {
      seen.channel = channel
      channel.addEventListener('message', ({ data }) => seen.heard.push(`message ${data}`))
    }
    connection.on('open', () => { connection.createDataChannel('chat').then(channel => { if (channel !== null) use(channel) }, () => {}) })
    connection.on('datachannel', (channel: RTCDataChannel) => use(channel))
    for (const kind of ['addstream', 'connect', 'bye']) connection.on(kind, () => seen.heard.push(kind))
    connection.on('disconnect', ({ reason }: { reason: string }) => seen.heard.push(`disconnect ${reason}`))
    connection.connect(await navigator.mediaDevices.getUserMedia({ audio: true, video: true })).catch(() => {})
  }, call)
  return page
}

/** A plain RTCPeerConnection over the native protocol, relay only; it offers where it is impolite. */
async function nativePage (context: BrowserContext, { url, token }: Call): Promise<Page> {
  const page = await blankPage(context)
  await page.evaluate(async ({ url, token }) => {
    type Frame = { type: string, iceServers: RTCIceServer[], peers: { id: string, polite: boolean }[], peer: { id: string, polite: boolean }, from: string, data: { description?: RTCSessionDescriptionInit, candidate?: RTCIceCandidateInit } }
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true })
    const socket = new WebSocket(`${url}/v1/signal`, ['turnpike.v1', `turnpike.token.${token}`])
    const seen = { heard: [] as string[], channel: null as RTCDataChannel | null, connection: null as RTCPeerConnection | null, disconnect: async () => { socket.close(1000) } }
    Object.assign(globalThis, { seen })
    const send = (data: object): void => socket.send(JSON.stringify({ type: 'signal', to: '*', data }))
    const begin = (iceServers: RTCIceServer[]): RTCPeerConnection => {
      const made = seen.connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' })
      for (const track of stream.getTracks()) made.addTrack(track, stream)
      made.addEventListener('icecandidate', ({ candidate }) => send({ candidate }))
      made.addEventListener('datachannel', ({ channel }) => {
        seen.channel = channel
        channel.addEventListener('message', ({ data }) => seen.heard.push(`message ${data}`))
      })
      return made
    }
    const describe = async (connection: RTCPeerConnection): Promise<void> => {
      await connection.setLocalDescription()
      send({ description: connection.localDescription })
    }
    const hear = async (frame: Frame): Promise<void> => {
      if (frame.type === 'welcome') {
        const connection = begin(frame.iceServers)
        if (frame.peers.length > 0) await describe(connection)
      }
      const { connection } = seen
      if (frame.type === 'peer-left') seen.heard.push('peer-left')
      if (frame.type !== 'signal' || connection === null) return
      const { description, candidate } = frame.data
      if (description !== undefined) {
        await connection.setRemoteDescription(description)
        if (description.type === 'offer') await describe(connection)
      } else await connection.addIceCandidate(candidate)
    }
    let last: Promise<void> = Promise.resolve()
    socket.addEventListener('message', ({ data }) => { last = last.then(() => hear(JSON.parse(String(data)) as Frame)) })
  }, { url, token })
  return page
}

const heard = (page: Page): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.heard)
async function decoded (page: Page): Promise<{ frames: number, local: string, remote: string }> {
  return await page.evaluate(async () => {
    const report = await (globalThis as unknown as { seen: Seen }).seen.connection?.getStats()
    const all = [...(report as unknown as Map<string, Record<string, unknown>> | undefined)?.values() ?? []]
    const pair = all.find(({ id }) => id === all.find(({ type }) => type === 'transport')?.['selectedCandidatePairId'])
    const typeOf = (id: unknown): string => String(all.find(stats => stats['id'] === id)?.['candidateType'])
    return { frames: Number(all.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.['framesDecoded'] ?? 0), local: typeOf(pair?.['localCandidateId']), remote: typeOf(pair?.['remoteCandidateId']) }
  })
}
async function picturesFlow (pages: Page[]): Promise<void> {
  for (const page of pages) {
    await until('pictures arrive', async () => (await decoded(page)).frames > 10, 30_000)
    expect(await decoded(page)).toMatchObject({ local: 'relay', remote: 'relay' })
  }
}

test('two tabs call each other through the relay, a third is told that the room is full, and who leaves says bye', async () => {
  const context = await (await launchBrowser()).newContext()
  const room = `ayame-${++rooms}`
  const first = await ayamePage(context, await callFor(room, 'first'))
  await until('the first is in', async () => await first.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.connection !== null))
  const second = await ayamePage(context, await callFor(room, 'second'))
  await picturesFlow([first, second])
  await until('the channel is there', async () => await second.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.channel?.readyState === 'open'))
  await second.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.channel?.send('hello'))
  await until('the message', async () => (await heard(first)).includes('message hello'))
  const third = await ayamePage(context, await callFor(room, 'third'))
  await until('the refusal', async () => (await heard(third)).length > 0)
  expect(await heard(third)).toEqual(['disconnect full'])
  await second.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.disconnect())
  await until('bye', async () => (await heard(first)).includes('bye'))
  expect(await heard(first)).toEqual(expect.arrayContaining(['addstream', 'connect']))
})

test.each(['first', 'second'])('an Ayame client and a native peer call each other, the native one being the %s to come', async place => {
  const context = await (await launchBrowser()).newContext()
  const room = `ayame-${++rooms}`
  const native = async (): Promise<Page> => {
    const page = await nativePage(context, await callFor(room, 'native'))
    await until('it is in', async () => await page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.connection !== null))
    return page
  }
  const ayame = async (): Promise<Page> => {
    const page = await ayamePage(context, await callFor(room, 'ayame'))
    await until('it is in', async () => await page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.connection !== null))
    return page
  }
  const nativeFirst = place === 'first'
  const one = nativeFirst ? await native() : await ayame()
  const other = nativeFirst ? await ayame() : await native()
  await picturesFlow([one, other])
  await one.evaluate(() => (globalThis as unknown as { seen: Seen }).seen.disconnect())
  await until('the other one hears of it', async () => (await heard(other)).some(what => what === (nativeFirst ? 'bye' : 'peer-left')))
})
