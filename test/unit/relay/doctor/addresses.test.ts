import { expect, test } from 'vitest'
import { examineAddresses } from '../../../../src/relay/doctor/addresses.ts'
import type { DoctorSubject } from '../../../../src/relay/doctor/subject.ts'
import type { Mapping } from '../../../../src/stun/nat-mapping.ts'
import { failingWith, results, subjectOf, worldOf } from './subjects.ts'

const seenAt = (...seen: string[]): Mapping => ({
  localPort: 50159,
  answers: seen.map((text, i) => ({ server: `s${i}.example:3478`, seen: { address: text.split(':')[0] ?? '', port: Number(text.split(':')[1]) } })),
  silent: seen.length === 0 ? [{ server: 's0.example:3478', reason: 'it did not answer' }] : [],
})
const BEHIND_NAT = { listenIp: '10.0.0.5', publicIp: '8.8.4.4' }
const OWN = ['10.0.0.5', '8.8.4.4']

test.each<[string, Partial<DoctorSubject>, Mapping, string[], RegExp]>([
  ['a public address of its own', {}, seenAt('8.8.4.4:50159', '8.8.4.4:50159'), ['listen-address ok', 'public-address ok', 'nat ok'], /There is no NAT/],
  ['a NAT that maps 1:1', BEHIND_NAT, seenAt('8.8.4.4:50159', '8.8.4.4:50159'), ['listen-address ok', 'public-address ok', 'nat ok'], /maps 10\.0\.0\.5 to 8\.8\.4\.4 and leaves ports/],
  ['a NAT of which one server tells', BEHIND_NAT, seenAt('8.8.4.4:50159'), ['listen-address ok', 'public-address ok', 'nat ok'], /cannot be told/],
  ['a symmetric NAT', BEHIND_NAT, seenAt('8.8.4.4:1024', '8.8.4.4:1025'), ['listen-address ok', 'public-address ok', 'nat failed'], /symmetric: port 50159 is seen as 1024, 1025.*1:1/],
  ['a NAT that changes ports', BEHIND_NAT, seenAt('8.8.4.4:1024', '8.8.4.4:1024'), ['listen-address ok', 'public-address ok', 'nat failed'], /changes ports: port 50159 is seen as 1024/],
  ['servers that disagree', {}, seenAt('8.8.4.4:50159', '8.8.4.5:50159'), ['listen-address ok', 'public-address warning', 'nat ok'], /8\.8\.4\.4 \(s0\.example:3478\), 8\.8\.4\.5/],
  ['an address that has changed', { publicIp: '8.8.4.3' }, seenAt('8.8.4.4:50159'), ['listen-address ok', 'public-address failed', 'nat ok'], /EXTERNAL_IP=8\.8\.4\.4/],
  ['another address than was configured', { publicIp: '8.8.4.3', isPublicIpConfigured: true }, seenAt('8.8.4.4:50159'), ['listen-address ok', 'public-address warning', 'nat ok'], /8\.8\.4\.3 is configured/],
  ['no answer', {}, seenAt(), ['listen-address ok', 'public-address unknown'], /s0\.example:3478: it did not answer.*Let UDP out/],
  ['nobody to ask', { stunServers: [] }, seenAt(), ['listen-address ok', 'public-address unknown'], /STUN_SERVERS/],
  ['loopback', { listenIp: '127.0.0.1' }, seenAt(), ['listen-address ok', 'public-address warning'], /only clients on this machine/],
  ['an address that the machine has lost', { listenIp: '8.8.4.9' }, seenAt('8.8.4.4:50159'), ['listen-address failed', 'public-address ok', 'nat ok'], /no address of this machine/],
  ['an IPv6 address that it has lost', { listenIp6: '2606:4700::1' }, seenAt('8.8.4.4:50159'), ['listen-address ok', 'listen-address failed', 'public-address ok', 'nat ok'], /2606:4700::1 is no address/],
  ['no address yet', { listenIp: null }, seenAt(), ['listen-address unknown'], /not known yet/],
  ['a relay of somebody else', { driver: 'external' }, seenAt(), [], /^$/],
])('%s', async (_name, subject, mapping, expected, words) => {
  const findings = await examineAddresses(subjectOf(subject), worldOf({ ownAddresses: () => OWN, observeMapping: async () => mapping }))
  expect(results(findings)).toEqual(expected)
  expect(findings.map(({ what, cure }) => `${what} ${cure}`).join(' ')).toMatch(words)
})

test('an address that the machine has lost is told, although nothing can be sent from it', async () => {
  const findings = await examineAddresses(subjectOf({ listenIp: '8.8.4.9' }), worldOf({ observeMapping: failingWith('EADDRNOTAVAIL') }))
  expect(results(findings)).toEqual(['listen-address failed', 'public-address unknown'])
  expect(findings[1]?.what).toContain('from 8.8.4.9: EADDRNOTAVAIL')
})

test('STUN servers are asked from within the range of relay ports', async () => {
  let asked: object = {}
  await examineAddresses(subjectOf(), worldOf({ observeMapping: async needs => { asked = needs; return seenAt() } }))
  expect(asked).toMatchObject({ address: '8.8.4.4', port: 50159, servers: ['a.example:3478', 'b.example:3478'] })
})
