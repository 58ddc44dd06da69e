/** Where a relay must never send anything for its users: an address or two out of each range, the edges where a neighbour is public, and this machine's own. */
import { networkInterfaces } from 'node:os'

const IPV4 = [
  '0.0.0.0', '0.0.0.1', '0.255.255.255',
  '10.0.0.0', '10.1.2.3', '10.255.255.255',
  '100.64.0.0', '100.64.0.1', '100.100.100.200', '100.127.255.255',
  '127.0.0.1', '127.0.0.2', '127.0.0.53', '127.1.2.3', '127.255.255.254', '127.255.255.255',
  '169.254.0.1', '169.254.169.254', '169.254.170.2', '169.254.255.255',
  '172.16.0.1', '172.17.0.1', '172.31.255.255',
  '192.0.0.1', '192.0.0.192', '192.0.2.1', '192.88.99.1',
  '192.168.0.0', '192.168.1.1', '192.168.255.255',
  '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1',
  '224.0.0.1', '224.0.0.251', '239.255.255.250', '239.255.255.255',
  '240.0.0.1', '250.1.2.3', '255.255.255.254', '255.255.255.255',
]

const IPV6 = [
  '::', '::1',
  // IPv4 in IPv6, each way of writing a private, a loopback and a metadata address, and a public one.
  '::ffff:0.0.0.0', '::ffff:10.1.2.3', '::ffff:100.64.0.1', '::ffff:127.0.0.1', '::ffff:127.0.0.53', '::ffff:169.254.169.254', '::ffff:172.16.0.1', '::ffff:192.168.1.1', '::ffff:224.0.0.1', '::ffff:255.255.255.255', '::ffff:8.8.8.8',
  '::127.0.0.1', '::10.1.2.3', '::169.254.169.254', '::ffff:0:127.0.0.1', '::ffff:0:10.1.2.3',
  '64:ff9b::127.0.0.1', '64:ff9b::10.1.2.3', '64:ff9b::169.254.169.254', '64:ff9b::8.8.8.8', '64:ff9b:1::10.1.2.3', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff',
  '2002:7f00:1::', '2002:7f00:1::1', '2002:a00:1::1', '2002:a9fe:a9fe::1', '2002:c0a8:101::1', '2002:808:808::1',
  '2001::1', '2001:0:7f00:1::1', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db8::1', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '3fff::1', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff',
  '100::', '100::1', '100::ffff:ffff:ffff:ffff',
  '5f00::1',
  'fc00::1', 'fd00::1', 'fd00:ec2::254', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  'fe80::1', 'fe80::a9fe:a9fe', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fec0::1', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  'ff01::1', 'ff02::1', 'ff02::fb', 'ff05::1', 'ff0e::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
]

export const FORBIDDEN: readonly string[] = [...IPV4, ...IPV6]

/** All addresses of this machine, of both families. */
export function ownAddresses (): string[] {
  return Object.values(networkInterfaces()).flatMap(found => found ?? []).map(({ address }) => address.replace(/%.*$/, ''))
}
