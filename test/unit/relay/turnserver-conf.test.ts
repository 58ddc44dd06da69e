import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { renderTurnserverConf, type TurnserverSettings } from '../../../src/relay/turnserver-conf.ts'

const settings: TurnserverSettings = {
  realm: 'turnpike',
  userDatabase: '/run/turnpike-0123456789ab/turndb',
  control: { host: '127.0.0.1', port: 45766, hashedPassword: '$5$0123456789abcdef$0123' },
  listenIp: '10.0.0.5',
  publicIp: '198.51.100.7',
  port: 3478,
  tls: { port: 5349, certPath: '/etc/turnpike/cert.pem', keyPath: '/etc/turnpike/key.pem', dtls: false },
  listenIp6: null,
  publicIp6: null,
  ownAddresses: [],
  behindEdge: false,
  sessionBytesPerSecond: 0,
  minPort: 49160,
  maxPort: 51159,
  peers: 'internet',
  userQuota: 24,
  feed: { host: '127.0.0.1', port: 6390, password: 'feed-password' },
  runAs: { user: 'turnserver', group: 'turnserver' },
  version: [4, 6, 1],
}

test.each([['4.6.1', [4, 6, 1]], ['4.18.0', [4, 18, 0]]] as const)('the file for coturn %s is the one that was looked at', (name, version) => {
  expect(renderTurnserverConf({ ...settings, version })).toBe(readFileSync(`test/fixtures/conf/coturn-${name}.conf`, 'utf8'))
})

test('an address that is nobody else\'s is not mapped, and without a certificate there is no TLS', () => {
  const conf = renderTurnserverConf({ ...settings, publicIp: '10.0.0.5', tls: null })
  expect(conf).not.toMatch(/external-ip|tls-listening-port|cert=./)
  expect(conf).toMatch(/^no-tls$/m)
})

test('behind an edge it listens on loopback too, and relays from its own address alone', () => {
  const addresses = (more: Partial<TurnserverSettings>): string[] => renderTurnserverConf({ ...settings, behindEdge: true, ...more }).split('\n').filter(line => /^(listening|relay)-ip=/.test(line))
  expect(addresses({})).toEqual(['listening-ip=10.0.0.5', 'relay-ip=10.0.0.5', 'listening-ip=127.0.0.1'])
  expect(addresses({ listenIp: '127.0.0.1', publicIp: '127.0.0.1' })).toEqual(['listening-ip=127.0.0.1', 'relay-ip=127.0.0.1'])
})

test('loopback is opened only by its name, and never as the relay\'s own address', () => {
  expect(renderTurnserverConf({ ...settings, listenIp: '127.0.0.1', publicIp: '127.0.0.1' })).not.toMatch(/allow-loopback-peers|allowed-peer-ip/)
  expect(renderTurnserverConf({ ...settings, listenIp: '127.0.0.1', publicIp: '127.0.0.1', peers: 'loopback' })).toMatch(/^allow-loopback-peers$/m)
})

test('IPv6 is listened on and relayed from beside IPv4, and told as what it is outside', () => {
  const conf = renderTurnserverConf({ ...settings, listenIp6: '2606:4700::5', publicIp6: '2606:4700::7' })
  expect(conf).toMatch(/^listening-ip=2606:4700::5$/m)
  expect(conf).toMatch(/^relay-ip=2606:4700::5$/m)
  expect(conf).toMatch(/^external-ip=2606:4700::7\/2606:4700::5$/m)
  expect(conf).not.toContain('allocation-default-address-family')
  expect(renderTurnserverConf({ ...settings, listenIp: '2606:4700::5', publicIp: '2606:4700::5' })).toMatch(/^allocation-default-address-family=ipv6$/m)
})

test('what else this machine answers at is refused, but for what it listens on and what is refused already', () => {
  const rules = renderTurnserverConf({ ...settings, ownAddresses: ['8.8.4.4', '10.0.0.5', '172.17.0.1'] }).split('\n')
  expect(rules).toContain('denied-peer-ip=8.8.4.4')
  expect(rules).not.toContain('denied-peer-ip=10.0.0.5')
  expect(rules).not.toContain('denied-peer-ip=172.17.0.1')
})

test('a limit for each allocation is one of bytes a second, and none where there is none', () => {
  expect(renderTurnserverConf({ ...settings, sessionBytesPerSecond: 250_000 })).toMatch(/^max-bps=250000$/m)
  expect(renderTurnserverConf(settings)).not.toContain('max-bps')
})

test('no rule is in CIDR form, which 4.6.1 would leave out', () => {
  const rules = renderTurnserverConf(settings).split('\n').filter(line => line.startsWith('denied-peer-ip='))
  expect(rules.length).toBeGreaterThan(20)
  expect(rules.filter(rule => rule.includes('/'))).toEqual([])
})

test.each(['a\nno-auth', 'a\u0000b', 'x'.repeat(1001)])('a value that would break out of its line is refused (%#)', password => {
  expect(() => renderTurnserverConf({ ...settings, feed: { ...settings.feed, password } })).toThrow(expect.objectContaining({ code: 'relay-config-rejected', message: expect.not.stringContaining(password) }))
})
