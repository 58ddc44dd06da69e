import { expect, test } from 'vitest'
import { renderSummary } from '../../../src/cli/summary.ts'
import type { RelayHealth } from '../../../src/relay/relay.ts'

const health: RelayHealth = { id: 'turnpike', driver: 'process', why: 'not Docker: no socket', version: '4.6.1', state: 'healthy', ready: true, code: null, reason: 'every check passed', since: 0, restarts: 0, checks: [], listenIp: '10.0.0.5', publicAddress: '198.51.100.7', publicAddress6: null, region: 'default', weight: 1, handedOut: true, drained: false, host: 'turn.example', port: 3478, tlsPort: null, slot: 'main', allocations: 0, leaving: null, operation: null, warnings: ['coturn 4.6.1 is old'] }
const render = (more: { health?: Partial<RelayHealth>, keys?: boolean, callPage?: boolean, atTerminal?: boolean, keysFile?: string, httpsUrl?: string, problem?: { code: 'acme-name-elsewhere', reason: string } } = {}): string => renderSummary({
  firstKeys: () => (more.keys === false ? { adminKey: null, apiKey: null } : { adminKey: 'tpa_x', apiKey: 'tpk_x' }),
  relayHealth: () => ({ ...health, ...more.health }),
  decisions: () => ['public address 198.51.100.7, from STUN stun.example:3478'],
  firewall: () => [{ protocol: 'udp', ports: '3478', what: 'STUN and TURN' }],
  url: () => 'http://localhost:8080',
  httpsUrl: () => more.httpsUrl ?? null,
  certificateStatus: () => (more.problem === undefined ? null : { ready: false, domain: 'meet.example', problem: more.problem, nextTryAt: 1 }),
  iceUrls: () => ['stun:198.51.100.7:3478'],
}, { callPage: more.callPage ?? true, publicHost: 'turn.example', atTerminal: more.atTerminal ?? true, keysFile: more.keysFile ?? null })

test('a relay that is proved: what runs, why, where, keys, a line to paste, ports', () => {
  const text = render().replaceAll('\u001b[1m', '').replaceAll('\u001b[22m', '')
  for (const words of ['Turnpike is up: the relay is proved', 'coturn 4.6.1, driver process (not Docker: no socket)', 'warning: coturn 4.6.1 is old', 'from STUN stun.example:3478', 'http://localhost:8080/call/demo', 'http://turn.example:8080/call/demo', 'tpk_x', 'tpa_x', "-H 'Authorization: Bearer tpk_x'", 'udp 3478']) expect(text).toContain(words)
  expect(render()).toContain('\u001b[1m')
})

test('a relay that is not: why, and the cure', () => {
  const text = render({ atTerminal: false, health: { ready: false, state: 'failed', code: 'relay-port-busy', reason: 'udp port 3478 on 10.0.0.5 is taken by dnsmasq (pid 7)' } })
  for (const words of ['Turnpike is up, its relay is not', 'taken by dnsmasq (pid 7)', 'set TURNPIKE_RELAY_PORT', '[relay-port-busy]']) expect(text).toContain(words)
})

test('keys that were shown before are asked for by name; a closed call page is not offered', () => {
  const text = render({ keys: false, callPage: false })
  expect(text).toContain('"Authorization: Bearer $TURNPIKE_API_KEY"')
  expect(text).not.toMatch(/tp[ka]_|\/call\/demo/)
})

test('where nobody looks at a terminal no key is printed, nor bold, but where the keys are', () => {
  const text = render({ atTerminal: false, keysFile: '/data/first-keys' })
  expect(text).toContain('first keys  in /data/first-keys: turnpike keys first shows them')
  expect(text).toContain('"Authorization: Bearer $TURNPIKE_API_KEY"')
  expect(text).not.toMatch(/tp[ka]_/)
  expect(text).not.toContain('\u001b')
})

test('with https the call page is there, and what is in the way of the certificate is told', () => {
  const text = render({ httpsUrl: 'https://meet.example', problem: { code: 'acme-name-elsewhere', reason: 'meet.example has no address in DNS' } })
  for (const words of ['https://meet.example/call/demo', 'warning: no certificate for meet.example yet: meet.example has no address in DNS', '[acme-name-elsewhere]']) expect(text).toContain(words)
  expect(text).not.toContain('without https')
})
