import { createServer as createTcp } from 'node:net'
import { createSocket } from 'node:dgram'
import { expect, onTestFinished, test } from 'vitest'
import { probeRelay, SERVES_STRANGERS, type ProbeTarget } from '../../src/relay/probe.ts'
import { refused, TurnClient } from '../../src/stun/turn-client.ts'
import type { RelayCheck } from '../../src/relay/driver.ts'
import { mintLogin, PLAIN, SECRET, startCoturn, type Coturn } from '../kit/coturn.ts'
import { freePorts, until } from '../kit/files.ts'

const targetOf = ({ port, tlsPort, loginFor }: Pick<Coturn, 'port' | 'tlsPort' | 'loginFor'>, more: Partial<ProbeTarget> = {}): ProbeTarget => ({ host: '127.0.0.1', port, tlsPort, loginFor, forbiddenPeer: '169.254.169.254', echo: { possible: true }, timeoutMs: 700, ...more })
const find = (checks: RelayCheck[], check: RelayCheck['check'], transport: RelayCheck['transport'] = 'udp'): RelayCheck | undefined => checks.find(found => found.check === check && found.transport === transport)

test('a healthy relay passes every check over UDP, TCP and TLS, and is left without an allocation', async () => {
  const coturn = await startCoturn({ lines: [...PLAIN, 'verbose'] })
  const checks = await probeRelay(targetOf(coturn))
  expect(checks.map(({ check, transport, result }) => `${check} ${transport} ${result}`).filter(line => !line.endsWith('passed'))).toEqual([])
  expect(checks).toHaveLength(16)
  expect(find(checks, 'echo', 'tls')?.roundTripMs).toBeGreaterThan(0)
  const idsIn = (log: string, event: RegExp): string[] => [...log.matchAll(event)].map(([, id = '']) => id).sort()
  const given = idsIn(coturn.log(), /session (\d+): new, realm/g)
  // Two over each transport, and one that compares clocks.
  expect(given).toHaveLength(7)
  await until('every allocation is released', () => idsIn(coturn.log(), /session (\d+): refreshed, .*lifetime=0/g).join() === given.join())
})

test('a relay without authentication serves strangers', async () => {
  const coturn = await startCoturn({ lines: ['no-auth', 'allow-loopback-peers'] })
  const checks = await probeRelay(targetOf(coturn))
  expect(find(checks, 'refuses-strangers')).toMatchObject({ result: 'failed', detail: expect.stringContaining(SERVES_STRANGERS) })
})

test('another secret: refused as a stranger, and no allocation', async () => {
  const coturn = await startCoturn()
  const checks = await probeRelay(targetOf({ ...coturn, loginFor: seconds => mintLogin('another-secret', seconds) }))
  expect(find(checks, 'refuses-strangers')?.result).toBe('passed')
  expect(find(checks, 'allocate')).toMatchObject({ result: 'failed', detail: expect.stringContaining('401') })
  expect(find(checks, 'clock')?.result).toBe('left-out')
})

test('a relay that lets a forbidden peer in fails', async () => {
  const coturn = await startCoturn({ lines: ['use-auth-secret', `static-auth-secret=${SECRET}`, 'allow-loopback-peers'] })
  expect(find(await probeRelay(targetOf(coturn)), 'forbidden-peer')).toMatchObject({ result: 'failed', detail: expect.stringContaining('169.254.169.254 was given') })
})

test('an echo that the policy forbids is left out, with its reason', async () => {
  const coturn = await startCoturn()
  const checks = await probeRelay(targetOf(coturn, { echo: { possible: false, reason: 'loopback is forbidden' } }))
  expect(find(checks, 'echo')).toMatchObject({ result: 'left-out', detail: 'loopback is forbidden' })
})

test('an echo that should be possible and is not fails', async () => {
  const coturn = await startCoturn({ lines: ['use-auth-secret', `static-auth-secret=${SECRET}`, 'denied-peer-ip=169.254.0.0-169.254.255.255'] })
  expect(find(await probeRelay(targetOf(coturn)), 'echo')).toMatchObject({ result: 'failed', detail: expect.stringContaining('403') })
})

test.each([[600, 'behind'], [-600, 'ahead']])('a clock that is off by 10 minutes is told, and only the clock (ours %i s ahead: the relay is %s)', async (seconds, direction) => {
  const coturn = await startCoturn()
  const now = (): number => Math.floor(Date.now() / 1000) + seconds
  const checks = await probeRelay(targetOf({ ...coturn, loginFor: lifetime => mintLogin(SECRET, lifetime, 'x', now()) }))
  expect(find(checks, 'clock')).toMatchObject({ result: 'failed', detail: expect.stringMatching(direction) })
  expect(checks.filter(({ result }) => result === 'failed')).toHaveLength(1)
})

test('a port where nobody listens fails every check within the time-out', async () => {
  const [port = 0] = await freePorts(1)
  const started = performance.now()
  const checks = await probeRelay(targetOf({ port, tlsPort: port, loginFor: seconds => mintLogin(SECRET, seconds) }))
  expect(checks.every(({ result }) => result === 'failed')).toBe(true)
  expect(performance.now() - started).toBeLessThan(3000)
})

test.each([
  ['silence', null],
  ['garbage', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['half a message', Buffer.from('010100342112a442', 'hex')],
])('a server that answers with %s fails, and nothing hangs', async (_name, answer) => {
  const tcp = createTcp(socket => {
    socket.on('error', () => {})
    socket.on('data', () => { if (answer !== null) socket.write(answer) })
  })
  await new Promise<void>(resolve => tcp.listen(0, '127.0.0.1', resolve))
  const { port } = tcp.address() as { port: number }
  const udp = createSocket('udp4')
  await new Promise<void>(resolve => udp.bind(port, '127.0.0.1', resolve))
  udp.on('message', (_message, from) => { if (answer !== null) udp.send(answer, from.port, from.address) })
  onTestFinished(() => {
    udp.close()
    tcp.close()
  })
  const started = performance.now()
  const checks = await probeRelay(targetOf({ port, tlsPort: port, loginFor: seconds => mintLogin(SECRET, seconds) }))
  expect(checks).toHaveLength(16)
  expect(checks.filter(({ result }) => result === 'passed')).toEqual([])
  expect(performance.now() - started).toBeLessThan(3000)
})

test('a connection that does not come about, and a refusal, are errors of ours', async () => {
  const [port = 0] = await freePorts(1)
  await expect(TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port, timeoutMs: 500 })).rejects.toMatchObject({ code: 'stun-timeout' })
  expect(refused('Allocate', { code: 486, reason: 'Allocation Quota Reached' })).toMatchObject({ code: 'stun-refused', message: 'Allocate was refused with 486 (Allocation Quota Reached)' })
})
