/** What a project's settings mean for rooms, origins and regions, and for peers that are revoked. */
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { connect, type Peer, type Refused } from '../kit/peer.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp() })

const codeOf = (outcome: Peer | Refused): unknown => ('status' in outcome ? [outcome.status, outcome.body['code']] : 'joined')
async function projectWith (id: string, settings: object): Promise<string> {
  await app.request('/v1/projects', { method: 'POST', key: app.adminKey, body: JSON.stringify({ id, ...settings }) })
  return String((await app.request(`/v1/projects/${id}/keys`, { method: 'POST', key: app.adminKey, body: '{}' })).body['key'])
}
async function join (key: string, room: string, peer: string, headers: Record<string, string> = {}): Promise<Peer | Refused> {
  const { body } = await app.request(`/v1/rooms/${room}/tokens`, { method: 'POST', key, body: JSON.stringify({ peer }) })
  return await connect(app, { token: String(body['token']), headers })
}

test('peers and rooms of a project stop at its quotas, and those of others do not', async () => {
  const key = await projectWith('small', { quotas: { peers: 3, rooms: 2 } })
  expect([codeOf(await join(key, 'a', '1')), codeOf(await join(key, 'b', '1')), codeOf(await join(key, 'c', '1'))]).toEqual(['joined', 'joined', [503, 'too-many-rooms']])
  expect([codeOf(await join(key, 'a', '2')), codeOf(await join(key, 'a', '3'))]).toEqual(['joined', [503, 'too-many-peers']])
  expect(codeOf(await join(app.apiKey, 'a', '1'))).toBe('joined')
})

test('browsers open sockets from the project\'s origins alone; programs, which have none, from anywhere', async () => {
  const key = await projectWith('framed', { origins: ['https://app.example'] })
  expect(codeOf(await join(key, 'a', '1', { origin: 'https://app.example' }))).toBe('joined')
  expect(codeOf(await join(key, 'a', '2', { origin: 'https://evil.example' }))).toEqual([403, 'origin-not-allowed'])
  expect(codeOf(await join(key, 'a', '3'))).toBe('joined')
})

test('a region that the project has not is named; the one that there is works', async () => {
  const ask = async (region: string, key = app.apiKey) => await app.request('/v1/turn/credentials', { method: 'POST', key, body: JSON.stringify({ region }) })
  expect((await ask('default')).status).toBe(201)
  expect((await ask('mars')).body).toMatchObject({ code: 'invalid-request', errors: [{ field: 'region', message: 'must be one of default' }] })
})

test('a peer whose key is gone gets no more credentials, however long it stays', async () => {
  const own = await startApp({ TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS: '1', TURNPIKE_CREDENTIALS_TTL_SECONDS: '2' })
  const made = (await own.request('/v1/projects/default/keys', { method: 'POST', key: own.adminKey, body: '{}' })).body as { id: string, key: string }
  const { body } = await own.request('/v1/rooms/a/tokens', { method: 'POST', key: made.key, body: '{"peer":"alice"}' })
  const peer = await connect(own, { token: String(body['token']) }) as Peer
  const pushed = (): number => peer.frames.filter(({ type }) => type === 'ice-servers').length
  await until('they are replaced while the key lives', () => pushed() > 0)
  await own.request(`/v1/projects/default/keys/${made.id}?keepCredentials=true`, { method: 'DELETE', key: own.adminKey })
  const before = pushed()
  await new Promise(resolve => setTimeout(resolve, 4000))
  expect(pushed()).toBe(before)
})

test('a peer that is revoked joins without ICE servers; one of a project without quota left too', async () => {
  const key = await projectWith('spent', { quotas: { credentialsPerMinute: 1 } })
  const first = await join(key, 'a', 'alice') as Peer
  expect(first.welcome['iceServers']).toHaveLength(2)
  const second = await join(key, 'a', 'bob') as Peer
  expect([second.welcome['iceServers'], second.welcome['iceExpiresAt']]).toEqual([[], null])
  await app.request('/v1/turn/credentials/carol', { method: 'DELETE' })
  const carol = await join(app.apiKey, 'z', 'carol') as Peer
  expect(carol.welcome['iceServers']).toEqual([])
})
