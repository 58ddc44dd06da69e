/** Behind a firewall that lets nothing out but TCP 443: the page by HTTPS, signaling by WSS and the call by TURN over TLS, all through the edge on one port. */
import type { Page } from 'playwright-core'
import { test } from 'vitest'
import { startAppliance } from '../kit/appliance.ts'
import { launchBrowser } from '../kit/browser.ts'
import { startEdgeIn } from '../kit/edge.ts'
import { certificateChain, scratchDirectory } from '../kit/files.ts'
import { buildInternet, PUBLIC_IP } from '../kit/namespaces.ts'

const DOMAIN = 'meet.test'
const RELAYED = 'body[data-state=connected][data-path=relay][data-transport=tls]'

test('two browsers that reach nothing but TCP 443 meet and call each other, by certificates that they trust', async () => {
  const internet = buildInternet(2)
  const { cert, key, home } = certificateChain(scratchDirectory(), [DOMAIN, `turn.${DOMAIN}`])
  // As the compose file has it.
  const settings = { TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_EDGE_PORT: '443', TURNPIKE_HTTPS_HOST: '127.0.0.1', TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM: '127.0.0.1/32', TURNPIKE_HTTP_HOST: '127.0.0.1' }
  await startAppliance(internet, { ...settings, TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key })
  await startEdgeIn(internet.pub, { TURNPIKE_DOMAIN: DOMAIN })

  const visit = async (client: string): Promise<Page> => {
    internet.allowOnlyTcpTo(client, 443)
    const browser = await launchBrowser({ program: internet.chromiumIn(client, home), flags: [`--host-resolver-rules=MAP ${DOMAIN} ${PUBLIC_IP},MAP turn.${DOMAIN} ${PUBLIC_IP}`] })
    const page = await browser.newPage()
    await page.goto(`https://${DOMAIN}/call/room`)
    await page.waitForSelector('body[data-media]')
    await page.click('#join button')
    await page.waitForSelector('body[data-state=waiting], body[data-state=connecting], body[data-state=connected]')
    return page
  }
  const pages = [await visit(internet.clients[0] ?? ''), await visit(internet.clients[1] ?? '')]
  await Promise.all(pages.map(page => page.waitForSelector(RELAYED, { timeout: 40_000 })))
})
