/** What must not end or flood a certificate authority: clocks that are wrong, disks that take nothing, DNS that is away, programs that fail. */
import { mkdirSync, chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerOptions } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { runTask } from '../../src/acme/order.ts'
import { accountKeyIn } from '../../src/acme/files.ts'
import { isFor } from '../../src/tls/pair.ts'
import { makeAcme, type TestAcme } from '../kit/authority.ts'
import { whenDone } from '../kit/cleanup.ts'
import { freePorts, scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { startPebble } from '../kit/pebble.ts'
import { sample } from '../kit/relay.ts'

const DOMAIN = 'meet.test'
const problemOf = (acme: TestAcme): string => acme.status()?.problem?.code ?? ''
const ordersOf = async (acme: TestAcme, result: string): Promise<number | undefined> => await sample(acme.metrics, `turnpike_acme_orders_total{result="${result}"}`)
/** Stands in for a full disk: the next version of this file cannot be begun. */
const block = (file: string): string => {
  mkdirSync(`${file}.next/x`, { recursive: true })
  return `${file}.next`
}

async function startAuthority (answer: (path: string, response: ServerResponse, url: string) => void): Promise<{ url: string, ca: string, caFile: string }> {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  const [port = 0] = await freePorts(1)
  const options: ServerOptions = { cert: readFileSync(cert), key: readFileSync(key) }
  const url = `https://localhost:${port}`
  const server = createServer(options, (request: IncomingMessage, response) => answer(request.url ?? '', response, url))
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  whenDone(() => { server.close().closeAllConnections() })
  return { url, ca: readFileSync(cert, 'utf8'), caFile: cert }
}

const directoryOf = (url: string): string => JSON.stringify(Object.fromEntries(['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange'].map(name => [name, `${url}/${name}`])))

test('with a clock that is ahead by more than a certificate lives, one is got, and not another one at once, by the next process neither', async () => {
  const pebble = await startPebble()
  let looks = 0
  const world = { aheadSeconds: () => 20 * 365 * 86_400, resolve: async () => [`127.0.0.${Math.min(++looks, 9)}`] }
  const acme = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_EXTRA_NAMES: 'none' }, world)
  await acme.start()
  await until('it is told', () => acme.log.some(line => line.includes('is to be renewed already')))
  expect(acme.status()?.ready).toBe(true)
  expect(acme.examine()).toEqual([expect.objectContaining({ result: 'warning', cure: 'Set the clock right.' })])
  await acme.stop(2000)
  const before = looks
  const next = await makeAcme(acme.settings, world)
  await next.start()
  await until('it has looked', () => looks > before)
  await next.stop(2000)
  expect(next.log.filter(line => line.includes('is ordered'))).toEqual([])
})

test('a certificate that the disk does not take is kept, and not ordered again', async () => {
  const pebble = await startPebble()
  const addresses: string[] = []
  const acme = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_EXTRA_NAMES: 'none' }, { resolve: async () => addresses })
  await acme.start()
  await until('it has looked', () => problemOf(acme) === 'acme-name-elsewhere')
  const blocked = block(acme.file)
  addresses.push('127.0.0.1')
  await until('it is told', () => problemOf(acme) === 'data-dir-unwritable')
  rmSync(blocked, { recursive: true })
  await until('it is served', () => isFor(acme.certificates.served() ?? { cert: '' }, DOMAIN))
  expect([acme.log.filter(line => line.includes('a certificate is ordered')).length, await ordersOf(acme, 'issued'), await ordersOf(acme, 'failed')]).toEqual([1, 1, 0])
})

test('a disk that does not take the word of an authority that wants to hear nothing ends nothing', async () => {
  const { url, caFile } = await startAuthority((_path, response) => response.writeHead(429, { 'content-type': 'application/problem+json', 'retry-after': '7200' }).end(JSON.stringify({ type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many' })))
  const acme = await makeAcme({ TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_DIRECTORY: `${url}/dir`, TURNPIKE_ACME_CA_FILE: caFile, TURNPIKE_ACME_HTTP_PORT: String((await freePorts(1))[0]) })
  block(acme.file.replace('current.pem', 'not-before'))
  await acme.start()
  await until('it is told', () => acme.log.some(line => line.includes('the next process will not know')))
  expect(problemOf(acme)).toBe('acme-rate-limited')
  expect(acme.status()?.nextTryAt).toBeGreaterThan(Date.now() / 1000 + 7100)
})

test('a clock that is set back is not waited for', async () => {
  let ahead = 8 * 3600
  let looks = 0
  const resolve = async (): Promise<string[]> => {
    looks++
    return []
  }
  const acme = await makeAcme({ TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_DIRECTORY: 'https://127.0.0.1:1/dir', TURNPIKE_ACME_HTTP_PORT: String((await freePorts(1))[0]), TURNPIKE_ACME_EXTRA_NAMES: 'none', TURNPIKE_ACME_RETRY_SECONDS: '1' }, { resolve, aheadSeconds: () => ahead })
  await acme.start()
  await until('it has looked', () => problemOf(acme) === 'acme-name-elsewhere')
  ahead = 0
  expect(acme.status()?.nextTryAt).toBeLessThan(Date.now() / 1000 + 5)
  const before = looks
  await until('it looks again', () => looks > before)
})

test('while DNS is away a certificate that is good goes on being so; where there is none, that is said in other words than of a missing record', async () => {
  const pebble = await startPebble()
  let looks = 0
  const away = async (): Promise<string[]> => {
    looks++
    throw Object.assign(new Error('getaddrinfo EAI_AGAIN meet.test'), { code: 'EAI_AGAIN' })
  }
  const without = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_EXTRA_NAMES: 'none' }, { resolve: away })
  await without.start()
  await until('it is told', () => problemOf(without) === 'dns-unreachable')
  expect([without.status()?.problem?.reason, await ordersOf(without, 'failed')]).toEqual(['meet.test could not be looked up: getaddrinfo EAI_AGAIN meet.test', 0])
  await without.stop(2000)
  // An address of another machine beside ours: the authority may go there.
  const acme = await makeAcme(without.settings, { resolve: async () => ['127.0.0.1', '2001:db8::1'] })
  await acme.start()
  await until('it is issued', () => isFor(acme.certificates.served() ?? { cert: '' }, DOMAIN))
  expect(acme.examine()).toEqual([expect.objectContaining({ result: 'warning', what: expect.stringContaining('meet.test has an AAAA record too, 2001:db8::1') })])
  await acme.stop(2000)
  const before = looks
  const next = await makeAcme(acme.settings, { resolve: away })
  await next.start()
  await until('it has looked', () => looks > before && next.log.some(line => line.includes('may not be got')))
  expect([next.status()?.problem, next.examine()[0]?.result, next.log.filter(line => line.includes('no certificate'))]).toEqual([null, 'warning', []])
})

test('a hook that cannot take a record away hides nothing, and is told no setting of ours', async () => {
  const pebble = await startPebble()
  const directory = scratchDirectory()
  writeFileSync(`${directory}/hook`, `#!/bin/sh\nenv >${directory}/env\n[ "$1" = add ] && exit 0\necho "the key has ended"\nexit 3\n`)
  chmodSync(`${directory}/hook`, 0o755)
  const env = { TURNPIKE_ADMIN_KEY: 'a secret of the operator', DNS_KEY: 'for the hook' }
  const acme = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_EXTRA_NAMES: 'none', TURNPIKE_ACME_CHALLENGE: 'dns-01', TURNPIKE_ACME_DNS_HOOK: `${directory}/hook` }, { env })
  await acme.start()
  await until('it is told', () => problemOf(acme) !== '', 30_000)
  expect(problemOf(acme)).toBe('acme-challenge-failed')
  expect(acme.log.filter(line => line.includes('a record in DNS was not removed') && line.includes('the key has ended'))).toHaveLength(1)
  const seen = readFileSync(`${directory}/env`, 'utf8')
  expect(seen).toContain('DNS_KEY=for the hook')
  expect(seen).not.toContain('TURNPIKE_')
})

test.each([
  ['has not finished the order when we have waited long enough', 'acme-pending', '/finalize', (response: ServerResponse) => response.end('{"status":"processing"}')],
  ['is out of order', 'acme-unreachable', '/newOrder', (response: ServerResponse) => response.writeHead(503).end('<h1>Back soon</h1>')],
  ['breaks the connection off', 'acme-unreachable', '/newOrder', (response: ServerResponse) => response.destroy()],
  ['is none', 'acme-not-understood', '/dir', (response: ServerResponse) => response.end('{"hello":"world"}')],
])('an authority that %s is told as that', async (_what, code, where, answer) => {
  const { url, ca } = await startAuthority((path, response, at) => {
    response.setHeader('content-type', 'application/json').setHeader('replay-nonce', crypto.randomUUID().replaceAll('-', '')).setHeader('location', `${at}/order`)
    if (path === where) answer(response)
    else if (path === '/dir') response.end(directoryOf(at))
    else if (path === '/newOrder') response.writeHead(201).end(JSON.stringify({ status: 'ready', authorizations: [], finalize: `${at}/finalize` }))
    else response.end('{"status":"processing"}')
  })
  const order = { directory: `${url}/dir`, ca, accountKey: accountKeyIn(`${scratchDirectory()}/account.pem`), email: null, names: [DOMAIN], challenge: 'http-01' as const, polls: 2 }
  await expect(runTask({ order }, async () => {}, { env: process.env, signal: AbortSignal.timeout(30_000) })).rejects.toMatchObject({ code })
})
