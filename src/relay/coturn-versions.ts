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
  // From 4.17 on DTLS is off by default, and this line is deprecated.
  { line: 'no-dtls', before: [4, 17, 0] },
]

/** The lines that this version needs or takes beside those that all take. */
export function linesFor (version: CoturnVersion): string[] {
  return OPTIONS.filter(({ from, before }) => (from === undefined || isAtLeast(version, from)) && (before === undefined || !isAtLeast(version, before))).map(({ line }) => line)
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
