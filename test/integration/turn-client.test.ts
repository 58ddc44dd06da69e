/** The TURN client against a server that does what coturn never does: lies, loses answers, lets nonces go stale, sends malformed attributes. */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { isTurnpikeError } from '../../src/protocol/errors.ts'
import { probeRelay } from '../../src/relay/probe.ts'
import { text, xorAddress } from '../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, METHOD, attributeOf, decode, encode, longTermKey, type Attribute, type Message } from '../../src/stun/message.ts'
import { TurnClient, isRefusal } from '../../src/stun/turn-client.ts'
import { until } from '../kit/files.ts'

const login = { username: 'u', password: 'p' }
const key = longTermKey('u', 'r', 'p')
type Answer = { refused: number, nonce?: string } | { attributes: Attribute[], signed: Buffer | undefined } | null
type FakeServer = { port: number, seen: Message[] }

/** Answers every request as it is told; null is silence. */
async function startFakeServer (answer: (request: Message) => Answer): Promise<FakeServer> {
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  onTestFinished(() => { socket.close() })
  const seen: Message[] = []
  socket.on('message', (bytes: Buffer, from: RemoteInfo) => {
    const request = decode(bytes)
    seen.push(request)
    const told = request.class === CLASS.request ? answer(request) : null
    if (told === null) return
    const { method, transactionId } = request
    const reply = 'refused' in told
      ? encode({ method, class: CLASS.error, transactionId, attributes: challenge(told.refused, told.nonce ?? 'n') })
      : encode({ method, class: CLASS.success, transactionId, attributes: told.attributes }, told.signed)
    socket.send(reply, from.port, from.address)
  })
  return { port: socket.address().port, seen }
}

const challenge = (code: number, nonce: string): Attribute[] => [{ type: ATTRIBUTE.errorCode, value: Buffer.from([0, 0, Math.floor(code / 100), code % 100]) }, text(ATTRIBUTE.realm, 'r'), text(ATTRIBUTE.nonce, nonce)]
const given = (request: Message, signed: Buffer | undefined): Answer => ({ attributes: [xorAddress(ATTRIBUTE.xorRelayedAddress, { address: '192.0.2.7', port: 50000 }, request.transactionId)], signed })
const isSigned = (request: Message): boolean => attributeOf(request, ATTRIBUTE.messageIntegrity) !== undefined
const isRelease = ({ method, attributes }: Message): boolean => method === METHOD.refresh && attributes.some(({ type, value }) => type === ATTRIBUTE.lifetime && value.equals(Buffer.alloc(4)))

async function open ({ port }: FakeServer, timeoutMs = 400): Promise<TurnClient> {
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port, timeoutMs })
  onTestFinished(() => { client.abandon() })
  return client
}

test('an allocation from a server that knows the password is taken', async () => {
  const client = await open(await startFakeServer(request => (isSigned(request) ? given(request, key) : { refused: 401 })))
  expect(await client.allocate(login)).toMatchObject({ relayed: { address: '192.0.2.7', port: 50000 } })
})

test.each([['unsigned', undefined], ['signed with another password', longTermKey('u', 'r', 'other')]])('a yes that is %s is no answer', async (_how, signed) => {
  const client = await open(await startFakeServer(request => (isSigned(request) ? given(request, signed) : { refused: 401 })))
  await expect(client.allocate(login)).rejects.toMatchObject({ code: 'stun-timeout' })
})

test('a nonce that went stale is renewed once, and the request goes through', async () => {
  const nonceOf = (request: Message): string | undefined => attributeOf(request, ATTRIBUTE.nonce)?.toString()
  const server = await startFakeServer(request => {
    if (!isSigned(request)) return { refused: 401, nonce: 'old' }
    return nonceOf(request) === 'new' ? given(request, key) : { refused: 438, nonce: 'new' }
  })
  expect(isRefusal(await (await open(server)).allocate(login))).toBe(false)
  expect(server.seen.map(nonceOf)).toEqual([undefined, 'old', 'new'])
})

test('a server that calls every nonce stale is refused, not asked for ever', async () => {
  const server = await startFakeServer(request => ({ refused: isSigned(request) ? 438 : 401 }))
  expect(await (await open(server)).allocate(login)).toMatchObject({ code: 438 })
  expect(server.seen).toHaveLength(3)
})

test.each(['close', 'abandon'] as const)('an allocation whose answer was lost is released by %s', async how => {
  const server = await startFakeServer(request => (isSigned(request) ? null : { refused: 401 }))
  const client = await open(server)
  const outcome = client.allocate(login).catch((error: unknown) => error)
  if (how === 'abandon') {
    await until('the Allocate arrives', () => server.seen.some(isSigned))
    client.abandon()
  }
  expect(await outcome).toMatchObject({ code: 'stun-timeout' })
  await client.close()
  await until('the release arrives', () => server.seen.some(isRelease))
})

test('a release that is lost is sent again before the connection is closed', async () => {
  let releases = 0
  const server = await startFakeServer(request => {
    if (request.method === METHOD.allocate) return isSigned(request) ? given(request, key) : { refused: 401 }
    return ++releases === 1 ? null : { attributes: [], signed: key }
  })
  const client = await open(server)
  await client.allocate(login)
  await client.close()
  expect(server.seen.filter(isRelease)).toHaveLength(2)
})

test('a request that is lost is sent again', async () => {
  let losses = 2
  const server = await startFakeServer(request => (losses-- > 0 ? null : { attributes: [xorAddress(ATTRIBUTE.xorMappedAddress, { address: '192.0.2.9', port: 9 }, request.transactionId)], signed: undefined }))
  expect(await (await open(server)).binding()).toEqual({ address: '192.0.2.9', port: 9 })
  expect(new Set(server.seen.map(({ transactionId }) => transactionId.toString('hex'))).size).toBe(1)
})

test('answers with malformed attributes end in a value or in an error of ours', async () => {
  const types = [ATTRIBUTE.xorMappedAddress, ATTRIBUTE.xorRelayedAddress, ATTRIBUTE.lifetime, ATTRIBUTE.errorCode, ATTRIBUTE.realm, ATTRIBUTE.nonce, ATTRIBUTE.data]
  let round = 0
  const server = await startFakeServer(() => ({ attributes: types.slice(round % types.length).map((type, i) => ({ type, value: randomBytes((round + i) % 21) })), signed: undefined }))
  const outcomes: unknown[] = []
  for (; round < 300; round++) {
    const client = await open(server)
    outcomes.push(await (round % 2 === 0 ? client.binding() : client.allocate(login)).catch((error: unknown) => error))
    client.abandon()
  }
  expect(outcomes).toHaveLength(300)
  expect(outcomes.filter(outcome => outcome instanceof Error && !isTurnpikeError(outcome))).toEqual([])
})

test('a probe that is abandoned in its echo ends at once', async () => {
  const server = await startFakeServer(request => {
    if (request.method === METHOD.allocate) return isSigned(request) ? given(request, key) : { refused: 401 }
    return { attributes: [], signed: key }
  })
  const abandonment = new AbortController()
  const started = performance.now()
  const probed = probeRelay({ host: '127.0.0.1', port: server.port, tlsPort: null, loginFor: () => login, forbiddenPeer: '10.0.0.1', echo: { possible: true }, timeoutMs: 5000, isAbandoned: abandonment.signal })
  await until('the echo is sent', () => server.seen.some(({ method }) => method === METHOD.send))
  abandonment.abort()
  const checks = await probed
  expect(checks.find(({ check, transport }) => check === 'echo' && transport === 'udp')).toMatchObject({ result: 'failed', detail: 'the connection was closed' })
  expect(performance.now() - started).toBeLessThan(2500)
})

test('a stream that the server has ended is not waited for, neither by the request on its way nor by the next', async () => {
  const server = createServer(socket => { socket.once('data', () => socket.destroy()) })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => { server.close() })
  const client = await TurnClient.open({ transport: 'tcp', host: '127.0.0.1', port: (server.address() as { port: number }).port, timeoutMs: 20_000 })
  onTestFinished(() => { client.abandon() })
  const started = performance.now()
  await expect(client.binding()).rejects.toMatchObject({ code: 'stun-timeout', message: expect.stringContaining('closed') })
  await expect(client.allocate(login)).rejects.toMatchObject({ code: 'stun-timeout', message: expect.stringContaining('closed') })
  expect(performance.now() - started).toBeLessThan(5000)
})

test.each(['udp', 'tcp'] as const)('a name that nobody has is an error of ours over %s', async transport => {
  await expect(TurnClient.open({ transport, host: 'no-such-relay.invalid', port: 3478, timeoutMs: 500 })).rejects.toMatchObject({ code: 'stun-timeout', message: expect.stringContaining('no-such-relay.invalid') })
})
