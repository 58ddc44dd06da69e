/** Allocations of a real client, closed with the test. */
import { onTestFinished } from 'vitest'
import { isRefusal, TurnClient, type Allocation, type Refusal } from '../../src/stun/turn-client.ts'
import type { TestApp } from './app.ts'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type Issued = { username: string, credential: string, iceServers: { urls: string[], username?: string, credential?: string }[] }

export function relayPort (app: { env: Record<string, string> }): number {
  return Number(app.env['TURNPIKE_RELAY_PORT'])
}

/** A credential of the project of the key; throws where it is refused. */
export async function issue (app: TestApp, body: object = {}, key?: string): Promise<Issued> {
  const answer = await app.request('/v1/turn/credentials', { method: 'POST', body: JSON.stringify(body), ...(key === undefined ? {} : { key }) })
  if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body as unknown as Issued
}

/** What coturn says to an Allocate with it. The client is closed with the test. */
export async function allocate (port: number, { username, credential }: Pick<Issued, 'username' | 'credential'>): Promise<{ client: TurnClient, outcome: Allocation | Refusal }> {
  for (let tries = 1; ; tries++) {
    const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs: 2000 })
    onTestFinished(async () => { await client.close().catch(() => {}) })
    const outcome = await client.allocate({ username, password: credential })
    // The kernel gave us the port of a client before, whose allocation coturn still has (RFC 8656 §7.2).
    if (!isRefusal(outcome) || outcome.code !== 437 || tries === 3) return { client, outcome }
  }
}

/** A live allocation; throws where it is refused. */
export async function allocated (port: number, issued: Pick<Issued, 'username' | 'credential'>): Promise<{ client: TurnClient, relayed: Allocation['relayed'] }> {
  const { client, outcome } = await allocate(port, issued)
  if (isRefusal(outcome)) throw new Error(`refused: ${outcome.code} ${outcome.reason}`)
  return { client, relayed: outcome.relayed }
}

export type Listed = { id: string, project: string, user: string, key: string | null, clientAddress: string }

export async function liveAllocations (app: TestApp, query = ''): Promise<Listed[]> {
  return (await app.request(`/v1/turn/allocations${query}`, { key: app.adminKey })).body['allocations'] as Listed[]
}

/** The feed tells a moment after coturn has answered. */
export async function untilLive (app: TestApp, count: number, query = '', withinMs = 5000): Promise<Listed[]> {
  let live: Listed[] = []
  await until(`${count} allocations live`, async () => {
    live = await liveAllocations(app, query)
    return live.length === count
  }, withinMs)
  return live
}

export type Call = { relayed: Allocation['relayed'][], received (): number, sent (): number, /** Ends the sending; resolves to what was sent and what came. */ end (): Promise<{ sent: number, received: number }>, /** Its clients let go of their allocations. */ hangUp (): Promise<void> }

/** 50 packets a second both ways through two allocations on this port, until it is ended. */
export async function startCall (app: TestApp, port = relayPort(app), room?: string): Promise<Call> {
  const of = async (user: string) => await allocated(port, await issue(app, { user, ...(room === undefined ? {} : { room }) }))
  const [one, other] = [await of('alice'), await of('bob')]
  await one.client.createPermission('127.0.0.1')
  await other.client.createPermission('127.0.0.1')
  const count = { sent: 0, received: 0 }
  one.client.onData(() => count.received++)
  other.client.onData(() => count.received++)
  const sending = setInterval(() => {
    one.client.send(other.relayed, Buffer.alloc(160))
    other.client.send(one.relayed, Buffer.alloc(160))
    count.sent += 2
  }, 20)
  whenDone(() => clearInterval(sending))
  return {
    relayed: [one.relayed, other.relayed],
    received: () => count.received,
    sent: () => count.sent,
    end: async () => {
      clearInterval(sending)
      await new Promise(resolve => setTimeout(resolve, 300))
      return count
    },
    hangUp: async () => { await Promise.all([one.client.close(), other.client.close()]) },
  }
}
