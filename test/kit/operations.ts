/** What operators ask of a relay through the API, and how far it is. */
import type { RelayHealth } from '../../src/relay/relay.ts'
import type { TestApp } from './app.ts'
import { until } from './files.ts'
import { sample } from './relay.ts'

export const alternatePort = (app: TestApp): number => Number(app.env['TURNPIKE_RELAY_ALTERNATE_PORT'])

export async function relay (app: TestApp): Promise<RelayHealth> {
  return (await app.request('/v1/relays/turnpike', { key: app.adminKey })).body as unknown as RelayHealth
}

export async function ask (app: TestApp, kind: string, body: object = {}): Promise<{ status: number, body: Record<string, unknown> }> {
  return await app.request(`/v1/relays/turnpike/${kind}`, { method: 'POST', key: app.adminKey, body: JSON.stringify(body) })
}

export async function untilPhase (app: TestApp, phase: string, slot: string, withinMs = 20_000): Promise<void> {
  let seen = ''
  await until(`${phase} in ${slot}`, async () => {
    const { operation, slot: now } = await relay(app)
    seen = `${operation?.phase} ${now} ${operation?.detail}`
    return operation?.phase === phase && now === slot
  }, withinMs).catch((error: unknown) => { throw new Error(`${(error as Error).message}; it was ${seen}`) })
}

export async function metric (app: TestApp, line: string): Promise<number | undefined> {
  return await sample({ render: async () => ({ contentType: '', text: await (await fetch(app.metricsUrl())).text() }) }, line)
}
