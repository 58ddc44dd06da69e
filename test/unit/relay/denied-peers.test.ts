import { isIPv6 } from 'node:net'
import { expect, test } from 'vitest'
import { deniedPeers, forbiddenPeerFor, isDenied } from '../../../src/relay/denied-peers.ts'

test.each(['10.1.2.3', '127.0.0.1', '169.254.169.254', '172.31.255.255', '192.168.0.1', '100.64.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '::1', 'fd00::1', 'fe80::1', '::ffff:8.8.8.8', '::a01:203', '::ffff:0:a01:203', '64:ff9b::808:808', '64:ff9b:1::1', '3fff::1', '5f00::1', 'fec0::1', '2002:a00:1::', 'ff02::1'])('under internet, %s is a forbidden peer', address => {
  expect(isDenied(address, 'internet')).toBe(true)
})

test.each(['8.8.8.8', '172.32.0.1', '11.0.0.0', '100.128.0.1', '2606:4700::1', '169.253.255.255'])('under internet, %s is not', address => {
  expect(isDenied(address, 'internet')).toBe(false)
})

test('lan opens private ranges and nothing else', () => {
  expect(['10.1.2.3', '192.168.0.1', '172.16.0.1', '100.64.0.1', 'fd00::1'].filter(address => isDenied(address, 'lan'))).toEqual([])
  expect(['127.0.0.1', '169.254.169.254', '::1', 'fe80::1', '224.0.0.1'].filter(address => !isDenied(address, 'lan'))).toEqual([])
})

test('loopback opens loopback and nothing else', () => {
  expect(['127.0.0.1', '::1'].filter(address => isDenied(address, 'loopback'))).toEqual([])
  expect(['10.1.2.3', '169.254.169.254', '192.168.0.1', 'fd00::1'].filter(address => !isDenied(address, 'loopback'))).toEqual([])
})

test.each(['internet', 'lan', 'loopback'] as const)('the address that the probe tries under %s stays forbidden there', policy => {
  expect(isDenied(forbiddenPeerFor(policy, '198.51.100.7'), policy)).toBe(true)
  expect(isDenied(forbiddenPeerFor(policy, '2606:4700::1'), policy)).toBe(true)
  expect(isIPv6(forbiddenPeerFor(policy, '2606:4700::1'))).toBe(true)
})

test('every range says where it is from and why', () => {
  const ranges = deniedPeers('internet')
  expect(ranges.length).toBeGreaterThan(20)
  expect(ranges.filter(({ source, reason }) => !/^RFC \d+$/.test(source) || reason === '')).toEqual([])
})
