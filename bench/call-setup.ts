/** From joining to a connected call in Chromium through our page, against two peer connections in one page through the same TURN server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { chromium, type Page } from 'playwright-core'
import { createApp } from '../src/app.ts'
import { createLogger } from '../src/cli/logger.ts'
import { loadConfig } from '../src/config/load.ts'
import type { IceServer } from '../src/protocol/frames.ts'
import { median, report } from './processes.ts'

const ROUNDS = 9
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

const dataDir = mkdtempSync(`${tmpdir()}/turnpike-bench-`)
const { config } = loadConfig({ env: { TURNPIKE_DATA_DIR: dataDir, TURNPIKE_HTTP_HOST: '127.0.0.1', TURNPIKE_HTTP_PORT: '0', TURNPIKE_METRICS_PORT: '0', TURNPIKE_RELAY_DRIVER: 'process', TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1', TURNPIKE_RELAY_PEERS: 'loopback', TURNPIKE_RELAY_PORT: '23978', TURNPIKE_RELAY_TLS_PORT: '23979', TURNPIKE_API_KEY: 'bench-bench-bench-bench-bench' }, readFile: () => '' })
const app = createApp(config, { nowSeconds: () => Math.floor(Date.now() / 1000), log: createLogger('error', false), version: 'bench', programPath: (process.env['PATH'] ?? '').split(':'), dockerHost: undefined, installRelay: false })
await app.start()
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS })
const context = await browser.newContext()

/** The second one joins: from the click to 'connected' at both. */
async function callThroughPage (round: number): Promise<number> {
  const pages = [await context.newPage(), await context.newPage()] as [Page, Page]
  for (const page of pages) {
    await page.goto(`${app.url()}/call/bench-${round}?relay=udp`)
    await page.waitForSelector('body[data-media]')
  }
  await pages[0].click('#join button')
  await pages[0].waitForSelector('body[data-state=waiting]')
  // Measured inside the page, so that the driver's own round trips are not counted.
  const took = await pages[1].evaluate(async () => {
    const started = performance.now()
    document.querySelector<HTMLButtonElement>('#join button')?.click()
    while (document.querySelector('.tile')?.getAttribute('data-connection') !== 'connected' && performance.now() - started < 10_000) await new Promise(resolve => setTimeout(resolve, 1))
    return performance.now() - started
  })
  for (const page of pages) await page.close()
  return took
}

/** The least there is: both ends in one page, signals handed over by hand. */
async function callInOnePage (iceServers: IceServer[]): Promise<number> {
  const page = await context.newPage()
  await page.goto(`${app.url()}/`)
  const took = await page.evaluate(async servers => {
    const configuration: RTCConfiguration = { iceServers: servers, iceTransportPolicy: 'relay' }
    const started = performance.now()
    const [one, other] = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)]
    // A candidate that comes before the description it belongs to would be lost.
    const described = { one: Promise.withResolvers<void>(), other: Promise.withResolvers<void>() }
    one.onicecandidate = ({ candidate }) => { described.other.promise.then(() => other.addIceCandidate(candidate ?? undefined)).catch(() => {}) }
    other.onicecandidate = ({ candidate }) => { described.one.promise.then(() => one.addIceCandidate(candidate ?? undefined)).catch(() => {}) }
    one.createDataChannel('x')
    await one.setLocalDescription()
    if (one.localDescription !== null) await other.setRemoteDescription(one.localDescription)
    described.other.resolve()
    await other.setLocalDescription()
    if (other.localDescription !== null) await one.setRemoteDescription(other.localDescription)
    described.one.resolve()
    while (other.connectionState !== 'connected' && performance.now() - started < 10_000) await new Promise(resolve => setTimeout(resolve, 1))
    return performance.now() - started
  }, iceServers)
  await page.close()
  return took
}

const answer = await fetch(`${app.url()}/v1/turn/credentials`, { method: 'POST', headers: { authorization: 'Bearer bench-bench-bench-bench-bench', 'content-type': 'application/json' }, body: '{"transports":["udp"],"policy":"relay"}' })
const { iceServers } = await answer.json() as { iceServers: IceServer[] }
const rounds: { ours: number, least: number }[] = []
for (let i = 0; i < ROUNDS; i++) rounds.push({ ours: await callThroughPage(i), least: await callInOnePage(iceServers) })
report('join → connected through page and relay ÷ two ends in one page', rounds.map(round => round.ours / round.least), '≤ 1.5')
process.stdout.write(`  ${Math.round(median(rounds.map(round => round.ours)))} and ${Math.round(median(rounds.map(round => round.least)))} ms\n`)
await browser.close()
await app.stop(2000)
rmSync(dataDir, { recursive: true, force: true })
process.exit(0)
