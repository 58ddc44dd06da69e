/** Browsers whose cable is pulled: the call is back right after the network is, and the session in the room is the same. */
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { APPLIANCE, startAppliance } from '../kit/appliance.ts'
import { launchBrowser } from '../kit/browser.ts'
import { until } from '../kit/files.ts'
import { buildInternet, type Internet } from '../kit/namespaces.ts'
import { iceUser, joinRoom, loadSdk, mediaFlows, stateOf } from '../kit/sdk-page.ts'

/** What is promised; the quickest of several outages has to keep it, because the machine of a test does other things too. */
const BACK_WITHIN_MS = 2000
const BUSY_MS = 8000

async function visit (internet: Internet, client: string): Promise<Page> {
  const browser = await launchBrowser({ program: internet.chromiumIn(client), flags: [`--unsafely-treat-insecure-origin-as-secure=${APPLIANCE}`] })
  const page = await browser.newPage()
  await loadSdk(page, APPLIANCE)
  return page
}

const sessionOf = async (page: Page): Promise<string> => await page.evaluate(() => window.room.session)

/** For so long there is no network. */
async function lasts (ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}

test('the network goes and comes during a call: ICE restarts, and the session is the same', async () => {
  const internet = buildInternet(2)
  await startAppliance(internet)
  const [a = '', b = ''] = internet.clients
  const [ada, bob] = [await visit(internet, a), await visit(internet, b)]
  await joinRoom(ada, 'cable')
  await joinRoom(bob, 'cable')
  for (const page of [ada, bob]) await mediaFlows(page)
  const sessions = [await sessionOf(ada), await sessionOf(bob)]
  const back: number[] = []
  // Whoever was there first is polite: the loss is the impolite side's, and the other one's.
  for (const [page, client] of [[ada, a], [bob, b]] as const) {
    const user = await iceUser(page)
    internet.unplug(client)
    await until('the loss', async () => await stateOf(page) === 'reconnecting' && await page.evaluate(() => window.room.state) === 'reconnecting', 30_000)
    await lasts(3000)
    internet.plug(client)
    back.push(...await Promise.all([mediaFlows(ada), mediaFlows(bob)]))
    await until('another path', async () => await iceUser(page) !== user, BUSY_MS)
    await until('both are connected', async () => await stateOf(ada) === 'connected' && await stateOf(bob) === 'connected', BUSY_MS)
  }

  // And while they negotiate: the offer is with the other side, and the answer finds nobody.
  await joinRoom(bob, 'cable-2', { connects: false })
  await joinRoom(ada, 'cable-2')
  await until('the offer', async () => await ada.evaluate(() => [...window.room.connections.values()][0]?.pc.signalingState) === 'have-local-offer')
  sessions.push(await sessionOf(ada))
  internet.unplug(a)
  await bob.evaluate(() => { for (const id of window.room.peers.keys()) window.room.connect(id) })
  await lasts(3000)
  expect(await stateOf(ada)).toBe('connecting')
  internet.plug(a)
  back.push(await mediaFlows(bob), await mediaFlows(ada))
  sessions.push(await sessionOf(ada))
  expect(sessions[3]).toBe(sessions[2])
  expect(Math.max(...back)).toBeLessThan(BUSY_MS)
  expect(Math.max(...back.slice(0, 2))).toBeLessThan(BACK_WITHIN_MS)
})
