/**
 * The compose file on a machine of its own, as the world and the power supply see it: what listens there is what README.md says, no more and
 * no less, each port of its firewall table is needed for what the table says, and after the power was gone everything is back by itself.
 */
import { execFileSync } from 'node:child_process'
import { beforeAll, expect, test } from 'vitest'
import type { Login } from '../../src/stun/turn-client.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { run } from '../kit/command.ts'
import { until } from '../kit/files.ts'
import { firewallTable, listeners, openOnly, type Row } from '../kit/firewall.ts'
import { buildInternet, PUBLIC_IP } from '../kit/namespaces.ts'
import type { Told } from '../kit/peer-program.ts'
import type { Release } from '../kit/release.ts'
import type { Seen, Visit } from '../kit/visitor.ts'
import { requireVps, startVps, VPS_DOMAIN, type Vps } from '../kit/vps.ts'

cleanUpAfterFile()
const STRANGER = '203.0.113.99'
/** The stranger's too. Media is relayed to public addresses alone, which those of the small internet are not. */
const STRANGERS_PUBLIC = '25.0.0.1'
const FLAGS = ['--disable-warning=ExperimentalWarning']
const { rows, closed } = firewallTable()
/** In use only while one coturn takes over from another. */
const isAlternate = (name: string): boolean => [/ 3479$/, / 5350$/].some(pattern => pattern.test(name))
const outside = rows.filter(({ isLocalInCompose }) => !isLocalInCompose)
const opens = (some: readonly Row[]): string[] => some.flatMap(row => row.opens)
const media = Number(/(\d+)\+/.exec(opens(rows).join())?.[1])
let vps: Vps
let release: Release
let stranger = ''
let machine = ''
let summary = ''
let apiKey = ''
let login: Login

const keys = (): string => vps.sh(release.directory, 'docker compose -f compose/compose.yaml exec -T turnpike turnpike keys first')
const isReady = (): boolean => vps.exec('curl', '-sS', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:8080/readyz') === '200'
const ask = (path: string, body: object): Record<string, string> => JSON.parse(vps.exec('curl', '-fsS', '-m', '5', '-H', `Authorization: Bearer ${apiKey}`, '--json', JSON.stringify(body), `http://127.0.0.1:8080${path}`)) as Record<string, string>

function issue (): Login {
  const { username = '', credential = '' } = ask('/v1/turn/credentials', { user: 'alice' })
  return { username, password: credential }
}

/** What a stranger sees of it; of coturn, on these ports. */
async function look (ports: Visit['ports']): Promise<Seen> {
  const visit: Visit = { address: PUBLIC_IP, domain: VPS_DOMAIN, own: STRANGERS_PUBLIC, login, media, ports }
  const looking = run('ip', ['netns', 'exec', stranger, process.execPath, ...FLAGS, 'test/kit/visitor.ts', JSON.stringify(visit)], {})
  expect(await looking.exit, looking.all()).toMatchObject({ code: 0 })
  return JSON.parse(looking.out()) as Seen
}
const MAIN = { turn: [3478], tls: [5349] }
const ALTERNATE = { turn: [3479], tls: [5350] }
/** By whether it comes about. */
async function seen (ports: Visit['ports'] = MAIN): Promise<{ works: string[], fails: string[] }> {
  const tried = Object.entries((await look(ports)).ports)
  return { works: tried.filter(([, came]) => came).map(([name]) => name).sort(), fails: tried.filter(([, came]) => !came).map(([name]) => name).sort() }
}

beforeAll(async () => {
  await requireVps()
  const internet = buildInternet(0)
  vps = await startVps(internet)
  stranger = internet.machine('stranger', STRANGER)
  execFileSync('sh', ['-ec', `ip -n ${stranger} addr add ${STRANGERS_PUBLIC}/32 dev wan; ip -n ${internet.pub} route add ${STRANGERS_PUBLIC}/32 dev net`])
  machine = internet.pub
  release = vps.unpack()
  // Port 80 is opened later.
  openOnly(vps, opens(outside).filter(name => name !== 'tcp 80'))
  const { code, out, err } = await release.turnpike('up', '--domain', VPS_DOMAIN, '--profile', 'full')
  expect(code, err).toBe(0)
  summary = out
  apiKey = /TURNPIKE_API_KEY=(\S+)/.exec(keys())?.[1] ?? ''
  login = issue()
}, 600_000)

test('the table names every port once, and what the start says to open is the same', () => {
  expect(new Set(opens(rows)).size).toBe(opens(rows).length)
  const said = [...(/open in the firewall:\n(.*?)\n\n/s.exec(summary)?.[1] ?? '').matchAll(/^ +(tcp|udp) ([\d,-]+) /gm)]
  const ports = said.flatMap(([, protocol = '', list = '']) => list.split(',').map(port => `${protocol} ${port.replace(/-\d+$/, '+')}`))
  expect(ports.sort()).toEqual(opens(outside).sort())
})

test('without port 80 there is no certificate; with it there is one at once', async () => {
  expect((await look(MAIN)).issuer).not.toMatch(/Pebble/)
  openOnly(vps, opens(outside))
  await until('the certificate', async () => /Pebble/.test((await look(MAIN)).issuer), 60_000)
})

test('what listens to the world is what the table names, and what is not to be opened listens on loopback alone', async () => {
  const inTable = (name: string): boolean => opens(outside).includes(name) || (name.startsWith('udp ') && Number(name.slice(4)) >= media)
  const expected = opens(outside).filter(name => !isAlternate(name) && !name.endsWith('+')).sort()
  // The relay's own check allocates now and then.
  await until('nothing is missing', () => expected.every(name => listeners(vps).world.includes(name)))
  await until('nothing else', () => listeners(vps).world.every(inTable)).catch(() => expect(listeners(vps).world.filter(name => !inTable(name))).toEqual([]))
  const { local } = listeners(vps)
  expect(local).toEqual(expect.arrayContaining([...closed, 8080].filter(port => port !== 3000).map(port => `tcp ${port}`)))
})

test.each(outside.map(row => [row.ports, row] as const))('ports %s: closed, what they are for fails, and everything else goes on', async (_ports, row) => {
  const needed = (names: readonly string[]): string[] => names.filter(name => !isAlternate(name)).sort()
  openOnly(vps, opens(outside.filter(other => other !== row)))
  const { works, fails } = await seen()
  expect(fails).toEqual(needed(row.opens))
  expect(works).toEqual(needed(opens(outside.filter(other => other !== row))))
})

test('after the power was gone it is back by itself: the same keys, what was issued before allocates, and nothing is left over', async () => {
  openOnly(vps, opens(outside))
  const names = (): string[] => vps.docker('ps', '-a', '--format', '{{.Names}} {{.State}}').split('\n').sort()
  const before = names()
  const coturn = vps.docker('ps', '-q', '--filter', 'label=io.turnpike.relay')
  const peer = (name: string, ...how: string[]): { told (): Told[] } => {
    const { token = '' } = ask('/v1/rooms/lobby/tokens', { peer: name })
    const started = run('ip', ['netns', 'exec', machine, process.execPath, ...FLAGS, 'test/kit/peer-program.ts', 'ws://127.0.0.1:8080/v1/signal', token, ...how], {})
    return { told: () => started.out().trim().split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Told) }
  }
  const [stays, goes] = [peer('stays', 'rejoins'), peer('goes')]
  await until('both are in', () => [stays, goes].every(({ told }) => told().length === 1))
  await vps.reboot()
  await until('it is ready', () => { try { return isReady() } catch { return false } }, 60_000)
  await until('no container of a start is left', () => names().join() === before.join(), 20_000).catch(() => expect(names()).toEqual(before))
  expect(vps.docker('ps', '-q', '--filter', 'label=io.turnpike.relay')).not.toBe(coturn)
  expect(keys()).toContain(apiKey)
  await until('all of it works with a credential of before', async () => (await seen()).fails.length === 0, 30_000).catch(async () => expect((await seen()).fails).toEqual([]))
  login = issue()
  expect((await seen()).fails).toEqual([])
  // A server that was killed knows no session: who has a token is in again, and who has not is told.
  await until('both know', () => [stays, goes].every(({ told }) => told().length === 2))
  expect(stays.told()[1]).toMatchObject({ is: 'in', resumed: false })
  expect(goes.told()[1]).toMatchObject({ is: 'over' })
})

test('while one coturn takes over from another, the second ports are needed, and nothing else listens', async () => {
  vps.sh(release.directory, 'docker compose -f compose/compose.yaml exec -T turnpike turnpike relays upgrade turnpike')
  const second = opens(outside).filter(isAlternate).sort()
  await until('the second one listens', () => second.every(name => listeners(vps).world.includes(name)), 20_000)
  login = issue()
  const tried = async (): Promise<string[]> => (await seen(ALTERNATE)).fails
  await until('it takes calls', async () => (await tried()).length === 0, 20_000)
  openOnly(vps, opens(outside).filter(name => !isAlternate(name)))
  expect((await tried()).filter(name => !name.endsWith('+'))).toEqual(second)
  expect(listeners(vps).world.filter(name => !opens(outside).includes(name) && !name.startsWith('udp '))).toEqual([])
})
