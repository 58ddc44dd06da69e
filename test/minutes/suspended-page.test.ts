/** A page whose process does not run for 20 s, as that of a tab that is put to sleep: nothing in it answers, neither script nor media. */
import type { Browser } from 'playwright-core'
import { expect, test } from 'vitest'
import { startApp } from '../kit/app.ts'
import { launchBrowser } from '../kit/browser.ts'
import { whenDone } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { joinRoom, loadSdk, mediaFlows, stateOf } from '../kit/sdk-page.ts'

const SUSPENDED_MS = 20_000
const BACK_WITHIN_MS = 10_000

/** The processes in which pages of this browser run. */
async function renderers (browser: Browser): Promise<number[]> {
  const control = await browser.newBrowserCDPSession()
  const { processInfo } = await control.send('SystemInfo.getProcessInfo')
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
}

test('a page that was suspended for 20 s is back in its call, in the same session, with everything that was said to it', async () => {
  const app = await startApp()
  const awakeBrowser = await launchBrowser()
  const asleepBrowser = await launchBrowser()
  const [awake, asleep] = [await awakeBrowser.newPage(), await asleepBrowser.newPage()]
  for (const page of [awake, asleep]) {
    await loadSdk(page, app.url())
    await joinRoom(page, 'sleep')
  }
  for (const page of [awake, asleep]) await mediaFlows(page)
  const session = await asleep.evaluate(() => window.room.session)
  const pids = await renderers(asleepBrowser)
  expect(pids.length).toBeGreaterThan(0)
  const wake = (): void => pids.forEach(pid => process.kill(pid, 'SIGCONT'))
  whenDone(() => { try { wake() } catch { /* The browser is gone already. */ } })
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  const suspendedAt = performance.now()
  await awake.evaluate(async () => { for (const id of window.room.peers.keys()) await window.room.send(id, 'wake up') })
  await until('the time to be over', () => performance.now() - suspendedAt > SUSPENDED_MS, 2 * SUSPENDED_MS)
  expect(await stateOf(awake)).toBe('reconnecting')
  wake()
  const back = await Promise.all([awake, asleep].map(async page => await mediaFlows(page)))
  await until('what was said', async () => await asleep.evaluate(() => window.told.some(({ what }) => what === 'signal wake up')))
  await until('both', async () => await stateOf(awake) === 'connected' && await stateOf(asleep) === 'connected')
  expect(Math.max(...back)).toBeLessThan(BACK_WITHIN_MS)
  expect(await asleep.evaluate(() => window.room.session)).toBe(session)
  expect(await awake.evaluate(() => window.told.filter(({ what }) => what.startsWith('peer-left')))).toEqual([])
})
