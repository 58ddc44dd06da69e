/** The compose file on a network of Docker's own (compose/bridge.yaml), brought up for real and called from another machine. */
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { isRefusal, TurnClient, type Login } from '../../src/stun/turn-client.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { docker, requireCompose, requireDocker } from '../kit/docker.ts'
import { tlsTunnel } from '../kit/edge.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { buildOutside, type Outside } from '../kit/outside.ts'

cleanUpAfterFile()
const PROJECT = `turnpike-bridge-${process.pid}`
const DOMAIN = 'meet.invalid'
const OF_PROJECT = ['--filter', `label=com.docker.compose.project=${PROJECT}`]
const NAMES = ['TURNPIKE_HTTP_PORT', 'TURNPIKE_RELAY_PORT', 'TURNPIKE_RELAY_TLS_PORT', 'TURNPIKE_RELAY_ALTERNATE_PORT', 'TURNPIKE_RELAY_ALTERNATE_TLS_PORT', 'TURNPIKE_EDGE_PORT', 'EDGE_HTTP_PORT', 'PROMETHEUS_PORT', 'GRAFANA_PORT']
let outside: Outside
let env: Record<string, string> = {}
let login: Login

function compose (...args: string[]): string {
  const { PATH = '', HOME = '' } = process.env
  return execFileSync('docker', ['compose', '-f', 'compose/compose.yaml', '-f', 'compose/bridge.yaml', '-p', PROJECT, ...args], { encoding: 'utf8', env: { PATH, HOME, DOCKER_BUILDKIT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}
const portOf = (name: string): number => Number(env[name])
const coturn = (): string => docker('ps', '-q', '--no-trunc', ...OF_PROJECT, '--filter', 'label=io.turnpike.relay')
const untilReady = async (): Promise<void> => await until('readyz', async () => await fetch(`http://127.0.0.1:${portOf('TURNPIKE_HTTP_PORT')}/readyz`).then(({ ok }) => ok, () => false), 60_000)

beforeAll(async () => {
  await requireDocker('coturn', 'debian', 'node', 'haproxy', 'prometheus')
  requireCompose()
  outside = buildOutside()
  const ports = await freePorts(NAMES.length)
  // The policy of a machine in a private network: the world outside has such addresses here.
  env = { ...Object.fromEntries(NAMES.map((name, i) => [name, String(ports[i])])), TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_RELAY_EXTERNAL_IP: outside.machine, TURNPIKE_RELAY_MIN_PORT: '22700', TURNPIKE_RELAY_MAX_PORT: '22719', TURNPIKE_RELAY_PEERS: 'lan', TURNPIKE_RELAY_ON_STOP: 'keep' }
  compose('up', '-d', '--build', 'turnpike', 'edge', 'prometheus')
  await untilReady()
  const [, key = ''] = /TURNPIKE_API_KEY=(\S+)/.exec(compose('exec', '-T', 'turnpike', 'turnpike', 'keys', 'first')) ?? []
  const { username, credential } = await (await fetch(`http://127.0.0.1:${portOf('TURNPIKE_HTTP_PORT')}/v1/turn/credentials`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })).json() as { username: string, credential: string }
  login = { username, password: credential }
}, 600_000)

afterAll(() => {
  compose('stop', 'turnpike')
  const left = coturn().split('\n').filter(id => id !== '')
  if (left.length > 0) docker('rm', '-fv', ...left)
  compose('--profile', 'full', 'down', '-v', '--remove-orphans', '-t', '5')
}, 120_000)

test('from outside, a call relays over UDP and TCP, and both ends see addresses as they are', async () => {
  const told = await outside.ask({ port: portOf('TURNPIKE_RELAY_PORT'), login })
  // Not that of a proxy of Docker's.
  expect(told.mapped).toBe(outside.address)
  for (const { relayed, between } of [told.udp, told.tcp]) expect({ relayed, between }).toEqual({ relayed: [outside.machine, outside.machine], between: 20_000 })
  // The port that was promised is the one that peers see, and the one that they reach.
  expect(told.outbound.relayed).toMatch(new RegExp(`^${outside.machine}:227[01]\\d$`))
  expect(told.outbound.seenFrom).toBe(told.outbound.relayed)
  expect(told.inbound.seenFrom).toBe(told.inbound.sentFrom)
}, 60_000)

/** Two allocations over a TCP port of this machine that relay a packet each 20 ms, until it is ended. */
async function callThrough (port: number): Promise<{ end (): Promise<{ sent: number, received: number }> }> {
  const allocated = async (): Promise<{ client: TurnClient, relayed: { address: string, port: number } }> => {
    const client = await TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port, timeoutMs: 3000 })
    const outcome = await client.allocate(login)
    if (isRefusal(outcome)) throw new Error(JSON.stringify(outcome))
    return { client, relayed: outcome.relayed }
  }
  const [one, other] = [await allocated(), await allocated()]
  await one.client.createPermission(other.relayed.address)
  await other.client.createPermission(one.relayed.address)
  const count = { sent: 0, received: 0 }
  other.client.onData(() => { count.received++ })
  const timer = setInterval(() => { one.client.send(other.relayed, Buffer.alloc(500, 1)); count.sent++ }, 20)
  await until('it relays', () => count.received > 5)
  return {
    end: async () => {
      clearInterval(timer)
      await until('the last packet', () => count.received === count.sent, 3000).catch(() => {})
      await Promise.all([one.client.close(), other.client.close()])
      return count
    },
  }
}

async function answers (port: number): Promise<boolean> {
  const client = await TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port, timeoutMs: 1000 })
  return await client.binding().then(() => true, () => false).finally(() => { client.abandon() })
}

test('a call goes on through the edge while Turnpike is started again', async () => {
  const port = await tlsTunnel(portOf('TURNPIKE_EDGE_PORT'), { servername: `turn.${DOMAIN}` })
  // It looks every two seconds whether there is a coturn.
  await until('the edge leads to coturn', async () => await answers(port), 30_000)
  const [before, call] = [coturn(), await callThrough(port)]
  compose('restart', 'turnpike')
  await untilReady()
  const { sent, received } = await call.end()
  expect(received).toBe(sent)
  expect(coturn()).toBe(before)
}, 60_000)

test('coturn has the network of the others, with the rights that it has on the machine\'s', () => {
  const [network, turnpike] = ['network', 'turnpike'].map(service => compose('ps', '-q', service))
  const modeOf = (id = ''): string => docker('inspect', '--format', '{{.HostConfig.NetworkMode}}', id)
  expect([modeOf(turnpike), modeOf(coturn())]).toEqual([`container:${network}`, `container:${network}`])
  expect(compose('logs', '--no-color', 'guard')).not.toContain('"refused"')
  const status = readFileSync(`/proc/${docker('inspect', '--format', '{{.State.Pid}}', network ?? '')}/status`, 'utf8')
  expect([/^Uid:\s+(\d+)/m.exec(status)?.[1], /^CapEff:\s+(\S+)/m.exec(status)?.[1]]).toEqual(['65534', '0'.repeat(16)])
})

test('nothing is published to the world but what the firewall is told', () => {
  const bindings = JSON.parse(docker('inspect', '--format', '{{json .HostConfig.PortBindings}}', compose('ps', '-q', 'network'))) as Record<string, { HostIp: string, HostPort: string }[]>
  const toWorld = Object.entries(bindings).filter(([, hosts]) => hosts.some(({ HostIp }) => HostIp !== '127.0.0.1')).map(([port]) => port).sort()
  const [relay, tls, alternate, alternateTls, edge, http] = NAMES.slice(1, 7).map(portOf)
  const media = Array.from({ length: 20 }, (_, i) => `${22_700 + i}/udp`)
  expect(toWorld).toEqual([`${relay}/udp`, `${relay}/tcp`, `${alternate}/udp`, `${alternate}/tcp`, `${tls}/tcp`, `${alternateTls}/tcp`, `${edge}/tcp`, `${http}/tcp`, ...media].sort())
  // IPv6 would come through a proxy, from one address for all.
  expect(Object.values(bindings).flat().map(({ HostIp }) => HostIp).filter(ip => ip.includes(':') || ip === '')).toEqual([])
  expect(Object.keys(bindings)).toHaveLength(toWorld.length + 3)
})

test('a network that is made anew gets a coturn of its own', async () => {
  const before = coturn()
  compose('restart', 'network')
  await untilReady()
  await until('another coturn', () => ![before, ''].includes(coturn()))
  expect((await outside.ask({ port: portOf('TURNPIKE_RELAY_PORT'), login })).udp.between).toBe(20_000)
}, 90_000)

test('after a start of the machine everything is back by itself, also where the engine gave it up for want of the network', async () => {
  const ids = ['turnpike', 'edge', 'prometheus', 'network'].map(service => compose('ps', '-q', service))
  docker('kill', ...ids)
  docker('kill', coturn())
  // As older engines do it then, in whatever order.
  for (const id of ids.slice(0, -1)) expect(() => docker('start', id)).toThrow('cannot join network of a non running container')
  docker('start', ids.at(-1) ?? '')
  docker('restart', '-t', '1', compose('ps', '-q', 'guard'))
  await untilReady()
  expect(['edge', 'prometheus'].map(service => compose('ps', '-q', service))).toEqual(ids.slice(1, -1))
  const targets = async (): Promise<string> => await fetch(`http://127.0.0.1:${portOf('PROMETHEUS_PORT')}/api/v1/query?query=up`).then(async answer => await answer.text(), () => '')
  await until('Prometheus has us as a target', async () => /"job":"turnpike"[^\]]*\},"value":\[[\d.]+,"1"\]/.test(await targets()), 40_000)
  expect((await outside.ask({ port: portOf('TURNPIKE_RELAY_PORT'), login })).tcp.between).toBe(20_000)
}, 90_000)

test('every service but the guard is in it, in the profile full too', () => {
  const { services } = JSON.parse(compose('--profile', 'full', 'config', '--format', 'json')) as { services: Record<string, { image: string, network_mode?: string, command?: string[] | null }> }
  const modes = Object.fromEntries(Object.entries(services).map(([name, service]) => [name, service.network_mode]))
  expect(modes).toEqual({ edge: 'service:network', grafana: 'service:network', guard: 'none', prometheus: 'service:network', turnpike: 'service:network' })
  const file = parse(readFileSync('compose/compose.yaml', 'utf8')) as { services: { prometheus: { command: string[] } } }
  // Compose replaces a command as a whole: what else stands in it must be the same.
  expect(services['prometheus']?.command).toEqual(file.services.prometheus.command.map(word => word.replace('127.0.0.1:9090', '0.0.0.0:9090')))
  expect(services['network']?.image).toMatch(/:\d+\.\d+\.\d+$/)
})

test('a line in compose/.env is as good as naming the file', () => {
  const directory = scratchDirectory()
  cpSync('compose', directory, { recursive: true, filter: source => !/\.(env|deployed\.yaml)$/.test(source) })
  writeFileSync(`${directory}/.env`, 'TURNPIKE_DOMAIN=localhost\nCOMPOSE_FILE=compose.yaml:bridge.yaml\n')
  const { PATH = '', HOME = '' } = process.env
  expect(execFileSync('docker', ['compose', 'config', '--services'], { cwd: directory, env: { PATH, HOME }, encoding: 'utf8' }).trim().split('\n').sort()).toEqual(['edge', 'guard', 'network', 'turnpike'])
})

test('down leaves nothing behind', () => {
  // Kept, it is none of compose's; Turnpike first, because it would start another one.
  compose('stop', 'turnpike')
  docker('rm', '-fv', coturn())
  compose('--profile', 'full', 'down', '-v', '--remove-orphans', '-t', '5')
  expect([docker('ps', '-aq', ...OF_PROJECT), docker('volume', 'ls', '-q', ...OF_PROJECT), docker('network', 'ls', '-q', ...OF_PROJECT)]).toEqual(['', '', ''])
})
