/** Two people, a real Chromium, the real server, a real relay: what they see, and which way it goes. */
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { join, openCallPage, seen } from '../kit/call-page.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  app = await startApp({ TURNPIKE_TLS_CERT: cert, TURNPIKE_TLS_KEY: key })
})

let rooms = 0
const openPage = async (page: Page, path: string, server = app.url()): Promise<Page> => await openCallPage(page, server + path)

test.each(['udp', 'tcp', 'tls'])('a fake-media call flows over the relay alone, over %s, and the page says so', async transport => {
  const browser = await launchBrowser({ flags: ['--ignore-certificate-errors'] })
  const context = await browser.newContext()
  const room = `/call/relay-${++rooms}?relay=${transport}`
  const pages = [await openPage(await context.newPage(), room), await openPage(await context.newPage(), room)]
  await join(pages)
  for (const page of pages) {
    await until('pictures arrive', async () => (await seen(page)).framesDecoded > 10, 20_000)
    expect(await seen(page)).toMatchObject({ local: 'relay', remote: 'relay', protocol: transport })
    await page.waitForSelector(`body[data-path=relay][data-transport=${transport}]`)
    await page.waitForFunction(name => document.querySelector('.tile .path')?.textContent?.includes(`Relayed at both ends over ${name}`), transport.toUpperCase())
    expect(await page.textContent('#status')).toBe('One other person, through the relay')
  }
})

test('without the switch the call goes directly; with it, through the relay; names, messages and leaving are seen', async () => {
  const browser = await launchBrowser()
  const [ada, grace] = [await openPage(await (await browser.newContext()).newPage(), `/call/direct-${++rooms}`), await openPage(await (await browser.newContext()).newPage(), `/call/direct-${rooms}`)]
  await ada.fill('#name', 'Ada')
  await grace.fill('#name', 'Grace')
  await join([ada, grace])
  expect(await seen(ada)).toMatchObject({ local: expect.not.stringMatching('relay'), remote: expect.not.stringMatching('relay') })
  await ada.waitForSelector('body[data-path=direct]')
  expect(await ada.textContent('.tile .name')).toBe('Grace')
  await grace.fill('#text', 'Hello Ada')
  await grace.click('#say button')
  await ada.waitForFunction(() => document.querySelector('#messages li:not(.note)')?.textContent === 'GraceHello Ada')
  await ada.click('#relay-now')
  await ada.waitForSelector('body[data-state=connected][data-path=relay]', { timeout: 20_000 })
  expect(await seen(ada)).toMatchObject({ local: 'relay' })
  await grace.click('#leave')
  await ada.waitForSelector('body[data-state=waiting]')
  expect(await grace.textContent('#notice-title')).toBe('You left')
  expect(await ada.textContent('#messages')).toContain('Grace left')
})

test('without camera and microphone it is a call of messages alone, and the page says why', async () => {
  const browser = await launchBrowser({ camera: false })
  const context = await browser.newContext()
  const room = `/call/data-${++rooms}?relay=udp`
  const pages = [await openPage(await context.newPage(), room), await openPage(await context.newPage(), room)]
  const [one, other] = pages as [Page, Page]
  expect(await one.getAttribute('body', 'data-media')).toBe('none')
  expect(await one.textContent('#preview-text')).toContain('You can join with messages alone')
  await join(pages)
  await until('messages can be sent', async () => (await seen(one)).dataOpen)
  expect(await seen(one)).toMatchObject({ local: 'relay', remote: 'relay', framesDecoded: 0 })
  await one.fill('#text', 'only words')
  await one.click('#say button')
  await other.waitForFunction(() => document.querySelector('#messages')?.textContent?.includes('only words'))
})

test('three people see two others each', async () => {
  const browser = await launchBrowser()
  const context = await browser.newContext()
  const pages = await Promise.all([1, 2, 3].map(async () => await openPage(await context.newPage(), '/call/three')))
  await join(pages)
  for (const page of pages) await page.waitForFunction(() => document.querySelectorAll('.tile[data-connection=connected]').length === 2)
})

/** A server of its own that goes, and comes back where it was. */
async function shortLived (): Promise<{ url: string, go: () => Promise<void>, comeBack: () => Promise<void> }> {
  const own = await startApp()
  const url = own.url()
  return { url, go: async () => await own.stop(2000), comeBack: async () => { await startApp({ ...own.env, TURNPIKE_HTTP_PORT: new URL(url).port }) } }
}

test('without a server a page waits and says so in words; whoever leaves can join again when it is back', async () => {
  const server = await shortLived()
  const browser = await launchBrowser({ camera: false })
  const page = await browser.newPage()
  await page.clock.install()
  await openPage(page, '/call/x', server.url)
  await page.click('#join button')
  await page.waitForSelector('body[data-state=waiting]')
  await server.go()
  await page.waitForFunction(() => document.querySelector('#messages')?.textContent?.includes('The server cannot be reached'))
  await page.clock.runFor(180_000)
  expect(await page.textContent('#status')).toBe('No connection to the server. Trying again …')
  await page.click('#leave')
  await page.click('#again')
  await page.waitForFunction(() => document.querySelector('#notice-title')?.textContent === 'You could not join')
  expect(await page.textContent('#notice-text')).toBe('The server cannot be reached now. Look whether you have a network, and try again in a moment.')
  await server.comeBack()
  await page.click('#again')
  await page.waitForSelector('#controls:not([hidden])')
  expect(await page.textContent('#status')).toMatch(/You are in|Connecting/)
})

test('a call that flows goes on for as long as it flows, however long the server is away, and is the same when it is back', async () => {
  const server = await shortLived()
  const browser = await launchBrowser()
  const pages: Page[] = []
  for (let i = 0; i < 2; i++) {
    const page = await (await browser.newContext()).newPage()
    await page.clock.install()
    pages.push(await openPage(page, '/call/goes-on', server.url))
  }
  await join(pages)
  await server.go()
  for (const page of pages) {
    await page.waitForFunction(() => document.querySelector('#status')?.textContent === 'One other person, directly. No connection to the server; the call goes on.')
    await page.clock.runFor(180_000)
  }
  for (const page of pages) {
    const { framesDecoded } = await seen(page)
    await until('pictures arrive', async () => (await seen(page)).framesDecoded > framesDecoded + 10)
    expect(await page.getAttribute('body', 'data-state')).toBe('connected')
  }
  await server.comeBack()
  for (const page of pages) {
    await until('the server to be found', async () => {
      await page.clock.runFor(1000)
      return await page.textContent('#status') === 'One other person, directly'
    }, 30_000)
  }
  for (const page of pages) expect(await page.evaluate(() => (globalThis as unknown as { made: unknown[] }).made.length)).toBe(1)
})

test('pages load nothing from elsewhere, log no error, and a closed call page says so', async () => {
  const browser = await launchBrowser()
  const page = await browser.newPage()
  const problems: string[] = []
  page.on('console', message => { if (message.type() === 'error') problems.push(message.text()) })
  page.on('pageerror', error => problems.push(error.message))
  page.on('request', request => { if (!request.url().startsWith(app.url()) && !request.url().startsWith('data:')) problems.push(request.url()) })
  await page.goto(`${app.url()}/`)
  await page.fill('#room-name', 'my room')
  await page.click('#open button')
  await page.waitForURL('**/call/my%20room')
  expect(await page.textContent('#room')).toBe('my room')
  expect(problems).toEqual([])
  const closed = await startApp({ TURNPIKE_CALL_PAGE: 'off' })
  await page.goto(`${closed.url()}/call/x`)
  expect(await page.textContent('h1')).toBe('The call page is closed here')
  expect((await closed.request('/call/x/token', { method: 'POST', body: '{}' })).status).toBe(404)
})

test('tokens of the call page are for the call page, and not without end', async () => {
  const ask = (headers: Record<string, string> = {}) => app.request('/call/x/token', { method: 'POST', body: '{}', key: null, headers })
  expect((await ask()).status).toBe(201)
  expect((await ask({ origin: 'https://evil.example' })).body['code']).toBe('origin-not-allowed')
  expect((await ask({ 'sec-fetch-site': 'cross-site' })).body['code']).toBe('origin-not-allowed')
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask()))
  const limited = answers.find(({ status }) => status === 429)
  expect(limited?.body['code']).toBe('too-many-requests')
  expect(Number(limited?.headers.get('retry-after'))).toBeGreaterThan(0)
})
