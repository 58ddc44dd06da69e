import { createSocket, type Socket } from 'node:dgram'
import { expect, onTestFinished, test } from 'vitest'
import { isDenied } from '../../../src/relay/denied-peers.ts'
import { TurnpikeError } from '../../../src/protocol/errors.ts'
import { xorAddress } from '../../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, decode, encode } from '../../../src/stun/message.ts'
import { observeMapping } from '../../../src/stun/nat-mapping.ts'
import { FORBIDDEN_SAMPLES, reachRelay, type ReachTarget, type ReachTools } from '../../../src/stun/reach.ts'
import type { Allocation, Refusal, TurnClient } from '../../../src/stun/turn-client.ts'

type Relay = { stranger: Refusal | null, outcome: Allocation | Refusal, given: string[], distrust: string | null }
const GOOD: Relay = { stranger: { code: 401, reason: '' }, outcome: { relayed: { address: '8.8.4.4', port: 50000 }, mapped: undefined, lifetimeSeconds: 600 }, given: [], distrust: null }
const TARGET: ReachTarget = { subject: 'relay r, udp', host: 'turn.example', port: 3478, transport: 'udp', login: { username: 'u', password: 'a-secret-text' }, peers: 'internet', mayBeShutToItself: false, timeoutMs: 100 }

/** A relay that answers like this; counts the clients that were closed. */
function toolsOf ({ stranger, outcome, given, distrust }: Relay): { tools: ReachTools, asked: string[], open: () => number } {
  const asked: string[] = []
  let open = 0
  const client = {
    binding: async () => ({ address: '1.2.3.4', port: 5 }),
    allocateAsStranger: async () => stranger,
    allocate: async () => outcome,
    createPermission: async (peer: string) => {
      asked.push(peer)
      return given.includes(peer) ? null : { code: 403, reason: '' }
    },
    close: async () => { open-- },
  }
  return {
    asked,
    open: () => open,
    tools: {
      open: async () => {
        open++
        return client as unknown as TurnClient
      },
      shakeHands: async () => ({ protocol: 'TLSv1.3', distrust }),
    },
  }
}

async function reach (relay: Partial<Relay> = {}, target: Partial<ReachTarget> = {}): Promise<{ results: string[], words: string, asked: string[] }> {
  const { tools, asked, open } = toolsOf({ ...GOOD, ...relay })
  const findings = await reachRelay({ ...TARGET, ...target }, tools)
  expect(open()).toBe(0)
  expect(JSON.stringify(findings)).not.toContain('a-secret-text')
  return { results: findings.map(({ check, result }) => `${check} ${result}`), words: findings.map(({ what, cure }) => `${what} ${cure}`).join(' '), asked }
}

test.each<[string, Partial<Relay>, Partial<ReachTarget>, string[], RegExp]>([
  ['a relay that is well', {}, {}, ['reach ok', 'strangers ok', 'allocate ok', 'forbidden-peers ok'], /sees this machine as 1\.2\.3\.4/],
  ['one that serves strangers', { stranger: null }, {}, ['reach ok', 'strangers failed', 'allocate ok', 'forbidden-peers ok'], /Close the relay to the internet/],
  ['one that refuses strangers in another way', { stranger: { code: 403, reason: '' } }, {}, ['reach ok', 'strangers warning', 'allocate ok', 'forbidden-peers ok'], /Expected 401/],
  ['one that is full', { outcome: { code: 508, reason: '' } }, {}, ['reach ok', 'strangers ok', 'allocate warning'], /full.*Open more ports/],
  ['one that does not take the credential', { outcome: { code: 401, reason: '' } }, {}, ['reach ok', 'strangers ok', 'allocate failed'], /401.*clocks/],
  ['one that is draining', { outcome: { code: 403, reason: '' } }, {}, ['reach ok', 'strangers ok', 'allocate failed'], /403.*log of coturn/],
  ['one that reaches metadata services', { given: ['169.254.169.254'] }, { peers: null }, ['reach ok', 'strangers ok', 'allocate ok', 'forbidden-peers failed'], /169\.254\.169\.254 is given/],
  ['one that reaches private addresses', { given: ['10.0.0.1'] }, {}, ['reach ok', 'strangers ok', 'allocate ok', 'forbidden-peers failed'], /10\.0\.0\.1 is given/],
  ['the same, which may be meant so', { given: ['10.0.0.1'] }, { peers: null }, ['reach ok', 'strangers ok', 'allocate ok', 'forbidden-peers warning'], /unless its calls are meant/],
  ['nothing to allocate with', {}, { login: null }, ['reach ok', 'strangers ok'], /answers/],
  ['TLS', {}, { transport: 'tls' }, ['reach ok', 'strangers ok', 'allocate ok', 'forbidden-peers ok', 'tls-handshake ok'], /TLSv1\.3/],
  ['TLS with a self-made certificate', { distrust: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, { transport: 'tls', login: null }, ['reach ok', 'strangers ok', 'tls-handshake warning'], /self-made/],
  ['TLS with half a chain', { distrust: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }, { transport: 'tls', login: null }, ['reach ok', 'strangers ok', 'tls-handshake failed'], /fullchain\.pem/],
  ['TLS with an old certificate', { distrust: 'CERT_HAS_EXPIRED' }, { transport: 'tls', login: null }, ['reach ok', 'strangers ok', 'tls-handshake failed'], /new certificate for turn\.example/],
])('%s', async (_name, relay, target, expected, words) => {
  const seen = await reach(relay, target)
  expect(seen.results).toEqual(expected)
  expect(seen.words).toMatch(words)
})

test('a relay that is not reached is one finding, with the port to open; behind a NAT it tells nothing', async () => {
  const tools: ReachTools = { open: async () => { throw new TurnpikeError('stun-timeout', 'no answer within 100 ms') }, shakeHands: async () => { throw new Error('no') } }
  expect(await reachRelay({ ...TARGET, transport: 'tls', port: 5349 }, tools)).toMatchObject([{ check: 'reach', result: 'failed', cure: expect.stringContaining('Open TCP port 5349 toward turn.example') }])
  expect(await reachRelay({ ...TARGET, mayBeShutToItself: true }, tools)).toMatchObject([{ check: 'reach', result: 'unknown', cure: expect.stringContaining('--url') }])
})

test('a connection that breaks after it was made leaves the rest unknown, and a handshake that fails is told', async () => {
  let opened = 0
  const { tools } = toolsOf(GOOD)
  const breaking: ReachTools = { open: async target => { if (opened++ > 0) throw new Error('reset'); return await tools.open(target) }, shakeHands: async () => { throw new Error('wrong version number') } }
  expect((await reachRelay({ ...TARGET, transport: 'tls' }, breaking)).map(({ check, result }) => `${check} ${result}`)).toEqual(['reach ok', 'strangers ok', 'allocate unknown', 'tls-handshake failed'])
})

test.each(['internet', 'lan', 'loopback'] as const)('what is tried under the policy %s is what the relay must refuse under it', async peers => {
  const tried = [...(await reach({}, { peers })).asked, ...(await reach({ outcome: { ...GOOD.outcome, relayed: { address: '2606:4700::1', port: 1 } } as Allocation }, { peers })).asked]
  expect(tried.sort()).toEqual(FORBIDDEN_SAMPLES.map(({ address }) => address).filter(address => isDenied(address, peers)).sort())
  expect(tried).toContain('169.254.169.254')
})

/** Answers a Binding with this address and port. */
async function stunServer (seen: (port: number) => number): Promise<string> {
  const server: Socket = createSocket('udp4')
  onTestFinished(() => { server.close() })
  server.on('message', (bytes, from) => {
    const { method, transactionId } = decode(bytes)
    server.send('nonsense', from.port, from.address)
    server.send(encode({ method, class: CLASS.success, transactionId, attributes: [xorAddress(ATTRIBUTE.xorMappedAddress, { address: '8.8.4.4', port: seen(from.port) }, transactionId)] }), from.port, from.address)
  })
  await new Promise<void>(resolve => server.bind(0, '127.0.0.1', resolve))
  return `127.0.0.1:${server.address().port}`
}

test('all servers are asked from one port, and those that are silent are told', async () => {
  const [plain, other] = await Promise.all([stunServer(port => port), stunServer(() => 7)])
  const mapping = await observeMapping({ address: '127.0.0.1', port: 0, servers: [plain, other, '127.0.0.1:9'], timeoutMs: 300 })
  expect(mapping.answers).toHaveLength(2)
  expect(mapping.answers.find(({ server }) => server === plain)?.seen).toEqual({ address: '8.8.4.4', port: mapping.localPort })
  expect(mapping.answers.find(({ server }) => server === other)?.seen.port).toBe(7)
  expect(mapping.silent).toEqual([{ server: '127.0.0.1:9', reason: 'it did not answer' }])
})

test('a port that is taken is not waited for, and an address of nobody is an error', async () => {
  const [server, port] = await Promise.all([stunServer(port => port), stunServer(port => port)])
  const taken = Number(port.split(':')[1])
  expect((await observeMapping({ address: '127.0.0.1', port: taken, servers: [server], timeoutMs: 500 })).localPort).not.toBe(taken)
  await expect(observeMapping({ address: '192.0.2.77', port: 0, servers: [], timeoutMs: 100 })).rejects.toThrow('EADDRNOTAVAIL')
})
