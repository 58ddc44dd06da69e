/** A relay that is well, and a world in which everything answers; tests change what they are about. */
import type { DoctorSubject, DoctorWorld } from '../../../../src/relay/doctor/subject.ts'
import type { Finding } from '../../../../src/protocol/findings.ts'

export const subjectOf = (more: Partial<DoctorSubject> = {}): DoctorSubject => ({
  id: 'turnpike', state: 'healthy', code: null, reason: '', driver: 'process', version: '4.18.0', pid: null, host: 'turn.example', port: 3478, tlsPort: null, listenIp: '8.8.4.4', publicIp: '8.8.4.4', isPublicIpConfigured: false, listenIp6: null, publicIp6: null, minPort: 49160, maxPort: 50159, peers: 'internet', stunServers: ['a.example:3478', 'b.example:3478'], tls: null, checks: [], login: null, ...more,
})

export const failingWith = (code: string) => async (): Promise<never> => { throw Object.assign(new Error(code), { code }) }

/** Reads from these texts; anything else does not exist. */
export const filesOf = (files: Record<string, string>) => (path: string): string => {
  const text = files[path]
  if (text === undefined) throw new Error(`ENOENT: ${path}`)
  return text
}

export const worldOf = (more: Partial<DoctorWorld> = {}): DoctorWorld => ({
  nowSeconds: () => 1_795_291_167,
  dataDir: '/data',
  timeServers: ['time.example'],
  resolve4: async () => ['8.8.4.4'],
  resolve6: failingWith('ENODATA'),
  lookUp: async () => ['8.8.4.4'],
  ownAddresses: () => ['127.0.0.1', '8.8.4.4'],
  observeMapping: async ({ servers }) => ({ localPort: 50159, answers: servers.map(server => ({ server, seen: { address: '8.8.4.4', port: 50159 } })), silent: [] }),
  askTime: async () => 0.01,
  readFile: filesOf({ '/proc/sys/net/core/rmem_max': '4194304\n', '/proc/sys/net/core/wmem_max': '4194304\n', '/proc/meminfo': 'MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n', '/proc/self/limits': 'Max open files            1024                 1048576              files\n' }),
  space: async () => ({ freeBytes: 50e9, totalBytes: 100e9 }),
  dockerVersion: async () => '27.3.1',
  open: failingWith('ECONNREFUSED'),
  shakeHands: failingWith('ECONNREFUSED'),
  timeoutMs: 200,
  deadlineMs: 500,
  ...more,
})

/** `check result` of each. */
export const results = (findings: readonly Finding[]): string[] => findings.map(({ check, result }) => `${check} ${result}`)
