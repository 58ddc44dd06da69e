/** The call page in a real browser: joined, looked at from outside of our own code, and with packets of the test's own between its two ends. */
import type { Page } from 'playwright-core'
import { until } from './files.ts'

type Watched = { made: RTCPeerConnection[], states: string[], errors: string[], packets: Counted & { channel: RTCDataChannel, timer: number } }
export type Counted = { sent: number, received: number }
export type Seen = { local: string, remote: string, protocol: string, /** Of the relay at this end. */ url: string, framesDecoded: number, dataOpen: boolean }

/** Keeps every connection that a page makes where the test can look at it, and the states that it has been in. */
export async function openCallPage (page: Page, url: string): Promise<Page> {
  await page.addInitScript(() => {
    const made: RTCPeerConnection[] = []
    const states: string[] = []
    const errors: string[] = []
    Object.assign(globalThis, { made, states, errors })
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor (configuration?: RTCConfiguration) {
        super(configuration)
        made.push(this)
        this.addEventListener('connectionstatechange', () => states.push(this.connectionState))
        this.addEventListener('icecandidateerror', ({ errorCode, errorText, url }) => errors.push(`${errorCode} ${errorText} ${url}`))
      }
    }
  })
  await page.goto(url)
  await page.waitForSelector('body[data-media]')
  return page
}

/** Presses the button, and resolves when all of them are connected. */
export async function join (pages: readonly Page[], withinMs = 20_000): Promise<void> {
  for (const page of pages) {
    await page.click('#join button')
    await page.waitForSelector('body[data-state=waiting], body[data-state=connecting], body[data-state=connected]')
  }
  await Promise.all(pages.map(page => page.waitForSelector('body[data-state=connected]', { timeout: withinMs }))).catch(async (error: unknown) => {
    const told = await Promise.all(pages.map(page => page.evaluate(() => {
      const { states, errors } = globalThis as unknown as Watched
      return { status: document.querySelector('#status')?.textContent, states, errors }
    })))
    throw new Error(JSON.stringify(told), { cause: error })
  })
}

/** What getStats says of the connection in use; nothing of ours reads it. */
export async function seen (page: Page): Promise<Seen> {
  return await page.evaluate(async () => {
    const connection = (globalThis as unknown as Watched).made.at(-1)
    const report = await connection?.getStats()
    const all = [...(report as unknown as Map<string, Record<string, unknown>>).values()]
    const pair = all.find(({ id }) => id === all.find(({ type }) => type === 'transport')?.['selectedCandidatePairId'])
    const find = (id: unknown): Record<string, unknown> => all.find(stats => stats['id'] === id) ?? {}
    const video = all.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')
    const local = find(pair?.['localCandidateId'])
    return { local: String(local['candidateType']), remote: String(find(pair?.['remoteCandidateId'])['candidateType']), protocol: String(local['relayProtocol'] ?? local['protocol']), url: String(local['url']), framesDecoded: Number(video?.['framesDecoded'] ?? 0), dataOpen: all.some(({ type, state }) => type === 'data-channel' && state === 'open') }
  })
}

/** Every state that the connections of the page have been in. One that is broken for a moment is seen here. */
export async function statesOf (page: Page): Promise<string[]> {
  return await page.evaluate(() => (globalThis as unknown as Watched).states)
}

/** 50 packets a second each way between two pages that are connected, each sent once and never again, beside what the pages themselves send. */
export async function startPackets (pages: readonly Page[]): Promise<{ counted (): Promise<Counted>, /** Ends it, and resolves when all have come, or a while has passed. */ end (): Promise<Counted> }> {
  for (const page of pages) {
    await page.evaluate(async () => {
      const watched = globalThis as unknown as Watched
      // Agreed beforehand, so that the page's own code hears nothing of it.
      const channel = watched.made.at(-1)?.createDataChannel('packets', { negotiated: true, id: 99, ordered: false, maxRetransmits: 0 })
      if (channel === undefined) throw new Error('it has no connection')
      watched.packets = { channel, sent: 0, received: 0, timer: 0 }
      channel.addEventListener('message', () => { watched.packets.received++ })
      if (channel.readyState !== 'open') await new Promise(resolve => channel.addEventListener('open', resolve, { once: true }))
    })
  }
  for (const page of pages) {
    await page.evaluate(() => {
      const { packets } = globalThis as unknown as Watched
      packets.timer = setInterval(() => {
        packets.channel.send('x'.repeat(160))
        packets.sent++
      }, 20) as unknown as number
    })
  }
  const counted = async (): Promise<Counted> => {
    const each = await Promise.all(pages.map(async page => await page.evaluate(() => {
      const { sent, received } = (globalThis as unknown as Watched).packets
      return { sent, received }
    })))
    return each.reduce((sum, { sent, received }) => ({ sent: sum.sent + sent, received: sum.received + received }))
  }
  return {
    counted,
    end: async () => {
      for (const page of pages) await page.evaluate(() => clearInterval((globalThis as unknown as Watched).packets.timer))
      await until('the last packet', async () => await counted().then(({ sent, received }) => sent === received), 3000).catch(() => {})
      return await counted()
    },
  }
}
