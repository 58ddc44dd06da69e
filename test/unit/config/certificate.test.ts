import { expect, test } from 'vitest'
import { loadConfig, type Loaded } from '../../../src/config/load.ts'

function load (env: Record<string, string>): Loaded {
  return loadConfig({ env, readFile: () => { throw new Error('no files here') } })
}

test('a domain is all that it takes: it stands in URLs, certificates are got for it and for turn.<domain>, and HTTPS is on 443', () => {
  const { config, problems, warnings, sources } = load({ TURNPIKE_DOMAIN: 'Meet.Example.org', TURNPIKE_DATA_DIR: '/var/lib/turnpike' })
  expect([problems, warnings]).toEqual([[], []])
  expect(config.publicHost).toBe('Meet.Example.org')
  expect(sources.get('TURNPIKE_PUBLIC_HOST')).toBe('computed from other settings')
  expect(config.https.port).toBe(443)
  const file = '/var/lib/turnpike/certificates/current.pem'
  expect(config.certificate).toEqual({ files: { cert: file, key: file }, acme: { directory: 'https://acme-v02.api.letsencrypt.org/directory', names: ['meet.example.org', 'turn.meet.example.org'] } })
})

test.each(['', 'localhost'])('without a domain (%j) nothing is new', TURNPIKE_DOMAIN => {
  const { config, problems, warnings } = load({ TURNPIKE_DOMAIN, TURNPIKE_EDGE_PORT: '443', TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM: '127.0.0.1/32' })
  expect([config.domain, problems, warnings]).toEqual([undefined, [], []])
  expect([config.publicHost, config.https.port, config.certificate]).toEqual([undefined, 0, { files: null, acme: null }])
})

test.each([
  [{ TURNPIKE_PUBLIC_HOST: 'relay.example.org' }, { publicHost: 'relay.example.org', port: 443, names: ['example.org', 'turn.example.org'] }],
  [{ TURNPIKE_ACME_EXTRA_NAMES: 'none' }, { publicHost: 'example.org', port: 443, names: ['example.org'] }],
  [{ TURNPIKE_ACME_EXTRA_NAMES: 'a.example.org,Example.org' }, { publicHost: 'example.org', port: 443, names: ['example.org', 'a.example.org'] }],
  // A proxy in front has the certificate.
  [{ TURNPIKE_ACME_DIRECTORY: 'off' }, { publicHost: 'example.org', port: 0, names: undefined }],
  [{ TURNPIKE_HTTPS_PORT: '0' }, { publicHost: 'example.org', port: 0, names: ['example.org', 'turn.example.org'] }],
])('a domain with %j', (more, expected) => {
  const { config, problems } = load({ TURNPIKE_DOMAIN: 'example.org', ...more })
  expect(problems).toEqual([])
  expect({ publicHost: config.publicHost, port: config.https.port, names: config.certificate.acme?.names }).toEqual(expected)
})

test.each([
  [{ TURNPIKE_DOMAIN: '203.0.113.9' }, 'TURNPIKE_DOMAIN', 'a host name with a dot in it'],
  [{ TURNPIKE_DOMAIN: 'elsewhere' }, 'TURNPIKE_DOMAIN', 'a host name with a dot in it'],
  [{ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_ACME_DIRECTORY: 'http://ca.example' }, 'TURNPIKE_ACME_DIRECTORY', 'an https URL'],
  [{ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_ACME_CHALLENGE: 'dns-01' }, 'TURNPIKE_ACME_DNS_HOOK', 'is not set'],
  [{ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_ACME_CA_FILE: '/nowhere' }, 'TURNPIKE_ACME_CA_FILE', 'certificates in PEM'],
  [{ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_HTTP_PORT: '80' }, 'TURNPIKE_HTTP_PORT', 'the same as TURNPIKE_ACME_HTTP_PORT'],
  [{ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_HTTP_PORT: '443' }, 'TURNPIKE_HTTPS_PORT', 'the same as TURNPIKE_HTTP_PORT'],
  [{ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_EDGE_PORT: '443', TURNPIKE_HTTPS_PORT: '443' }, 'TURNPIKE_HTTPS_PORT', 'the same as TURNPIKE_EDGE_PORT'],
  [{ TURNPIKE_HTTPS_PORT: '443' }, 'TURNPIKE_HTTPS_PORT', 'there is no certificate; expected TURNPIKE_DOMAIN'],
  [{ TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM: 'everywhere' }, 'TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM', 'CIDR'],
  [{ TURNPIKE_ACME_EMAIL: 'me' }, 'TURNPIKE_ACME_EMAIL', 'an e-mail address'],
])('%j is refused, by the name of the variable and what to do', (env, where, message) => {
  const { problems } = load(env)
  expect(problems).toEqual([{ where, message: expect.stringContaining(message) }])
})

test('behind an edge HTTPS is on a port of its own, and known by that of the edge', () => {
  const { config } = load({ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_EDGE_PORT: '443' })
  expect([config.https.port, config.https.publicPort]).toEqual([8443, 443])
  expect(load({ TURNPIKE_DOMAIN: 'example.org' }).config.https.publicPort).toBe(443)
  expect(load({ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_EDGE_PORT: '443', TURNPIKE_HTTPS_PORT: '0' }).config.https.publicPort).toBe(0)
})

test('what is set and not used is said', () => {
  expect(load({ TURNPIKE_ACME_EMAIL: 'me@example.org' }).warnings).toEqual(['not used, because TURNPIKE_DOMAIN is not set: TURNPIKE_ACME_EMAIL'])
  expect(load({ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_ACME_DIRECTORY: 'off', TURNPIKE_ACME_DNS_HOOK: '/hook' }).warnings).toEqual(['not used, because TURNPIKE_ACME_DIRECTORY is off: TURNPIKE_ACME_DNS_HOOK'])
  expect(load({ TURNPIKE_DOMAIN: 'example.org', TURNPIKE_ACME_DNS_HOOK: '/hook' }).warnings).toEqual(['TURNPIKE_ACME_DNS_HOOK is not used: TURNPIKE_ACME_CHALLENGE is http-01'])
  expect(load({ TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM: '10.0.0.0/8' }).warnings).toEqual(['TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM is not used: TURNPIKE_HTTPS_PORT is 0'])
})
