/** A real Chromium with a fake camera, or none. */
import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'
import { whenDone } from './cleanup.ts'

const PROGRAM = '/usr/bin/chromium'
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const FAKE_MEDIA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']

export function requireChromium (): void {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: apt-get install chromium`)
}

/** Launches it; closed with the test. `program` may be a wrapper that starts it elsewhere. */
export async function launchBrowser ({ camera = true, flags = [], program = PROGRAM }: { camera?: boolean, flags?: string[], program?: string } = {}): Promise<Browser> {
  requireChromium()
  const browser = await chromium.launch({ executablePath: program, args: [...FLAGS, ...(camera ? FAKE_MEDIA : []), ...flags] })
  whenDone(() => browser.close())
  return browser
}
