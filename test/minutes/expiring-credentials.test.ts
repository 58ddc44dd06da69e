/** Calls over the relay alone, and credentials that expire: the server hands out others in time, and the calls are on them before the old ones end. */
import type { Browser, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { until } from '../kit/files.ts'
import { joinRoom, loadSdk, mediaFlows } from '../kit/sdk-page.ts'

/** The server hands out others after three quarters of it; whoever yields waits 5 s longer than the one that does not. */
const TTL_SECONDS = 32
const ROOM = 'expiring'

type Counted = { restarts: number, users: string[] }
type Allocation = { id: string, user: string, credentialExpiresAt: number }

/** Joins, relay only, and keeps count of what is done to each connection. */
async function enter (browser: Browser, url: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await loadSdk(page, url)
  await page.evaluate(() => {
    const counted = new WeakMap<RTCPeerConnection, Counted>()
    const of = (pc: RTCPeerConnection): Counted => counted.get(pc) ?? counted.set(pc, { restarts: 0, users: [] }).get(pc) as Counted
    const { restartIce, setConfiguration } = RTCPeerConnection.prototype
    RTCPeerConnection.prototype.restartIce = function (this: RTCPeerConnection) {
      of(this).restarts++
      restartIce.call(this)
    }
    RTCPeerConnection.prototype.setConfiguration = function (this: RTCPeerConnection, configuration) {
      const users = configuration?.iceServers?.flatMap(({ username }) => username ?? [])
      of(this).users.push(users?.[0] ?? '')
      setConfiguration.call(this, configuration)
    }
    Object.assign(window, { countOf: of })
  })
  await joinRoom(page, ROOM, { relayOnly: true })
  await until('a path to everybody', async () => await page.evaluate(() => [...window.room.connections.values()].every(({ state }) => state === 'connected')), 20_000)
  return page
}

const self = async (page: Page): Promise<string> => await page.evaluate(() => window.room.self.id)

/** What was done to the connection of `page` to `other`. */
async function done (page: Page, other: Page): Promise<Counted> {
  return await page.evaluate(id => {
    const pc = window.room.connections.get(id)?.pc as RTCPeerConnection
    return (window as unknown as { countOf (pc: RTCPeerConnection): Counted }).countOf(pc)
  }, await self(other))
}

async function allocations (app: TestApp): Promise<Allocation[]> {
  return (await app.request(`/v1/turn/allocations?room=${ROOM}`, { key: app.adminKey })).body['allocations'] as Allocation[]
}

/** How often each end has restarted ICE. */
async function restarts (one: Page, other: Page): Promise<[number, number]> {
  return [(await done(one, other)).restarts, (await done(other, one)).restarts]
}

test('before credentials expire one side restarts ICE: the call is on fresh ones when the relay ends what had the old ones', async () => {
  const app = await startApp({ TURNPIKE_CREDENTIALS_TTL_SECONDS: String(TTL_SECONDS), TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS: '1' })
  expect((await app.request('/v1/projects/call', { method: 'PATCH', key: app.adminKey, body: '{"expiry":"hard"}' })).status).toBe(200)
  const browser = await launchBrowser()
  const ada = await enter(browser, app.url())
  const bob = await enter(browser, app.url())
  await until('what they relay with', async () => new Set((await allocations(app)).map(({ user }) => user)).size === 2)
  const old = await allocations(app)
  const expiresAt = Math.max(...old.map(({ credentialExpiresAt }) => credentialExpiresAt))
  // Ada, who yields to both, has credentials that expire as those of Bob, and long before those of Carol.
  await until('a part of their life to be over', () => Date.now() / 1000 > expiresAt - TTL_SECONDS * 0.6, TTL_SECONDS * 1000)
  const carol = await enter(browser, app.url())
  const pages = [ada, bob, carol]
  for (const page of pages) await mediaFlows(page)
  await until('their end', async () => Date.now() / 1000 > expiresAt && (await allocations(app)).every(({ id }) => !old.some(one => one.id === id)), 2 * TTL_SECONDS * 1000)
  for (const page of pages) await mediaFlows(page)
  expect({ adaAndBob: await restarts(ada, bob), adaAndCarol: await restarts(ada, carol) }).toEqual({ adaAndBob: [0, 1], adaAndCarol: [1, 0] })
  // What they were handed last names when it expires.
  for (const { users } of [await done(ada, bob), await done(bob, ada), await done(ada, carol)]) expect(Number(users.at(-1)?.split(':')[0])).toBeGreaterThan(expiresAt)
  const now = await allocations(app)
  expect(now.every(({ credentialExpiresAt }) => credentialExpiresAt > expiresAt)).toBe(true)
  for (const user of await Promise.all(pages.map(self))) expect(now.some(one => one.user === user)).toBe(true)
  for (const page of pages) expect(await page.evaluate(() => window.told.map(({ what }) => what).filter(what => !/^(peer-joined|connection connected)$/.test(what)))).toEqual([])
})
