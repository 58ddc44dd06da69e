/** The doctor against a real relay: over HTTP, and as a person uses it. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Finding } from '../../src/protocol/findings.ts'
import { loopbackSettings, startApp, type TestApp } from '../kit/app.ts'
import { run } from '../kit/command.ts'
import { freePorts, scratchDirectory, selfMadeCertificate } from '../kit/files.ts'
import { untilLive } from '../kit/turn.ts'

type Report = { findings: Finding[], worst: string, at: number }
type Said = { code: number, out: string, err: string }

async function turnpike (env: Record<string, string>, ...args: string[]): Promise<Said> {
  const { PATH = '', HOME = '' } = process.env
  return await new Promise(resolve => {
    execFile('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', ...args], { env: { PATH, HOME, ...env }, encoding: 'utf8' }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }))
  })
}

/** No question goes to anybody outside. */
const QUIET = { TURNPIKE_RELAY_STUN_SERVERS: 'none' }

async function examined (app: TestApp): Promise<Report> {
  const { status, body } = await app.request('/v1/doctor', { key: app.adminKey })
  expect(status).toBe(200)
  return body as unknown as Report
}

const of = ({ findings }: Report, check: string): string[] => findings.filter(found => found.check === check).map(({ subject, result }) => `${subject} ${result}`).sort()

test('a relay that is well is reached over every transport, refuses whom it must, and is left without an allocation', async () => {
  const certificate = selfMadeCertificate(scratchDirectory())
  const app = await startApp({ ...QUIET, TURNPIKE_TLS_CERT: certificate.cert, TURNPIKE_TLS_KEY: certificate.key })
  const started = performance.now()
  const [report, again] = await Promise.all([examined(app), examined(app)])
  expect(performance.now() - started).toBeLessThan(5000)
  // Who asks meanwhile gets the same.
  expect(again.findings).toEqual(report.findings)
  const overAll = (result: string): string[] => ['tcp', 'tls', 'udp'].map(transport => `relay turnpike, ${transport} ${result}`)
  expect(of(report, 'reach')).toEqual(overAll('ok'))
  expect(of(report, 'allocate')).toEqual(overAll('ok'))
  expect(of(report, 'strangers').filter(line => !line.includes('last probe'))).toEqual(overAll('ok'))
  expect(of(report, 'strangers').filter(line => line.includes('last probe'))).toHaveLength(3)
  expect(of(report, 'forbidden-peers').filter(line => !line.endsWith(' ok'))).toEqual([])
  expect(of(report, 'relay-state')).toEqual(['relay turnpike ok'])
  expect(of(report, 'tls-handshake')).toEqual(['relay turnpike, tls warning'])
  expect(of(report, 'certificate-chain')).toEqual(['relay turnpike, certificate warning'])
  // It is made for two days, and is a moment old.
  expect(of(report, 'certificate-expiry')[0]).toMatch(/warning|failed/)
  expect(report.worst).toBe(report.findings[0]?.result)
  expect(of(report, 'public-address')).toEqual(['relay turnpike warning'])
  await untilLive(app, 0)
}, 60_000)

test('no finding holds a secret, and only an admin may ask', async () => {
  const app = await startApp({ ...QUIET, TURNPIKE_ADMIN_KEY: 'an-admin-key-of-this-very-test' })
  const text = JSON.stringify(await examined(app))
  expect(text).not.toMatch(/an-admin-key|turnpike-probe|PRIVATE KEY/)
  expect((await app.request('/v1/doctor')).status).toBe(403)
  expect((await app.request('/v1/doctor', { key: null })).status).toBe(401)
})

test('a relay that cannot start is told with its reason and cure, and not knocked at', async () => {
  const report = await examined(await startApp(QUIET, { programPath: [] }))
  expect(report.findings.find(({ check }) => check === 'relay-state')).toMatchObject({ result: 'failed', cure: expect.stringContaining('Install coturn') })
  expect(of(report, 'reach')).toEqual([])
}, 60_000)

test('on the command line: what the server found, what is seen from here, and an exit code', async () => {
  const [httpPort] = await freePorts(1)
  const env = { ...await loopbackSettings(), ...QUIET, TURNPIKE_HTTP_PORT: String(httpPort) }
  await run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], env).until('relayed media')
  const said = await turnpike(env, 'doctor')
  expect(said.out).toMatch(/\nOK\n[^]*from here, turn:127\.0\.0\.1:\d+\?transport=udp \(forbidden-peers\): Permissions toward 169\.254\.169\.254/)
  expect(said.out).toMatch(/\d+ failed, \d+ warning, \d+ unknown, \d+ ok\n$/)
  const { findings, worst } = JSON.parse((await turnpike(env, 'doctor', '--json')).out) as Report
  expect(findings.filter(({ subject }) => subject.startsWith('from here')).map(({ check, result }) => `${check} ${result}`).sort()).toEqual(['allocate ok', 'allocate ok', 'forbidden-peers ok', 'forbidden-peers ok', 'reach ok', 'reach ok', 'strangers ok', 'strangers ok'])
  expect(said.code).toBe(worst === 'failed' ? 1 : 0)
}, 120_000)

test('from elsewhere, with an admin key; another key may not', async () => {
  const app = await startApp(QUIET)
  const elsewhere = { TURNPIKE_DATA_DIR: scratchDirectory() }
  const { out } = await turnpike({ ...elsewhere, TURNPIKE_ADMIN_KEY: app.adminKey }, 'doctor', '--url', app.url(), '--json')
  const { findings } = JSON.parse(out) as Report
  // Which policy that relay has is not known there, and what it lets through is no failure.
  expect(findings.filter(({ subject, check }) => subject.startsWith('from here') && check === 'forbidden-peers').map(({ result }) => result)).toEqual(['warning', 'warning'])
  expect(await turnpike({ ...elsewhere, TURNPIKE_API_KEY: app.apiKey }, 'doctor', '--url', app.url())).toMatchObject({ code: 77, err: expect.stringContaining('this needs an admin key') })
  await untilLive(app, 0)
}, 60_000)

test('without a server: the machine is looked at, and the relay is unknown', async () => {
  const app = await startApp(QUIET)
  await app.stop(2000)
  const said = await turnpike(app.env, 'doctor')
  expect(said.err).toContain('no server runs on this data directory')
  expect(said.out).toMatch(/relay turnpike \(relay-state\): It is not running here/)
  expect(said.out).toMatch(/from here \(reach\): The relay could not be tried/)
  expect(said.out).toMatch(/machine, disk \(disk\)/)
}, 60_000)

test('a certificate file that has become nonsense is told, and does not keep the doctor from the rest', async () => {
  const certificate = selfMadeCertificate(scratchDirectory())
  const app = await startApp({ ...QUIET, TURNPIKE_TLS_CERT: certificate.cert, TURNPIKE_TLS_KEY: certificate.key })
  writeFileSync(certificate.cert, 'no certificate any more')
  expect(of(await examined(app), 'certificate-chain')).toEqual(['relay turnpike, certificate failed'])
}, 60_000)

test('the size of this machine is told without a server', async () => {
  const env = { TURNPIKE_DATA_DIR: scratchDirectory() }
  expect(await turnpike(env, 'size')).toMatchObject({ code: 0, out: expect.stringMatching(/about \d+ relayed calls at a time[^]*\n\* +/) })
  const report = JSON.parse((await turnpike(env, 'size', '--json', '--kbps', '64', '--packet-bytes', '160')).out) as { calls: number, limits: { calls: number }[], assumptions: object }
  expect(report.calls).toBe(Math.min(...report.limits.map(({ calls }) => calls)))
  expect(report.assumptions).toEqual({ kbpsPerDirection: 64, packetBytes: 160, allocationsPerCall: 2 })
  expect(await turnpike(env, 'size', '--kbps', 'many')).toMatchObject({ code: 64, err: expect.stringContaining('--kbps many is no number') })
}, 60_000)
