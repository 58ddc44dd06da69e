/** The address ranges that a relay must not reach, with their reason (IANA special-purpose registries), and which policy opens which. */
import { BlockList, isIPv6 } from 'node:net'

export type PeerPolicy = 'internet' | 'lan' | 'loopback'
/** Ranges are first and last address: coturn 4.6.1 ignores a rule in CIDR form, and runs without it. */
type Range = { first: string, last: string, source: string, reason: string, openedBy?: PeerPolicy }

// '::' is not named: 4.6.1 takes a rule that begins with it for 'everything', and refuses it as a peer anyway.
const RANGES: readonly Range[] = [
  { first: '0.0.0.0', last: '0.255.255.255', source: 'RFC 791', reason: 'this network; some systems take it for loopback' },
  { first: '10.0.0.0', last: '10.255.255.255', source: 'RFC 1918', reason: 'private', openedBy: 'lan' },
  { first: '100.64.0.0', last: '100.127.255.255', source: 'RFC 6598', reason: 'carrier-grade NAT; some clouds put services there', openedBy: 'lan' },
  { first: '127.0.0.0', last: '127.255.255.255', source: 'RFC 1122', reason: 'loopback', openedBy: 'loopback' },
  { first: '169.254.0.0', last: '169.254.255.255', source: 'RFC 3927', reason: 'link-local; metadata services of clouds' },
  { first: '172.16.0.0', last: '172.31.255.255', source: 'RFC 1918', reason: 'private', openedBy: 'lan' },
  { first: '192.0.0.0', last: '192.0.0.255', source: 'RFC 6890', reason: 'protocol assignments' },
  { first: '192.0.2.0', last: '192.0.2.255', source: 'RFC 5737', reason: 'documentation' },
  { first: '192.88.99.0', last: '192.88.99.255', source: 'RFC 7526', reason: '6to4 relays' },
  { first: '192.168.0.0', last: '192.168.255.255', source: 'RFC 1918', reason: 'private', openedBy: 'lan' },
  { first: '198.18.0.0', last: '198.19.255.255', source: 'RFC 2544', reason: 'benchmarks' },
  { first: '198.51.100.0', last: '198.51.100.255', source: 'RFC 5737', reason: 'documentation' },
  { first: '203.0.113.0', last: '203.0.113.255', source: 'RFC 5737', reason: 'documentation' },
  { first: '224.0.0.0', last: '239.255.255.255', source: 'RFC 5771', reason: 'multicast' },
  { first: '240.0.0.0', last: '255.255.255.255', source: 'RFC 1112', reason: 'reserved, broadcast' },
  { first: '::1', last: '::1', source: 'RFC 4291', reason: 'loopback', openedBy: 'loopback' },
  // From ::1.0.0.0 on: what is before it leads nowhere, and a rule that begins in the middle of a byte has holes before coturn 4.16.
  { first: '::100:0', last: '::ffff:ffff', source: 'RFC 4291', reason: 'IPv4 in IPv6 (compatible)' },
  // Before 4.9 an IPv4 address in this form got past every IPv4 rule (CVE-2026-27624).
  { first: '::ffff:0.0.0.0', last: '::ffff:255.255.255.255', source: 'RFC 4291', reason: 'IPv4 in IPv6' },
  { first: '::ffff:0:0:0', last: '::ffff:0:ffff:ffff', source: 'RFC 7915', reason: 'IPv4 in IPv6 (translated)' },
  { first: '64:ff9b::', last: '64:ff9b::ffff:ffff', source: 'RFC 6052', reason: 'IPv4 in IPv6 (NAT64)' },
  { first: '64:ff9b:1::', last: '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', source: 'RFC 8215', reason: 'IPv4 in IPv6 (NAT64 of a network of its own)' },
  { first: '100::', last: '100::ffff:ffff:ffff:ffff', source: 'RFC 6666', reason: 'discard' },
  { first: '2001::', last: '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 2928', reason: 'protocol assignments, Teredo' },
  { first: '2001:db8::', last: '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 3849', reason: 'documentation' },
  { first: '2002::', last: '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 3056', reason: 'IPv4 in IPv6 (6to4)' },
  { first: '3fff::', last: '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 9637', reason: 'documentation' },
  { first: '5f00::', last: '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 9602', reason: 'segment routing inside networks' },
  { first: 'fc00::', last: 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 4193', reason: 'private', openedBy: 'lan' },
  { first: 'fe80::', last: 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 4291', reason: 'link-local' },
  { first: 'fec0::', last: 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 3879', reason: 'site-local, once private' },
  { first: 'ff00::', last: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', source: 'RFC 4291', reason: 'multicast' },
]

/** The ranges that stay forbidden under a policy. */
export function deniedPeers (policy: PeerPolicy): readonly Range[] {
  return RANGES.filter(range => range.openedBy !== policy)
}

/** Is this address a forbidden peer under the policy? */
export function isDenied (address: string, policy: PeerPolicy): boolean {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  return deniedPeers(policy).some(({ first, last }) => {
    if (isIPv6(first) !== (family === 'ipv6')) return false
    const list = new BlockList()
    list.addRange(first, last, family)
    return list.check(address, family)
  })
}

export function isLoopback (address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}

/** An address that must get 403 under the policy, of the family that the relay speaks. */
export function forbiddenPeerFor (policy: PeerPolicy, relayAddress: string): string {
  if (isIPv6(relayAddress)) return policy === 'lan' ? '2001:db8::1' : 'fd00::1'
  return policy === 'internet' ? '10.255.255.254' : '169.254.169.254'
}
