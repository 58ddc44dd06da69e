/** The SDK in Chromium against the real server and a real relay: glare, reloads, switches, channels, expiring credentials. */
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import type { Connection } from '../../src/client/client.ts'
import { startApp, type TestApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { joinRoom, loadSdk, mediaFlows, stateOf } from '../kit/sdk-page.ts'

cleanUpAfterFile()
let app: TestApp
// Both ends of 200 glares say more than a peer may by default.
beforeAll(async () => { app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '1000', TURNPIKE_SIGNALING_SIGNALS_BURST: '4000' }) })

/** Two pages, each in a context of its own, connected with each other. */
async function pair (room: string): Promise<[Page, Page]> {
  const browser = await launchBrowser()
  const pages: Page[] = []
  for (let i = 0; i < 2; i++) {
    const page = await (await browser.newContext()).newPage()
    await loadSdk(page, app.url())
    await joinRoom(page, room)
    pages.push(page)
  }
  for (const page of pages) await mediaFlows(page)
  return pages as [Page, Page]
}

const told = async (page: Page): Promise<string[]> => await page.evaluate(() => window.told.map(({ what }) => what))

/** Both ends in one page, so that they do things in the same moment. */
async function bothEnds (page: Page, room: string): Promise<void> {
  await loadSdk(page, app.url())
  await page.evaluate(async room => {
    const ends: Connection[] = []
    const faults: string[] = []
    const count = { offers: 0, answers: 0 }
    const original: (this: RTCPeerConnection) => Promise<void> = RTCPeerConnection.prototype.setLocalDescription
    RTCPeerConnection.prototype.setLocalDescription = async function (this: RTCPeerConnection) {
      await original.call(this)
      if (this.localDescription?.type === 'offer') count.offers++
      else count.answers++
    }
    for (let i = 0; i < 2; i++) {
      const body = { url: '', token: '', ...await (await fetch(`/call/${room}/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json() as object }
      const joined = await window.Turnpike.join({ ...body, framesPerSecond: 1000 })
      const meet = (id: string): void => {
        const connection = joined.connect(id)
        ends.push(connection)
        connection.pc.addTransceiver('video')
        connection.channel('words')
        connection.on('error', ({ message }) => faults.push(message))
      }
      joined.peers.forEach(({ id }) => meet(id))
      joined.on('peer-joined', ({ id }) => meet(id))
      joined.on('error', ({ message }) => faults.push(message))
    }
    Object.assign(window, { ends, faults, count })
  }, room)
}
type BothEnds = { ends: [Connection, Connection], faults: string[], count: { offers: number, answers: number } }

test('both sides negotiate at once, 200 times, and nothing fails', async () => {
  const page = await (await launchBrowser()).newPage()
  await bothEnds(page, 'glare')
  const outcome = await page.evaluate(async () => {
    const { ends, faults, count } = window as unknown as BothEnds
    const settled = async (): Promise<void> => {
      const endsAt = performance.now() + 10_000
      while (!ends.every(({ state, pc }) => state === 'connected' && pc.signalingState === 'stable')) {
        if (performance.now() > endsAt) throw new Error(JSON.stringify(ends.map(({ state, pc }) => [state, pc.signalingState, pc.iceConnectionState])))
        await new Promise(resolve => setTimeout(resolve, 1))
      }
    }
    await settled()
    const before = { ...count }
    const pcs = ends.map(({ pc }) => pc)
    for (let i = 0; i < 200; i++) {
      const offers = count.offers
      for (const { pc } of ends) for (const transceiver of pc.getTransceivers()) transceiver.direction = i % 2 === 0 ? 'recvonly' : 'sendrecv'
      if (i % 10 === 0) ends.forEach(end => end.restart())
      while (count.offers < offers + 2) await new Promise(resolve => setTimeout(resolve))
      await settled()
    }
    const said: string[] = []
    ends[0].channel('words').on('message', text => said.push(String(text)))
    ends[1].channel('words').send('still here')
    while (said.length === 0) await new Promise(resolve => setTimeout(resolve, 1))
    return { faults, said, areSame: ends.every(({ pc }, i) => pc === pcs[i]), unanswered: (count.offers - before.offers) - (count.answers - before.answers) }
  })
  expect(outcome).toMatchObject({ faults: [], said: ['still here'], areSame: true })
  // Offers that the polite side took back: so often it was glare indeed.
  expect(outcome.unanswered).toBeGreaterThan(100)
})

test('both sides begin anew at once, and the first offers meet: a connection comes of it each time', async () => {
  const page = await (await launchBrowser()).newPage()
  await bothEnds(page, 'anew')
  const faults = await page.evaluate(async () => {
    const { ends, faults } = window as unknown as BothEnds
    for (let i = 0; i < 6; i++) {
      ends.forEach(end => { end.relayOnly = i % 2 === 0 })
      const endsAt = performance.now() + 15_000
      for (;;) {
        const paths = await Promise.all(ends.map(async end => (await end.stats())?.path.kind))
        if (ends.every(({ state }) => state === 'connected') && paths.every(kind => kind === (i % 2 === 0 ? 'relay' : 'direct'))) break
        if (performance.now() > endsAt) throw new Error(JSON.stringify([i, paths, ends.map(({ state, pc }) => [state, pc.signalingState, pc.iceConnectionState, pc.iceGatheringState])]))
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    }
    return faults
  })
  expect(faults).toEqual([])
})

test('a page that is reloaded has left at once, and the call is back when it has joined again', async () => {
  const [stays, reloads] = await pair('reload')
  await reloads.reload()
  await until('the leave', async () => (await told(stays)).includes('peer-left left'), 5000)
  await loadSdk(reloads, app.url())
  await joinRoom(reloads, 'reload')
  const ms = Math.max(...await Promise.all([stays, reloads].map(async page => await mediaFlows(page))))
  expect(ms).toBeLessThan(10_000)
  expect(await stays.evaluate(() => [window.room.peers.size, window.room.connections.size])).toEqual([1, 1])
})

test('a socket that is lost in a call does not touch the call; what is said meanwhile arrives', async () => {
  const [ada, bob] = await pair('socket')
  const before = await ada.evaluate(() => window.room.session)
  // Another network, as far as the page can tell.
  await ada.evaluate(() => { window.dispatchEvent(new Event('online')) })
  await bob.evaluate(async () => { for (const id of window.room.peers.keys()) await window.room.send(id, 'meanwhile') })
  await until('it', async () => (await told(ada)).includes('signal meanwhile'))
  expect((await told(ada)).filter(what => /joined|reconnecting|lost/.test(what) && what !== 'peer-joined')).toEqual(['reconnecting', 'joined'])
  expect([await ada.evaluate(() => window.room.session), await stateOf(ada), await stateOf(bob)]).toEqual([before, 'connected', 'connected'])
})

test('channels have labels, not sides: one that only the other side opens is told, and written to from both', async () => {
  const [ada, bob] = await pair('channels')
  await bob.evaluate(() => {
    const [connection] = window.room.connections.values()
    connection?.on('channel', channel => channel.on('message', text => {
      window.told.push({ atMs: 0, what: `${channel.label}: ${String(text)}` })
      channel.send('got it')
    }))
  })
  await ada.evaluate(() => {
    const [connection] = window.room.connections.values()
    const channel = connection?.channel('files', { ordered: false })
    channel?.on('open', () => channel.send('one'))
    channel?.on('message', text => window.told.push({ atMs: 0, what: `${channel.label}: ${String(text)}` }))
    // The one that both had asked for, from the beginning.
    connection?.channel('words').send('hello')
  })
  await until('both ways', async () => (await told(bob)).includes('files: one') && (await told(ada)).includes('files: got it') && (await told(bob)).includes('said hello'))
  expect(await bob.evaluate(async () => await [...window.room.connections.values()][0]?.stats())).toMatchObject({ path: { kind: 'direct' }, words: expect.stringContaining('Direct, peer to peer over UDP') })
  // Closing one connection is told to the other side, and the room goes on.
  await ada.evaluate(() => { for (const connection of window.room.connections.values()) connection.close() })
  await until('the end', async () => (await told(bob)).includes('connection closed'))
  expect(await bob.evaluate(() => [window.room.state, window.room.peers.size, window.room.connections.size])).toEqual(['joined', 1, 0])
})
