/**
 * The whole path in one life, as a newcomer has it: a VPS, a name, `docker compose up`, a certificate, calls in browsers whatever way
 * they get through, Grafana's questions answered, an upgrade during calls, another machine out of a backup, and nothing left at the end.
 * The ports are the real ones: the VPS has an engine and a network of its own.
 */
import { readFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { alertRules } from '../kit/alerts.ts'
import { launchBrowser } from '../kit/browser.ts'
import { join, openCallPage, seen, startPackets, statesOf } from '../kit/call-page.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { dashboardExpressions, dashboards } from '../kit/dashboards.ts'
import { until } from '../kit/files.ts'
import { buildInternet } from '../kit/namespaces.ts'
import { issueIn, relayedBytes, visitRoomIn, type IceServers } from '../kit/page-relay.ts'
import type { Release } from '../kit/release.ts'
import { requireVps, startVps, VPS_DOMAIN, type Vps } from '../kit/vps.ts'

cleanUpAfterFile()
const SITE = `https://${VPS_DOMAIN}`
let vps: Vps
let release: Release
let unpacked: string[]
/** Of two people, each behind a NAT. */
let browsers: Browser[] = []
/** A page of ours with which the test does what the call page does not. */
let page: Page
let apiKey = ''

beforeAll(async () => {
  await requireVps()
  const internet = buildInternet(2)
  vps = await startVps(internet)
  // Whoever comes by TLS has to come by 443.
  vps.exec('nft', 'add table inet closed; add chain inet closed input { type filter hook input priority 0; }; add rule inet closed input iifname net tcp dport { 5349, 5350 } reject with tcp reset')
  release = vps.unpack()
  unpacked = filesOf(release)
  const home = vps.abroad.home()
  browsers = await Promise.all(internet.clients.map(async client => await launchBrowser({ camera: false, program: internet.chromiumIn(client, home, vps.abroad.nameserver) })))
}, 600_000)

/** As the docs have them; with -f compose would not read what a test machine must add. */
const shell = (lines: string): string => vps.sh(release.directory, lines.replaceAll('-f compose/compose.yaml', '-f compose/compose.yaml -f compose/compose.override.yaml'))
const idOf = (service: string): string => vps.docker('ps', '-q', '--filter', `label=com.docker.compose.service=${service}`)
const filesOf = ({ directory }: Release): string[] => vps.sh(directory, 'find . -path ./node_modules -prune -o -type f -print').split('\n').sort()

/** The one block of commands of a page of the docs that has these words. */
function block (page: string, words: string): string {
  const found = [...readFileSync(`docs/${page}.md`, 'utf8').matchAll(/```sh\n(.*?)```/gs)].map(([, text = '']) => text).filter(text => text.includes(words))
  expect(found).toHaveLength(1)
  return found[0] ?? ''
}

async function turnpike (...args: string[]): Promise<string> {
  const { code, out, err } = await release.turnpike(...args)
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}\n${out}${err}`)
  return out
}

async function untilReady (): Promise<void> {
  let answer = ''
  const ready = (): boolean => {
    try {
      answer = vps.exec('curl', '-sS', 'http://127.0.0.1:8080/readyz')
      const { ready, certificate } = JSON.parse(answer) as { ready: boolean, certificate: { ready: boolean } }
      return ready && certificate.ready
    } catch {
      return false
    }
  }
  await until('ready, with a certificate', ready, 60_000).catch((error: unknown) => { throw new Error(`${(error as Error).message}; ${answer}`) })
}

/** Two people in a room of their own, connected. */
async function call (transport: string): Promise<Page[]> {
  const room = `${SITE}/call/${transport}-${performance.now()}?relay=${transport}`
  const pages = await Promise.all(browsers.map(async browser => await openCallPage(await browser.newPage(), room)))
  await join(pages, 40_000)
  return pages
}

test('docker compose up by the lines of the docs: an authority gives it a certificate by what port 80 answers, and browsers trust it', async () => {
  shell(`echo COMPOSE_PROFILES=full >> compose/.env\n${block('quick-start', 'echo TURNPIKE_DOMAIN=meet').replace('meet.example.org >', `${VPS_DOMAIN} >>`)}`)
  await untilReady()
  page = await (browsers[0] as Browser).newPage()
  await page.goto(SITE)
  expect(await page.evaluate(() => isSecureContext && location.protocol)).toBe('https:')
  apiKey = /TURNPIKE_API_KEY=(tpk_[\w-]+)/.exec(shell(block('quick-start', 'keys first --delete')))?.[1] ?? ''
  expect(apiKey).not.toBe('')
  await until('TURN over TLS is handed out', async () => JSON.stringify(await issueIn(page, apiKey)).includes('turns:'), 20_000)
}, 180_000)

test.each([
  ['udp', `turn:${VPS_DOMAIN}:3478?transport=udp`],
  ['tcp', `turn:${VPS_DOMAIN}:3478?transport=tcp`],
  ['tls', `turns:turn.${VPS_DOMAIN}:443?transport=tcp`],
])('two people call each other through the relay alone, over %s', async (transport, url) => {
  const pages = await call(transport)
  const packets = await startPackets(pages)
  await until('packets come', async () => (await packets.counted()).received > 50)
  for (const each of pages) expect(await seen(each)).toMatchObject({ local: 'relay', remote: 'relay', protocol: transport, url })
  const { sent, received } = await packets.end()
  expect(received).toBe(sent)
  for (const each of pages) await each.close()
}, 90_000)

/** What Prometheus answers to each, asked where Grafana asks it. */
function query (expressions: readonly string[]): unknown[][] {
  const { datasources: [{ url }] } = parse(vps.docker('exec', idOf('grafana'), 'cat', '/etc/grafana/provisioning/datasources/prometheus.yaml')) as { datasources: [{ url: string }] }
  const answers = vps.exec('curl', '-sS', '-g', '-w', '\n', ...expressions.map(expression => `${url}/api/v1/query?query=${encodeURIComponent(expression)}`))
  return answers.trim().split('\n').map((line, i) => {
    const { data, error } = JSON.parse(line) as { data?: { result: unknown[] }, error?: string }
    if (data === undefined) throw new Error(`${expressions[i]}: ${error}`)
    return data.result
  })
}

test('every expression of the dashboards that Grafana has returns data from Prometheus, and the alerts are loaded', async () => {
  await until('Prometheus answers', () => { try { return JSON.stringify(query(['up{job="turnpike"}'])).includes('"1"') } catch { return false } }, 60_000)
  expect(vps.docker('exec', idOf('grafana'), 'ls', '/etc/grafana/dashboards').split('\n')).toEqual(dashboards().map(({ file }) => file.replace(/^.*\//, '')))
  const { data } = JSON.parse(vps.exec('curl', '-sS', 'http://127.0.0.1:9090/api/v1/rules')) as { data: { groups: { rules: { name: string }[] }[] } }
  expect(data.groups.flatMap(({ rules }) => rules.map(({ name }) => name))).toEqual(alertRules().map(({ alert }) => alert))
  let silent = dashboardExpressions().map(({ expr }) => expr)
  expect(silent.length).toBeGreaterThan(60)
  // Something of everything: traffic, a room with a signal in it that goes nowhere.
  await until('every expression returns data', async () => {
    await relayedBytes(page, await issueIn(page, apiKey))
    await visitRoomIn(page, apiKey)
    const answers = query(silent)
    silent = silent.filter((_, i) => answers[i]?.length === 0)
    if (silent.length > 0) await new Promise(resolve => setTimeout(resolve, 2000))
    return silent.length === 0
  }, 60_000).catch(() => {})
  expect(silent).toEqual([])
}, 150_000)

test('turnpike up takes it over, and an upgrade during calls of every kind breaks none and loses no packet', async () => {
  await turnpike('up')
  await untilReady()
  const calls = await Promise.all(['udp', 'tcp', 'tls'].map(async transport => await call(transport)))
  const packets = await Promise.all(calls.map(async pages => await startPackets(pages)))
  const others = ['coturn', 'edge', 'prometheus', 'grafana'].map(idOf)
  expect(others).not.toContain('')
  release.edit('src/main.ts', text => `${text}// The next version.\n`)
  expect(await turnpike('upgrade')).toMatch(/^upgraded: turnpike:/)
  expect(vps.docker('exec', idOf('turnpike'), 'tail', '-1', '/turnpike/src/main.ts')).toBe('// The next version.')
  expect(['coturn', 'edge', 'prometheus', 'grafana'].map(idOf)).toEqual(others)
  for (const each of packets) {
    const { sent, received } = await each.end()
    expect(sent).toBeGreaterThan(200)
    expect(received).toBe(sent)
  }
  for (const each of calls.flat()) {
    expect(await statesOf(each)).toEqual(['connecting', 'connected'])
    await until('the page has found the server again', async () => await each.textContent('#status') === 'One other person, through the relay', 30_000)
  }
  for (const each of calls.flat()) await each.close()
}, 180_000)

test('a backup, everything destroyed, and a new one out of it: keys and credentials that were issued before work', async () => {
  const issued: IceServers = await issueIn(page, apiKey)
  expect(await relayedBytes(page, issued)).toBe(20_000)
  shell(block('operators-life', 'turnpike backup'))
  shell('docker compose -f compose/compose.yaml down -v')
  shell(/`(docker ps [^`]*docker rm [^`]*)`/.exec(readFileSync('docs/operations.md', 'utf8'))?.[1] ?? 'false')
  expect([vps.docker('ps', '-aq'), vps.docker('volume', 'ls', '-q')]).toEqual(['', ''])
  await turnpike('up')
  await untilReady()
  // It is another one: of what was issued there it knows nothing.
  expect(await relayedBytes(page, issued)).toBe('refused: 401')
  await expect(issueIn(page, apiKey)).rejects.toThrow('401')
  shell(block('operators-life', 'turnpike restore $f'))
  await untilReady()
  expect(await relayedBytes(page, issued)).toBe(20_000)
  await page.goto(SITE)
  expect(await relayedBytes(page, await issueIn(page, apiKey))).toBe(20_000)
}, 180_000)

test('uninstall leaves nothing behind: no container, volume, network, image of ours, process, nor file', async () => {
  expect(await turnpike('uninstall', '--yes')).toBe('Turnpike is gone.\n')
  expect([vps.docker('ps', '-aq'), vps.docker('volume', 'ls', '-q'), vps.docker('image', 'ls', '-q', 'turnpike')]).toEqual(['', '', ''])
  expect(vps.docker('network', 'ls', '--format', '{{.Name}}').split('\n').sort()).toEqual(['host', 'none'])
  expect(vps.exec('ss', '-Htuln')).toBe('')
  // The settings were the operator's, and up's; the backup is the operator's own.
  expect(filesOf(release)).toEqual([...unpacked.filter(file => file !== './compose/.env'), './turnpike.db'].sort())
}, 60_000)
