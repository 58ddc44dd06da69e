/** The certificate of TURN over TLS: a new one is served without a restart, a broken one is not. */
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { mintLogin } from '../kit/coturn.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample, type TestRelay } from '../kit/relay.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DRIVERS: [string, Record<string, string>][] = [['4.6.1', {}], ['4.18.0', { TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE }]]
const fingerprintOf = (file: string): string => new X509Certificate(readFileSync(file)).fingerprint256

async function fingerprintServed (port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '')
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

async function startRelay (driver: Record<string, string>): Promise<{ relay: TestRelay, files: { cert: string, key: string }, tlsPort: number }> {
  const files = selfMadeCertificate(scratchDirectory())
  const relay = await makeRelay({ ...driver, TURNPIKE_TLS_CERT: files.cert, TURNPIKE_TLS_KEY: files.key, TURNPIKE_TLS_CHECK_SECONDS: '1' })
  await relay.start()
  expect(relay.health().ready).toBe(true)
  return { relay, files, tlsPort: Number(relay.settings['TURNPIKE_RELAY_TLS_PORT']) }
}

function replace (files: { cert: string, key: string }): string {
  const next = selfMadeCertificate(scratchDirectory())
  copyFileSync(next.key, files.key)
  copyFileSync(next.cert, files.cert)
  return fingerprintOf(files.cert)
}

/** Signed by its own key, for a month of 2020. */
function endedCertificate ({ cert, key }: { cert: string, key: string }): void {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/index`, '')
  writeFileSync(`${directory}/ca.conf`, `[ca]\ndefault_ca = own\n[own]\ndatabase = ${directory}/index\nnew_certs_dir = ${directory}\nrand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n`)
  execFileSync('sh', ['-ec', `openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout ${key} -out ${directory}/csr && openssl ca -batch -selfsign -config ${directory}/ca.conf -startdate 20200101000000Z -enddate 20200201000000Z -keyfile ${key} -in ${directory}/csr -out ${cert} -notext`], { stdio: 'ignore' })
}

/** Two clients over TLS that relay to each other until they are told to stop; what was lost. */
async function callOverTls (tlsPort: number): Promise<{ end: () => Promise<{ sent: number, received: number }> }> {
  const open = async (user: string) => {
    const client = await TurnClient.open({ transport: 'tls', host: '127.0.0.1', port: tlsPort, timeoutMs: 2000 })
    const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600, user))
    if (isRefusal(outcome)) throw new Error(String(outcome.code))
    await client.createPermission('127.0.0.1')
    return { client, relayed: outcome.relayed }
  }
  const [one, other] = [await open('shop.alice.0'), await open('shop.bob.0')]
  let [sent, received] = [0, 0]
  other.client.onData(() => received++)
  const sending = setInterval(() => {
    one.client.send(other.relayed, Buffer.alloc(160))
    sent++
  }, 20)
  return {
    end: async () => {
      clearInterval(sending)
      await new Promise(resolve => setTimeout(resolve, 300))
      await Promise.all([one.client.close(), other.client.close()])
      return { sent, received }
    },
  }
}

test.each(DRIVERS)('coturn %s serves a new certificate within seconds, under calls over TLS that lose nothing; restarts of ours change nothing of it', async (_version, driver) => {
  const { relay, files, tlsPort } = await startRelay(driver)
  const { end } = await callOverTls(tlsPort)
  expect(await fingerprintServed(tlsPort)).toBe(fingerprintOf(files.cert))
  const renewed = replace(files)
  await until('the new one is served', async () => await fingerprintServed(tlsPort) === renewed)
  await until('it is told', async () => await sample(relay.metrics, 'turnpike_certificate_reloads_total{use="relay",result="installed"}') === 1)
  expect(await sample(relay.metrics, 'turnpike_certificate_expiry_timestamp_seconds{use="relay"}')).toBe(new Date(new X509Certificate(readFileSync(files.cert)).validTo).getTime() / 1000)
  // A control plane that was killed, and finds another certificate than it left, takes coturn over all the same.
  await relay.release()
  const newest = replace(files)
  const next = await makeRelay(relay.settings)
  await next.start()
  expect(next.decisions()).toContain('coturn was running already and was taken over')
  await until('that one is served', async () => await fingerprintServed(tlsPort) === newest)
  const { sent, received } = await end()
  expect(sent).toBeGreaterThan(30)
  expect(received).toBe(sent)
  expect(relay.health().restarts + next.health().restarts).toBe(0)
})

test('a pair that is broken is refused with why, once, and the one before is served on, also by a coturn that is started again meanwhile', async () => {
  const { relay, files, tlsPort } = await startRelay({})
  const good = { served: fingerprintOf(files.cert), cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') }
  const refused = async (count: number): Promise<void> => await until(`${count} refusals`, async () => await sample(relay.metrics, 'turnpike_certificate_reloads_total{use="relay",result="refused"}') === count)
  writeFileSync(files.cert, 'half a file')
  await refused(1)
  const { key: strangeKey } = selfMadeCertificate(scratchDirectory())
  writeFileSync(files.cert, good.cert)
  copyFileSync(strangeKey, files.key)
  await refused(2)
  const told = relay.log.filter(line => line.startsWith('a new certificate is refused'))
  expect(told).toEqual([expect.stringContaining('the certificate is none in PEM'), expect.stringContaining('the key does not belong to the certificate')])
  expect(relay.log.join('\n')).not.toContain(good.key.split('\n')[1])
  // Started again while the files are broken.
  const { pid } = JSON.parse(readFileSync(`${relay.settings['TURNPIKE_DATA_DIR']}/relay/turnserver.json`, 'utf8')) as { pid: number }
  process.kill(pid, 'SIGKILL')
  await until('it is back', () => relay.health().restarts === 1 && relay.health().state === 'healthy')
  expect(await fingerprintServed(tlsPort)).toBe(good.served)
  // Mended again: nothing is to be done.
  writeFileSync(files.key, good.key)
  await new Promise(resolve => setTimeout(resolve, 1500))
  expect(await fingerprintServed(tlsPort)).toBe(good.served)
  await refused(2)
})

test('a certificate that has ended is served on at a start, with a warning: without it no relay would be ready, and calls would be lost', async () => {
  const { relay, files, tlsPort } = await startRelay({})
  const call = await callOverTls(tlsPort)
  await relay.release()
  endedCertificate(files)
  const next = await makeRelay(relay.settings)
  await next.start()
  expect(next.health()).toMatchObject({ ready: true, restarts: 0 })
  expect(next.log.join('\n')).toContain('the certificate has ended')
  const { sent, received } = await call.end()
  expect(received).toBe(sent)
})
