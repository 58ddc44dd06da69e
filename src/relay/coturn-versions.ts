/** What differs between versions of coturn, as data: options, refused versions, versions to warn of (coturn's ChangeLog, 4.6.1 to 4.18.0). */

export type CoturnVersion = readonly [major: number, minor: number, patch: number]

/** "4.6.1" out of what `turnserver --version` prints; null where there is none in it. */
export function parseVersion (text: string): CoturnVersion | null {
  const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(text) ?? []
  return major === undefined ? null : [Number(major), Number(minor), Number(patch)]
}

export function isAtLeast (version: CoturnVersion, other: CoturnVersion): boolean {
  for (let i = 0; i < 3; i++) {
    const difference = (version[i] ?? 0) - (other[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** Options that only some versions read; an unknown one in the file is a 'Bad configuration format' and is ignored, whatever it protects. */
const OPTIONS: readonly { line: string, from?: CoturnVersion, before?: CoturnVersion }[] = [
  { line: 'no-tlsv1', before: [4, 7, 0] },
  { line: 'no-tlsv1_1', before: [4, 7, 0] },
  { line: 'no-stun-backward-compatibility', before: [4, 7, 0] },
  { line: 'no-rfc5780', before: [4, 7, 0] },
  { line: 'response-origin-only-with-rfc5780', before: [4, 7, 0] },
  { line: 'no-software-attribute', before: [4, 7, 0] },
  // From 4.10 on the command line is off by default.
  { line: 'cli', from: [4, 10, 0] },
]

/** From 4.17 on DTLS is off unless it is asked for, and the line that forbids it is deprecated. */
const DTLS_ASKED_FOR: CoturnVersion = [4, 17, 0]

/** The lines that this version needs or takes beside those that all take. */
export function linesFor (version: CoturnVersion, dtls: boolean): string[] {
  const isAskedFor = isAtLeast(version, DTLS_ASKED_FOR)
  const dtlsLines = dtls === isAskedFor ? [dtls ? 'dtls' : 'no-dtls'] : []
  return [...OPTIONS.filter(({ from, before }) => (from === undefined || isAtLeast(version, from)) && (before === undefined || !isAtLeast(version, before))).map(({ line }) => line), ...dtlsLines]
}

const REFUSED: readonly { version: CoturnVersion, reason: string }[] = [
  { version: [4, 17, 0], reason: 'it sends packets to clients with an IP TTL of 1, so that none reaches them; mended in 4.17.2' },
  { version: [4, 17, 1], reason: 'it sends packets to clients with an IP TTL of 1, so that none reaches them; mended in 4.17.2' },
]

/** Why this version must not be used, or null. */
export function refusalOf (version: CoturnVersion): string | null {
  return REFUSED.find(refused => refused.version.every((part, i) => part === version[i]))?.reason ?? null
}

/** Before it, a % in a user name is a format string for the feed (GHSA-4g7c-p5wg-j4hp) and ends coturn: nobody but us may make up names. */
export const TAKES_ANY_USER_NAME: CoturnVersion = [4, 13, 0]

/** From here on SIGUSR1 has it take nothing new and end with its last allocation; before, the signal ends it at once. */
export const DRAINS_BY_SIGNAL: CoturnVersion = [4, 6, 3]

/** The newest that is tested, and the one that the docker driver brings. */
export const RECOMMENDED = '4.18.0'

export type Fault = {
  what: string
  /** Advisories, where there are any. */
  ids: readonly string[]
  /** open: whoever reaches the relay, or has credentials, reaches the fault. worked-round: our configuration closes it. off: it is in what we do not switch on. */
  exposure: 'open' | 'worked-round' | 'off'
  from?: CoturnVersion
  before: CoturnVersion
}
const FAULTS: readonly Fault[] = [
  { what: 'nonces and relay ports can be guessed', ids: ['CVE-2025-69217'], exposure: 'open', from: [4, 6, 2], before: [4, 8, 0] },
  { what: 'IPv4 addresses in IPv6 form get past the forbidden ranges', ids: ['CVE-2026-27624', 'GHSA-j8mm-mpf8-gvjg'], exposure: 'worked-round', before: [4, 9, 0] },
  { what: 'attributes of a message are read past their bounds', ids: ['CVE-2026-40613'], exposure: 'open', before: [4, 10, 0] },
  { what: 'it leaks memory', ids: [], exposure: 'open', from: [4, 10, 0], before: [4, 13, 1] },
  { what: 'signatures are not compared in constant time', ids: [], exposure: 'open', before: [4, 11, 0] },
  { what: 'SQL can be slipped in through the web admin', ids: ['GHSA-v8hj-2xx7-xmp5'], exposure: 'off', before: [4, 12, 0] },
  // Names are minted by us, without a %; see TAKES_ANY_USER_NAME.
  { what: 'a % in a user name ends coturn', ids: ['GHSA-4g7c-p5wg-j4hp'], exposure: 'worked-round', before: [4, 13, 0] },
  { what: 'loopback in IPv6 form gets past the guard', ids: ['GHSA-w4hf-cr3w-6h79'], exposure: 'worked-round', before: [4, 13, 0] },
  { what: 'the redirect for certificates gives memory away', ids: ['GHSA-m23x-5qf5-988g'], exposure: 'off', before: [4, 15, 0] },
  { what: 'attributes after the signature are believed', ids: [], exposure: 'open', before: [4, 15, 0] },
  { what: 'IPv6 ranges that are no prefix are not wholly forbidden', ids: [], exposure: 'worked-round', before: [4, 16, 0] },
  { what: 'mobility can be used to fill the memory', ids: ['GHSA-hpq3-g7x4-h7xx'], exposure: 'off', before: [4, 16, 0] },
  { what: 'DTLS can be used to fill the memory', ids: ['GHSA-5x2p-4vqj-f6m4'], exposure: 'worked-round', before: [4, 17, 0] },
  { what: 'a client with credentials can use up all relay ports', ids: ['GHSA-847g-qmc6-6m4r'], exposure: 'open', before: [4, 17, 0] },
  { what: 'mobility gets past quotas', ids: ['GHSA-f6hc-79w3-p8pq'], exposure: 'off', before: [4, 17, 0] },
]

/** What is known against this version. */
export function faultsOf (version: CoturnVersion): Fault[] {
  return FAULTS.filter(({ from, before }) => (from === undefined || isAtLeast(version, from)) && !isAtLeast(version, before))
}

const OLDEST_TESTED: CoturnVersion = [4, 6, 1]
const MENDED: CoturnVersion = [4, 13, 1]

/** What to know about this version, in sentences. */
export function warningsOf (version: CoturnVersion): string[] {
  const name = version.join('.')
  return [
    ...(isAtLeast(version, OLDEST_TESTED) ? [] : [`coturn ${name} is older than the oldest version tested (${OLDEST_TESTED.join('.')})`]),
    ...(isAtLeast(version, MENDED) ? [] : [`coturn ${name} has faults that ${MENDED.join('.')} mends (CVE-2026-27624, GHSA-4g7c-p5wg-j4hp and others); the configuration works round those that are known, a newer version is better`]),
    ...(isAtLeast(version, [4, 6, 2]) ? [] : [`coturn ${name} speaks no TLS 1.3`]),
  ]
}
