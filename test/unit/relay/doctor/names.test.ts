import { expect, test } from 'vitest'
import { examineName } from '../../../../src/relay/doctor/names.ts'
import type { DoctorSubject, DoctorWorld } from '../../../../src/relay/doctor/subject.ts'
import { failingWith, results, subjectOf, worldOf } from './subjects.ts'

const is = (...addresses: string[]) => async (): Promise<string[]> => addresses
const none = failingWith('ENOTFOUND')

test.each<[string, Partial<DoctorSubject>, Partial<DoctorWorld>, string[], RegExp]>([
  ['a name that leads to the relay', {}, {}, ['name-resolves ok', 'name-agrees ok'], /turn\.example is 8\.8\.4\.4/],
  ['an address in the place of a name', { host: '8.8.4.4' }, {}, ['name-resolves warning'], /no name.*TURNPIKE_PUBLIC_HOST/],
  ['nothing known yet', { host: '' }, {}, ['name-resolves unknown'], /not known yet/],
  ['a name that DNS does not know', {}, { resolve4: none, lookUp: none }, ['name-resolves failed'], /make an A record of turn\.example with 8\.8\.4\.4/],
  ['a name that only this machine knows', {}, { resolve4: none }, ['name-resolves failed'], /Only this machine knows/],
  ['the same in a network of its own', { peers: 'lan' }, { resolve4: none }, ['name-resolves warning'], /Only this machine knows/],
  ['no DNS', {}, { resolve4: failingWith('ESERVFAIL'), resolve6: failingWith('ESERVFAIL'), lookUp: none }, ['name-resolves unknown'], /ESERVFAIL.*resolv\.conf/],
  ['a private address for a public relay', {}, { resolve4: is('10.1.2.3') }, ['name-resolves failed', 'name-agrees failed'], /10\.1\.2\.3.*not public.*dig turn\.example/],
  ['a private address for a private relay that should be public', { publicIp: '10.1.2.3' }, { resolve4: is('10.1.2.3') }, ['name-resolves warning', 'name-agrees ok'], /same network/],
  ['a private address for a relay of a private network', { publicIp: '10.1.2.3', peers: 'lan' }, { resolve4: is('10.1.2.3') }, ['name-resolves ok', 'name-agrees ok'], /same network/],
  ['another address', {}, { resolve4: is('1.1.1.1') }, ['name-resolves ok', 'name-agrees failed'], /is 1\.1\.1\.1, and the public address of the relay is 8\.8\.4\.4.*EXTERNAL_IP/],
  ['other addresses too', {}, { resolve4: is('1.1.1.1', '8.8.4.4') }, ['name-resolves ok', 'name-agrees warning'], /others too: 1\.1\.1\.1/],
  ['no public address to compare with', { publicIp: null }, {}, ['name-resolves ok', 'name-agrees unknown'], /not known/],
  ['an IPv6 address where nobody listens on it', {}, { resolve6: is('2606:4700::1') }, ['name-resolves ok', 'name-agrees ok', 'name-ipv6 warning'], /Take the AAAA record/],
  ['an IPv6 address where the relay listens, written in another way', { listenIp6: '2606:4700::1', publicIp6: '2606:4700:0:0::1' }, { resolve6: is('2606:4700::1') }, ['name-resolves ok', 'name-agrees ok', 'name-agrees ok', 'name-ipv6 ok'], /listens on IPv6/],
  ['no IPv6 address for a relay that has one', { listenIp6: '2606:4700::1', publicIp6: '2606:4700::1' }, {}, ['name-resolves ok', 'name-agrees ok', 'name-agrees failed'], /has no AAAA record/],
  ['a relay of somebody else', { driver: 'external', publicIp: 'turn.example' }, { resolve6: is('2606:4700::1') }, ['name-resolves ok', 'name-agrees unknown'], /nothing can be compared/],
])('%s', async (_name, subject, world, expected, words) => {
  const findings = await examineName(subjectOf(subject), worldOf(world))
  expect(results(findings)).toEqual(expected)
  expect(findings.map(({ what, cure }) => `${what} ${cure}`).join(' ')).toMatch(words)
  for (const { result, cure } of findings) expect(cure === null).toBe(result === 'ok' || (result === 'unknown' && cure === null))
})
