/** A page that has the SDK and nothing else, in a room of the call page's kind, with a camera. */
import type { Page } from 'playwright-core'
import type { Connection, Room } from '../../src/client/client.ts'
import type { join } from '../../src/client/client.ts'

declare global {
  interface Window {
    Turnpike: { join: typeof join }
    room: Room
    /** What happened, and when (ms of the page's clock). */
    told: { atMs: number, what: string }[]
  }
}

/** Loads the SDK, as a page of any site would. */
export async function loadSdk (page: Page, server: string): Promise<void> {
  await page.goto(`${server}/`)
  await page.addScriptTag({ url: `${server}/sdk/turnpike.umd.js` })
}

/** Joins, and connects to everybody who is there or comes; or waits to be connected to. */
export async function joinRoom (page: Page, room: string, { connects = true, ...options }: { relayOnly?: boolean, connects?: boolean } = {}): Promise<void> {
  await page.evaluate(async ({ room, connects, options }) => {
    const told: Window['told'] = []
    const tell = (what: string): void => { told.push({ atMs: performance.now(), what }) }
    const body = { url: '', token: '', ...await (await fetch(`/call/${room}/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json() as object }
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 160, height: 120 } })
    const joined = await window.Turnpike.join({ ...body, media, ...options })
    const meet = (connection: Connection): void => {
      connection.on('state', state => tell(`connection ${state}`))
      connection.on('error', ({ message }) => tell(`fault ${message}`))
      connection.channel('words').on('message', text => tell(`said ${String(text)}`))
    }
    joined.on('peer-joined', ({ id }) => {
      tell('peer-joined')
      if (connects) meet(joined.connect(id))
    })
    joined.on('peer-left', ({ reason }) => tell(`peer-left ${reason}`))
    joined.on('state', state => tell(state))
    joined.on('session-lost', () => tell('session-lost'))
    joined.on('signal', ({ data }) => tell(`signal ${String(data)}`))
    Object.assign(window, { room: joined, told })
    if (connects) for (const id of joined.peers.keys()) meet(joined.connect(id))
  }, { room, connects, options })
}

/** The one connection of the page. */
export async function stateOf (page: Page): Promise<string | undefined> {
  return await page.evaluate(() => [...window.room.connections.values()][0]?.state)
}

/** Resolves when packets of the other side's camera arrive again; ms since `page` was asked. */
export async function mediaFlows (page: Page, withinMs = 20_000): Promise<number> {
  return await page.evaluate(async withinMs => {
    const begunAt = performance.now()
    const packets = async (): Promise<number> => {
      const pc = [...window.room.connections.values()][0]?.pc
      const all = [...(await pc?.getStats() as unknown as Map<string, Record<string, unknown>> | undefined)?.values() ?? []]
      return all.filter(({ type }) => type === 'inbound-rtp').reduce((sum, stats) => sum + Number(stats['packetsReceived']), 0)
    }
    const before = await packets()
    while (await packets() <= before) {
      if (performance.now() - begunAt > withinMs) throw new Error(`no media within ${withinMs} ms: ${JSON.stringify(window.told)}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    return performance.now() - begunAt
  }, withinMs)
}

/** What this side calls itself on its path: another one after an ICE restart (RFC 8445 §9). */
export async function iceUser (page: Page): Promise<string> {
  return await page.evaluate(() => /a=ice-ufrag:(\S+)/.exec([...window.room.connections.values()][0]?.pc.localDescription?.sdp ?? '')?.[1] ?? '')
}
