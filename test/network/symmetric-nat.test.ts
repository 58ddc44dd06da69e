/** Two browsers behind two symmetric NATs: what cannot connect by itself connects with our relay. Real coturn, real NAT, real Chromium. */
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { launchBrowser } from '../kit/browser.ts'
import { APPLIANCE, startAppliance } from '../kit/appliance.ts'
import { buildInternet, type Internet } from '../kit/namespaces.ts'

/** Opens the call page, a room for each trial because a browser that is killed keeps its place for a while; without TURN its ICE servers are cut down to STUN, as if there were no relay. */
async function visit (internet: Internet, client: string, room: string, { withTurn }: { withTurn: boolean }): Promise<Page> {
  const browser = await launchBrowser({ program: internet.chromiumIn(client), flags: [`--unsafely-treat-insecure-origin-as-secure=${APPLIANCE}`] })
  const page = await browser.newPage()
  if (!withTurn) {
    await page.addInitScript(() => {
      globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor (configuration?: RTCConfiguration) {
          super({ ...configuration, iceServers: (configuration?.iceServers ?? []).filter(({ urls }) => String(urls).startsWith('stun:')) })
        }
      }
    })
  }
  await page.goto(`${APPLIANCE}/call/${room}`)
  await page.waitForSelector('body[data-media]')
  await page.click('#join button')
  await page.waitForSelector('body[data-state=waiting], body[data-state=connecting], body[data-state=connected]')
  return page
}

test('behind two symmetric NATs a call fails without the relay and connects through it, with UDP blocked on one side too', async () => {
  const internet = buildInternet(2)
  await startAppliance(internet)
  const [a = '', b = ''] = internet.clients

  const without = [await visit(internet, a, 'without', { withTurn: false }), await visit(internet, b, 'without', { withTurn: false })]
  await Promise.all(without.map(page => page.waitForSelector('.tile[data-connection=failed]', { timeout: 60_000 })))
  for (const page of without) await page.context().browser()?.close()

  const withRelay = [await visit(internet, a, 'with', { withTurn: true }), await visit(internet, b, 'with', { withTurn: true })]
  for (const page of withRelay) {
    await page.waitForSelector('body[data-state=connected][data-path=relay][data-transport=udp]', { timeout: 20_000 })
    expect(await page.textContent('.tile .path')).toMatch(/^Relayed at/)
  }
  for (const page of withRelay) await page.context().browser()?.close()

  // One of them lets no UDP out: its end of the path is TCP, and nobody had to say so.
  internet.blockUdp(a)
  const [blocked, free] = [await visit(internet, a, 'blocked', { withTurn: true }), await visit(internet, b, 'blocked', { withTurn: true })]
  await blocked.waitForSelector('body[data-state=connected][data-path=relay][data-transport=tcp]', { timeout: 30_000 })
  await free.waitForSelector('body[data-state=connected][data-path=relay]', { timeout: 30_000 })
})
