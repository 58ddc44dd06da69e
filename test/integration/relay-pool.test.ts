/** Several relays under one control plane: which of them clients are told of, and what each of them believes. */
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { mintLogin, startCoturn } from '../kit/coturn.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { allocated, issue, untilLive, type Issued } from '../kit/turn.ts'

const ELSEWHERE_SECRET = 'secret-of-the-relay-elsewhere'
type Pool = { app: TestApp, ports: { here: number, eu: number, us: number } }

/** One as the settings describe it, one more here in the region eu, and one that somebody else runs in us. */
async function startPool (more: Record<string, string> = {}): Promise<Pool> {
  const elsewhere = await startCoturn({ lines: ['use-auth-secret', `static-auth-secret=${ELSEWHERE_SECRET}`, 'allow-loopback-peers', 'denied-peer-ip=169.254.0.0-169.254.255.255'] })
  const [port = 0, tlsPort = 0, alternatePort = 0, alternateTlsPort = 0] = await freePorts(4)
  const file = `${scratchDirectory()}/turnpike.yaml`
  writeFileSync(file, JSON.stringify({
    relays: {
      fra: { region: 'eu', host: 'localhost', port, tlsPort, alternatePort, alternateTlsPort, minPort: 20700, maxPort: 20799 },
      nyc: { driver: 'external', region: 'us', host: '127.0.0.1', port: elsewhere.port, secret: ELSEWHERE_SECRET },
    },
  }))
  const app = await startApp({ TURNPIKE_CONFIG: file, TURNPIKE_RELAY_PROBE_SECONDS: '1', ...more })
  return { app, ports: { here: Number(app.env['TURNPIKE_RELAY_PORT']), eu: port, us: elsewhere.port } }
}

type Listed = { id: string, region: string, state: string, handedOut: boolean, driver: string }
const relaysOf = async (app: TestApp): Promise<Listed[]> => (await app.request('/v1/relays', { key: app.adminKey })).body['relays'] as Listed[]
const portsIn = ({ iceServers }: Issued): number[] => [...new Set(iceServers.flatMap(({ urls }) => urls).filter(url => url.startsWith('turn:')).map(url => Number(/:(\d+)\?/.exec(url)?.[1])))]
/** As one entry of it says. */
const loginAt = ({ iceServers }: Issued, port: number): { username: string, credential: string } => {
  const { username = '', credential = '' } = iceServers.find(({ urls }) => urls.some(url => url.startsWith('turn:') && url.includes(`:${port}?`))) ?? {}
  return { username, credential }
}

test('each relay is listed with its region and state; a client is told of two at most, those of its region first, and each takes the credential beside its URLs', async () => {
  const { app, ports } = await startPool()
  expect(await relaysOf(app)).toMatchObject([
    { id: 'turnpike', region: 'default', state: 'healthy', driver: 'process' },
    { id: 'fra', region: 'eu', state: 'healthy', driver: 'process' },
    { id: 'nyc', region: 'us', state: 'healthy', driver: 'external' },
  ])
  for (const [region, port] of [['default', ports.here], ['eu', ports.eu], ['us', ports.us]] as const) {
    const issued = await issue(app, { user: `in-${region}`, region })
    const told = portsIn(issued)
    expect(told[0]).toBe(port)
    expect(told).toHaveLength(2)
    for (const each of told) await allocated(each, loginAt(issued, each))
  }
  const elsewhere = await issue(app, { region: 'us' })
  expect(loginAt(elsewhere, ports.us).credential).toBe(elsewhere.credential)
  const expected = mintLogin(ELSEWHERE_SECRET, 0)
  expect(expected.password).not.toBe(elsewhere.credential)
  // Without a region each of them gets its share.
  const first = new Set<number>()
  await until('each has been the first', async () => first.add(portsIn(await issue(app))[0] ?? 0).size === 3)
  const wrong = await app.request('/v1/turn/credentials', { method: 'POST', body: JSON.stringify({ region: 'mars' }) })
  expect(wrong.body).toMatchObject({ status: 400, errors: [{ field: 'region', message: 'must be one of default, eu, us' }] })
})

test('a project that may use some regions only is told of no other; forms with room for one credential name the relays that take it', async () => {
  const { app, ports } = await startPool()
  await app.request('/v1/projects/default', { method: 'PATCH', key: app.adminKey, headers: { 'content-type': 'application/merge-patch+json' }, body: JSON.stringify({ regions: ['eu'], forms: ['turn-rest'] }) })
  for (let i = 0; i < 5; i++) expect(portsIn(await issue(app))).toEqual([ports.eu])
  await app.request('/v1/projects/default', { method: 'PATCH', key: app.adminKey, headers: { 'content-type': 'application/merge-patch+json' }, body: JSON.stringify({ regions: ['eu', 'us'] }) })
  for (let i = 0; i < 5; i++) {
    const { body } = await app.request('/turn?service=turn&username=alice')
    const { uris, username, password } = body as unknown as { uris: string[], username: string, password: string }
    const [port, ...others] = [...new Set(uris.map(uri => Number(/:(\d+)\?/.exec(uri)?.[1])))]
    expect(others).toEqual([])
    await allocated(port ?? 0, { username, credential: password })
  }
})

test('a relay that hangs leaves new answers within a probe period, and comes back; its allocations are in the list with the others', async () => {
  const { app, ports } = await startPool()
  const issued = await issue(app, { user: 'alice', region: 'eu', room: 'lobby' })
  await allocated(ports.eu, loginAt(issued, ports.eu))
  await allocated(ports.here, loginAt(await issue(app, { user: 'bob', region: 'default' }), ports.here))
  await untilLive(app, 2)
  const { body } = await app.request('/v1/turn/allocations?room=lobby', { key: app.adminKey })
  expect(body).toMatchObject({ total: 1, allocations: [{ user: 'alice', room: 'lobby', relay: 'fra', id: expect.stringMatching(/^fra\.main\.\d+$/) }] })
  await until('coturn\'s list has told where it relays from', async () => ((await app.request('/v1/turn/allocations?relay=fra', { key: app.adminKey })).body['allocations'] as { relayAddress: string | null }[])[0]?.relayAddress?.startsWith('127.0.0.1:207') === true)
  const { pid } = JSON.parse(await (await import('node:fs/promises')).readFile(`${app.env['TURNPIKE_DATA_DIR']}/relays/fra/turnserver.json`, 'utf8')) as { pid: number }
  process.kill(pid, 'SIGSTOP')
  const stopped = performance.now()
  await until('it is not told any more', async () => !portsIn(await issue(app, { region: 'eu' })).includes(ports.eu))
  // A period of 1 s, what the probe waits for an answer, and room for a busy machine.
  expect(performance.now() - stopped).toBeLessThan(1000 + 1500 + 1000)
  await until('it is started again, and told', async () => portsIn(await issue(app, { region: 'eu' }))[0] === ports.eu, 20_000)
})

test('one that is drained is not told, the others are; one that somebody else runs can be taken out and back, and not upgraded', async () => {
  const { app, ports } = await startPool()
  const ask = async (relay: string, kind: string) => await app.request(`/v1/relays/${relay}/${kind}`, { method: 'POST', key: app.adminKey, body: JSON.stringify(kind === 'upgrade' ? {} : { drainSeconds: 0, handOverSeconds: 0 }) })
  for (const relay of ['nyc', 'turnpike']) expect((await ask(relay, 'drain')).status).toBe(202)
  await until('one is left', async () => (await relaysOf(app)).filter(({ handedOut }) => handedOut).length === 1)
  for (let i = 0; i < 5; i++) expect(portsIn(await issue(app, { region: 'us' }))).toEqual([ports.eu])
  expect((await app.request('/readyz', { key: null })).body).toMatchObject({ ready: true })
  expect((await ask('nyc', 'upgrade')).body).toMatchObject({ status: 409, code: 'relay-not-ours' })
  for (const relay of ['nyc', 'turnpike']) await ask(relay, 'restart')
  await until('all are back', async () => (await relaysOf(app)).every(({ handedOut }) => handedOut), 20_000)
  expect((await ask('mars', 'drain')).body).toMatchObject({ status: 404 })
})
