/** Certificates by ACME, against a real authority (pebble): got, served, renewed under calls, refused, and gone on by themselves. */
import { X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { request } from 'node:http'
import { connect } from 'node:tls'
import { expect, test } from 'vitest'
import { isFor } from '../../src/tls/pair.ts'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { startApp } from '../kit/app.ts'
import { makeAcme, type TestAcme } from '../kit/authority.ts'
import { whenDone } from '../kit/cleanup.ts'
import { freePorts, scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { startPebble, REFUSED_NAME, type Pebble } from '../kit/pebble.ts'
import { sample } from '../kit/relay.ts'

const DOMAIN = 'meet.test'

/** What a client that trusts this root, and asks for this name, sees. */
async function serialServed (port: number, name: string, ca: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: name, ca }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

async function turnUrls (app: Awaited<ReturnType<typeof startApp>>): Promise<string[]> {
  const { body } = await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}' })
  return (body['iceServers'] as { urls: string[] }[]).flatMap(({ urls }) => urls).filter(url => url.startsWith('turns:'))
}

test('without DNS, plain TURN serves and it is said what is missing; then the first certificate is served by everything without a restart, and renewed under a call over TLS', async () => {
  const pebble = await startPebble({ validitySeconds: 12 })
  const addresses: Record<string, string[]> = {}
  const [httpsPort = 0] = await freePorts(1)
  const app = await startApp({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_HTTPS_HOST: '127.0.0.1', TURNPIKE_HTTPS_PORT: String(httpsPort), TURNPIKE_TLS_CHECK_SECONDS: '3600' }, { resolve: async name => addresses[name] ?? [] })
  const tlsPort = Number(app.env['TURNPIKE_RELAY_TLS_PORT'])
  const root = await pebble.root()
  // Nothing in DNS yet.
  const { status, body } = await app.request('/readyz', { key: null })
  expect(status).toBe(200)
  await until('it is told, with the address that the relay has found', () => app.certificateStatus()?.problem?.reason.includes('127.0.0.1') === true)
  expect(app.certificateStatus()).toMatchObject({ ready: false, problem: { code: 'acme-name-elsewhere', reason: expect.stringContaining('meet.test has no address in DNS: set its A record to 127.0.0.1') } })
  expect(body['relay']).toMatchObject({ ready: true })
  expect(await turnUrls(app)).toEqual([])
  await expect(serialServed(httpsPort, DOMAIN, root)).rejects.toThrow()
  const { body: findings } = await app.request('/v1/doctor', { key: app.adminKey })
  expect(findings['findings']).toContainEqual(expect.objectContaining({ check: 'certificate-order', result: 'failed', what: expect.stringContaining('has no address in DNS') }))
  // It is there.
  Object.assign(addresses, { [DOMAIN]: ['127.0.0.1'], [`turn.${DOMAIN}`]: ['127.0.0.1'] })
  await until('the certificate is announced', async () => (await turnUrls(app)).length > 0)
  expect(await turnUrls(app)).toEqual([`turns:turn.${DOMAIN}:${tlsPort}?transport=tcp`])
  const first = await serialServed(httpsPort, DOMAIN, root)
  // Whoever is given the URL now is served it now.
  expect(await serialServed(tlsPort, `turn.${DOMAIN}`, root)).toBe(first)
  // A call over TLS, while it is renewed.
  const { username, password } = await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}' }).then(({ body: { username: name, credential } }) => ({ username: name as string, password: credential as string }))
  const client = await TurnClient.open({ transport: 'tls', host: '127.0.0.1', port: tlsPort, timeoutMs: 2000 })
  const outcome = await client.allocate({ username, password })
  if (isRefusal(outcome)) throw new Error(String(outcome.code))
  await until('it is renewed', async () => await serialServed(httpsPort, DOMAIN, root) !== first, 20_000)
  await until('the relay serves the new one', async () => await serialServed(tlsPort, `turn.${DOMAIN}`, root) !== first)
  await client.createPermission('127.0.0.1')
  await client.close()
  expect(app.relayHealth().restarts).toBe(0)
}, 60_000)

const fingerprintOf = (acme: TestAcme): string => new X509Certificate(acme.certificates.served()?.cert ?? '').fingerprint256
const problemOf = (acme: TestAcme): string => acme.status()?.problem?.code ?? ''
const servedFor = (acme: TestAcme, name: string): boolean => isFor(acme.certificates.served() ?? { cert: '' }, name)
const isIssued = (acme: TestAcme) => (): boolean => servedFor(acme, DOMAIN)

async function get (port: number, path: string): Promise<{ status: number | undefined, location: string | undefined }> {
  return await new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path }, response => {
      response.resume()
      resolve({ status: response.statusCode, location: response.headers.location })
    }).once('error', reject).end()
  })
}

async function issued (pebble: Pebble, more: Record<string, string> = {}): Promise<TestAcme> {
  const acme = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, ...more })
  await acme.start()
  await until('it is issued', isIssued(acme))
  return acme
}

test('the certificate is for the domain and turn.<domain>, with a P-256 key that only we may read; port 80 sends everybody else to https', async () => {
  const pebble = await startPebble()
  const acme = await issued(pebble)
  const leaf = new X509Certificate(acme.certificates.served()?.cert ?? '')
  expect([leaf.subjectAltName, leaf.publicKey.asymmetricKeyDetails?.namedCurve]).toEqual(['DNS:meet.test, DNS:turn.meet.test', 'prime256v1'])
  expect([statSync(acme.file).mode & 0o777, statSync(acme.file.replace(/\/[^/]*$/, '')).mode & 0o777]).toEqual([0o600, 0o700])
  expect(await get(pebble.httpPort, '/call/demo?a=b')).toEqual({ status: 301, location: 'https://meet.test/call/demo?a=b' })
  expect(await get(pebble.httpPort, '/.well-known/acme-challenge/none')).toEqual({ status: 404, location: undefined })
  expect(acme.examine()).toEqual([expect.objectContaining({ check: 'certificate-order', result: 'ok' })])
  expect(await sample(acme.metrics, 'turnpike_acme_orders_total{result="issued"}')).toBe(1)
  // The next process finds it, and orders nothing.
  await acme.stop(2000)
  const next = await makeAcme(acme.settings)
  await next.start()
  await until('it has looked', () => next.log.length > 0 || next.status()?.ready === true)
  expect(fingerprintOf(next)).toBe(fingerprintOf(acme))
  expect(await sample(next.metrics, 'turnpike_acme_orders_total{result="issued"}')).toBe(0)
  // The account's key is lost: a new account, and the next certificate as if nothing were.
  await next.stop(2000)
  rmSync(acme.file.replace('current', 'account'))
  writeFileSync(acme.file, 'half a file')
  const afterLoss = await makeAcme(acme.settings)
  await afterLoss.start()
  await until('it is issued again', isIssued(afterLoss))
  expect(readFileSync(acme.file.replace('current', 'account'), 'utf8')).toContain('PRIVATE KEY')
})

test('an order that is refused is told in the words of the authority and tried again; another name that it refuses is left out after two', async () => {
  const pebble = await startPebble()
  const refused = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: REFUSED_NAME, TURNPIKE_ACME_EXTRA_NAMES: 'none' })
  await refused.start()
  await until('it is refused', () => problemOf(refused) === 'acme-refused')
  expect(refused.status()).toMatchObject({ ready: false, problem: { reason: expect.stringContaining('policy') } })
  await refused.stop(2000)
  const acme = await issued(pebble, { TURNPIKE_ACME_EXTRA_NAMES: REFUSED_NAME })
  expect(servedFor(acme, REFUSED_NAME)).toBe(false)
  expect(await sample(acme.metrics, 'turnpike_acme_orders_total{result="failed"}')).toBe(2)
  expect(acme.examine()).toEqual([expect.objectContaining({ result: 'ok', what: expect.stringContaining(`${REFUSED_NAME}: left out`) })])
})

test('a name that the authority cannot reach is told as that', async () => {
  const pebble = await startPebble()
  // To us it leads here, to everybody else it does not.
  await pebble.dns('add-a', { host: `${DOMAIN}.`, addresses: ['127.255.255.254'] })
  const acme = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_EXTRA_NAMES: 'none' })
  await acme.start()
  await until('it is told', () => problemOf(acme) === 'acme-challenge-failed', 20_000)
  expect(acme.status()?.problem?.reason).toMatch(/refused|Fetching/)
  await pebble.dns('clear-a', { host: `${DOMAIN}.` })
  await until('it goes on by itself', isIssued(acme), 20_000)
})

test('an authority that is not there is told as that; one that wants to hear nothing is left alone for as long as it says, by the next process too', async () => {
  const [port = 0] = await freePorts(1)
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  const settings = { TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_DIRECTORY: `https://localhost:${port}/dir`, TURNPIKE_ACME_CA_FILE: cert, TURNPIKE_ACME_HTTP_PORT: String((await freePorts(1))[0]), TURNPIKE_ACME_RETRY_SECONDS: '1' }
  const acme = await makeAcme(settings)
  await acme.start()
  await until('it is told', () => problemOf(acme) === 'acme-unreachable')
  let asked = 0
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_request, response) => {
    asked++
    response.writeHead(429, { 'content-type': 'application/problem+json', 'retry-after': '7200' }).end(JSON.stringify({ type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many certificates for meet.test' }))
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  whenDone(() => { server.close().closeAllConnections() })
  await until('it is told to wait', () => problemOf(acme) === 'acme-rate-limited')
  const now = Date.now() / 1000
  expect(acme.status()?.problem?.reason).toContain('too many certificates for meet.test')
  expect(acme.status()?.nextTryAt).toBeGreaterThan(now + 7100)
  await acme.stop(2000)
  const next = await makeAcme(acme.settings)
  await next.start()
  await until('it waits too', () => (next.status()?.nextTryAt ?? 0) > now + 7100)
  expect(next.status()?.problem).toEqual(acme.status()?.problem)
  expect(asked).toBe(1)
  // Another authority has asked for nothing.
  await next.stop(2000)
  const pebble = await startPebble()
  const elsewhere = await makeAcme({ ...acme.settings, ...pebble.settings })
  await elsewhere.start()
  await until('it is issued there', isIssued(elsewhere))
})

test('dns-01 sets its records with the operator\'s program, needs no port 80, and tells what that program said', async () => {
  const pebble = await startPebble()
  const directory = scratchDirectory()
  const hook = `${directory}/hook`
  const calls = `${directory}/calls`
  const post = (command: string): string => `curl -sf -d "{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}" ${pebble.dnsUrl}/${command}`
  writeFileSync(hook, '#!/bin/sh\necho "no such zone" >&2\nexit 3\n')
  chmodSync(hook, 0o755)
  const acme = await makeAcme({ ...pebble.settings, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_ACME_CHALLENGE: 'dns-01', TURNPIKE_ACME_DNS_HOOK: hook }, { resolve: async () => [] })
  await acme.start()
  await until('it is told', () => problemOf(acme) === 'acme-hook-failed')
  expect(acme.status()?.problem?.reason).toContain('ended with 3: no such zone')
  writeFileSync(hook, `#!/bin/sh\necho "$1 $2" >>${calls}\nif [ "$1" = add ]; then ${post('set-txt')}; else ${post('clear-txt')}; fi\n`)
  await until('it is issued', isIssued(acme), 20_000)
  expect(readFileSync(calls, 'utf8').trim().split('\n').sort()).toEqual([`add _acme-challenge.${DOMAIN}`, `add _acme-challenge.turn.${DOMAIN}`, `remove _acme-challenge.${DOMAIN}`, `remove _acme-challenge.turn.${DOMAIN}`])
  await expect(get(pebble.httpPort, '/')).rejects.toThrow('ECONNREFUSED')
})
