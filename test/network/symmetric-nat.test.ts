/** Two browsers behind two symmetric NATs: what cannot connect by itself connects with our relay. Real coturn, real NAT, real Chromium. */
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { launchBrowser } from '../kit/browser.ts'
import { run } from '../kit/command.ts'
import { scratchDirectory } from '../kit/files.ts'
import { buildInternet, PUBLIC_IP, type Internet } from '../kit/namespaces.ts'

const PAGE = `http://${PUBLIC_IP}:8080`

/** The appliance in the middle, as somebody on a VPS has it: the policy internet, its own address found by itself. */
async function startAppliance (internet: Internet): Promise<void> {
  const env = { TURNPIKE_DATA_DIR: scratchDirectory(), TURNPIKE_RELAY_DRIVER: 'process', TURNPIKE_RELAY_STUN_SERVERS: 'none', TURNPIKE_METRICS_PORT: '0' }
  const started = run('ip', ['netns', 'exec', internet.pub, 'node', 'bin/turnpike.mjs', 'up'], env)
  await started.until('relayed media')
  expect(started.out()).toContain('the relay is proved')
  expect(started.out()).toContain(`turn:${PUBLIC_IP}:3478?transport=udp`)
}

/** Opens the call page; without TURN its ICE servers are cut down to STUN, as if there were no relay. */
async function visit (internet: Internet, client: string, { withTurn }: { withTurn: boolean }): Promise<Page> {
  const browser = await launchBrowser({ program: internet.chromiumIn(client), flags: [`--unsafely-treat-insecure-origin-as-secure=${PAGE}`] })
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
  await page.goto(`${PAGE}/call/nat`)
  await page.waitForSelector('body[data-media]')
  await page.click('#join button')
  await page.waitForSelector('body[data-state=waiting], body[data-state=connecting], body[data-state=connected]')
  return page
}

test('behind two symmetric NATs a call fails without the relay and connects through it', async () => {
  const internet = buildInternet(2)
  await startAppliance(internet)
  const [a = '', b = ''] = internet.clients

  const without = [await visit(internet, a, { withTurn: false }), await visit(internet, b, { withTurn: false })]
  await Promise.all(without.map(page => page.waitForSelector('.tile[data-connection=failed]', { timeout: 60_000 })))
  for (const page of without) await page.context().browser()?.close()

  const withRelay = [await visit(internet, a, { withTurn: true }), await visit(internet, b, { withTurn: true })]
  for (const page of withRelay) {
    await page.waitForSelector('body[data-state=connected][data-path=relay][data-transport=udp]', { timeout: 20_000 })
    expect(await page.textContent('.tile .path')).toMatch(/^Relayed at/)
  }
})
