import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, expect, test } from 'vitest'
import { examineCertificate } from '../../../../src/relay/doctor/certificate.ts'
import { results } from './subjects.ts'

const directory = mkdtempSync(`${tmpdir()}/turnpike-certificates-`)
afterAll(() => rmSync(directory, { recursive: true }))
const DAY = 86_400
const read = (name: string): string => readFileSync(`${directory}/${name}`, 'utf8')
const openssl = (...args: string[]): void => { execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' }) }

/** A certificate and its key; signed by the issuer, or by itself. */
function make (name: string, subject: string, extension: string, issuer?: string): { cert: string, key: string } {
  writeFileSync(`${directory}/${name}.ext`, extension)
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${subject}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
  const signer = issuer === undefined ? ['-signkey', `${name}.key`] : ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`, '-CAcreateserial']
  openssl('x509', '-req', '-in', `${name}.csr`, ...signer, '-days', '90', '-extfile', `${name}.ext`, '-out', `${name}.pem`)
  return { cert: read(`${name}.pem`), key: read(`${name}.key`) }
}

const root = make('root', 'Test root', 'basicConstraints=critical,CA:TRUE')
const middle = make('middle', 'Test middle', 'basicConstraints=critical,CA:TRUE', 'root')
const leaf = make('leaf', 'turn.example', 'subjectAltName=DNS:turn.example,IP:192.0.2.1', 'middle')
const own = make('own', 'turn.example', 'subjectAltName=DNS:turn.example')
// Not before the certificates begin.
const NOW = Math.ceil(Date.now() / 1000)
const GOOD = { cert: leaf.cert + middle.cert, key: leaf.key }
const look = (tls: { cert: string, key: string } | null, { host = 'turn.example', now = NOW } = {}) => examineCertificate({ id: 'turnpike', host, tls }, now)
const FINE = ['certificate-chain ok', 'certificate-name ok', 'certificate-expiry ok', 'certificate-key ok']

test('a whole chain for the name is well; with its root too', () => {
  expect(results(look(GOOD))).toEqual(FINE)
  expect(results(look({ ...GOOD, cert: GOOD.cert + root.cert }))).toEqual(FINE)
  expect(results(look(GOOD, { host: '192.0.2.1' }))).toEqual(FINE)
})

test.each([
  ['the certificate alone', { ...GOOD, cert: leaf.cert }, 'certificate-chain failed', /issuer \(CN=Test middle\) is not in it.*fullchain/],
  ['the wrong order', { ...GOOD, cert: leaf.cert + root.cert + middle.cert }, 'certificate-chain failed', /Certificate 2 in the file is not the issuer/],
  ['a self-made one', own, 'certificate-chain warning', /self-made/],
  ['no PEM', { cert: 'nonsense', key: 'nonsense' }, 'certificate-chain failed', /without a certificate in PEM/],
  ['PEM that holds none', { cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', key: '' }, 'certificate-chain failed', /without a certificate/],
  ['the key of another', { ...GOOD, key: own.key }, 'certificate-key failed', /does not belong/],
  ['no key', { ...GOOD, key: 'a-secret-text' }, 'certificate-key failed', /without a key/],
  ['none at all', null, 'tls-served warning', /not served/],
])('%s', (_name, tls, expected, words) => {
  const findings = look(tls)
  const found = findings.find(({ check, result }) => `${check} ${result}` === expected)
  expect(`${found?.what} ${found?.cure}`).toMatch(words)
  expect(JSON.stringify(findings)).not.toContain('a-secret-text')
})

test('another name is told with the names that it is for; an unknown one cannot be compared', () => {
  expect(look(GOOD, { host: 'other.example' })[1]).toMatchObject({ result: 'failed', what: 'It is for turn.example, 192.0.2.1, and URLs say other.example.', cure: expect.stringContaining('certificate for other.example') })
  expect(look(GOOD, { host: '' })[1]).toMatchObject({ result: 'unknown' })
})

test.each([[91, 'failed', 'expired on'], [89.5, 'failed', 'in less than a day'], [88.5, 'failed', 'in a day'], [80.5, 'warning', 'in 9 days'], [70, 'ok', 'holds until'], [-1, 'failed', 'only from']])('after %f of its 90 days: %s', (days, result, words) => {
  expect(look(GOOD, { now: NOW + days * DAY })[2]).toMatchObject({ result, what: expect.stringContaining(words) })
})
