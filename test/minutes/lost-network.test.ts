/** Browsers whose cable is pulled: the call is back right after the network is, and the session in the room is the same. */
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { APPLIANCE, startAppliance } from '../kit/appliance.ts'
import { launchBrowser } from '../kit/browser.ts'
import { cleanUpAfterFile, whenDone } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { buildInternet, type Internet } from '../kit/namespaces.ts'
import { iceUser, joinRoom, loadSdk, mediaFlows, stateOf } from '../kit/sdk-page.ts'

/** What is promised. The machine of a test does other things too: of up to three outages of each kind one has to keep it, and all the other bound. */
const BACK_WITHIN_MS = 2000
const BUSY_MS = 8000
const MOST_OUTAGES = 3

cleanUpAfterFile()
let internet: Internet
let a: string
let b: string
let ada: Page
let bob: Page

async function visit (client: string): Promise<Page> {
  const browser = await launchBrowser({ program: internet.chromiumIn(client), flags: [`--unsafely-treat-insecure-origin-as-secure=${APPLIANCE}`] })
  const page = await browser.newPage()
  await loadSdk(page, APPLIANCE)
  return page
}

const sessionOf = async (page: Page): Promise<string> => await page.evaluate(() => window.room.session)

beforeAll(async () => {
  internet = buildInternet(2)
  await startAppliance(internet)
  ;[a = '', b = ''] = internet.clients
  ;[ada, bob] = [await visit(a), await visit(b)]
})

/** For the next test it is in again, whatever happens. */
function unplug (client: string): void {
  internet.unplug(client)
  whenDone(() => internet.plug(client))
}

/** For so long there is no network. */
async function lasts (ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}

/** `outage` resolves to the ms from the end of it to media on both sides. */
async function keepsPromise (kind: string, outage: (attempt: number) => Promise<number>): Promise<void> {
  const back: number[] = []
  while (!back.some(ms => ms < BACK_WITHIN_MS) && back.length < MOST_OUTAGES) back.push(Math.round(await outage(back.length)))
  process.stdout.write(`back after ${back} ms: ${kind}\n`)
  expect(Math.max(...back), kind).toBeLessThan(BUSY_MS)
  expect(Math.min(...back), kind).toBeLessThan(BACK_WITHIN_MS)
}

async function bothFlow (): Promise<number> {
  return Math.max(...await Promise.all([ada, bob].map(async page => await mediaFlows(page))))
}

async function bothLeave (): Promise<void> {
  for (const page of [ada, bob]) await page.evaluate(() => window.room.leave())
}

test('the network goes and comes during a call: ICE restarts, and the session is the same', async () => {
  await joinRoom(ada, 'cable')
  await joinRoom(bob, 'cable')
  await bothFlow()
  const sessions = [await sessionOf(ada), await sessionOf(bob)]
  // Whoever was there first is polite: the loss is the impolite side's, and the other one's.
  for (const [page, client, kind] of [[ada, a, 'lost by the one who yields'], [bob, b, 'lost by the other one']] as const) {
    await keepsPromise(kind, async () => {
      const user = await iceUser(page)
      unplug(client)
      await until('the loss', async () => await stateOf(page) === 'reconnecting' && await page.evaluate(() => window.room.state) === 'reconnecting', 30_000)
      await lasts(3000)
      internet.plug(client)
      const ms = await bothFlow()
      await until('another path', async () => await iceUser(page) !== user, BUSY_MS)
      await until('both are connected', async () => await stateOf(ada) === 'connected' && await stateOf(bob) === 'connected', BUSY_MS)
      return ms
    })
  }
  expect([await sessionOf(ada), await sessionOf(bob)]).toEqual(sessions)
  await bothLeave()
})

test('the network goes and comes during a negotiation: the call comes about right after it, in the same session', async () => {
  await keepsPromise('during a negotiation', async attempt => {
    const room = `negotiated-${attempt}`
    // The offer is with the other side, and the answer finds nobody.
    await joinRoom(bob, room, { connects: false })
    await joinRoom(ada, room)
    await until('the offer', async () => await ada.evaluate(() => [...window.room.connections.values()][0]?.pc.signalingState) === 'have-local-offer')
    const session = await sessionOf(ada)
    unplug(a)
    await bob.evaluate(() => { for (const id of window.room.peers.keys()) window.room.connect(id) })
    await lasts(3000)
    expect(await stateOf(ada)).toBe('connecting')
    internet.plug(a)
    const ms = await bothFlow()
    expect(await sessionOf(ada)).toBe(session)
    await bothLeave()
    return ms
  })
})
