import { expect, test } from 'vitest'
import { pathInWords, readPath, type Path } from '../../../src/client/stats-in-words.ts'

const report = (local: object, remote: object, pair: object = {}): RTCStatsReport => new Map(Object.entries({
  T: { id: 'T', type: 'transport', selectedCandidatePairId: 'P' },
  P: { id: 'P', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R', currentRoundTripTime: 0.042, bytesReceived: 1000, bytesSent: 2000, ...pair },
  L: { id: 'L', type: 'local-candidate', candidateType: 'host', protocol: 'udp', ...local },
  R: { id: 'R', type: 'remote-candidate', candidateType: 'host', protocol: 'udp', ...remote },
})) as unknown as RTCStatsReport

test.each([
  [{}, {}, 'Direct, peer to peer over UDP · 42 ms round trip'],
  [{ candidateType: 'relay', relayProtocol: 'tls' }, { candidateType: 'relay' }, 'Relayed at both ends over TLS · 42 ms round trip'],
  [{ candidateType: 'relay', relayProtocol: 'tcp' }, {}, 'Relayed at our end over TCP · 42 ms round trip'],
  [{ protocol: undefined }, {}, 'Direct, peer to peer over UDP · 42 ms round trip'],
  [{}, { candidateType: 'relay' }, 'Relayed at their end over UDP · 42 ms round trip'],
])('%j to %j reads: %s', (local, remote, words) => {
  const path = readPath(report(local, remote))
  expect(path === null ? '' : pathInWords(path, null, 0)).toBe(words)
})

test('rates are those since the last look', () => {
  const path = readPath(report({}, {}, { currentRoundTripTime: 0.0001, bytesReceived: 251_000, bytesSent: 4500 })) as Path
  const before = { ...path, bytesReceived: 1000, bytesSent: 2000 }
  expect(pathInWords(path, before, 1000)).toBe('Direct, peer to peer over UDP · under 1 ms · ↓ 2.0 Mbit/s ↑ 20 kbit/s')
})

test('before a pair is selected there is no path', () => {
  expect(readPath(new Map() as unknown as RTCStatsReport)).toBeNull()
})
