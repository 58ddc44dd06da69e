/**
 * What the doctor looks at and says: every check once, with why it matters. GET /v1/doctor and `turnpike doctor` speak in findings;
 * what was found and the cure are of each finding, the reason why anybody should care is of the check.
 */

export const CHECKS = {
  // Is it there at all?
  'relay-state': 'Calls that cannot connect directly need a relay that runs and is proved.',
  reach: 'Clients come to the address and port in the URLs they are given; where these are not reached, the relay is there for nobody.',
  allocate: 'A call is relayed over an allocation; where none is given, calls that need the relay fail.',

  // Names and addresses
  'name-resolves': 'Clients look the name up before anything else; where they get no address, or one that only this network knows, they never reach the relay.',
  'name-agrees': 'Clients go to the address of the name, and the relay names its public address to their peers; where the two differ, one of them is wrong.',
  'name-ipv6': 'A client that prefers IPv6 goes to the IPv6 address of the name first, and waits there in vain where nobody listens.',
  'public-address': 'The relay tells clients its public address as the address of their media; where it is wrong, every relayed call stays silent.',
  nat: 'Media arrives at the ports that the relay names; a NAT that gives other ports outside breaks every relayed call.',
  'listen-address': 'coturn goes on without an address that the machine has lost, and nobody reaches it.',

  // What it must refuse
  strangers: 'A relay that serves strangers is used for attacks on others and for their traffic, at your cost.',
  'forbidden-peers': 'A relay that reaches private addresses is a way past your firewall, to metadata services and inner machines.',

  // TLS
  'tls-served': 'Some networks let nothing but TLS out; clients there are reached by TURN over TLS only.',
  'tls-handshake': 'A browser that does not trust the certificate drops TURN over TLS, and does not say so.',
  'certificate-order': 'A certificate that is not renewed ends, and with it HTTPS and TURN over TLS.',
  'certificate-chain': 'Browsers do not fetch what is missing between the certificate and an authority that they know: they refuse.',
  'certificate-name': 'Browsers refuse a certificate for another name than the one in the URL.',
  'certificate-expiry': 'From the moment a certificate expires, browsers refuse TURN over TLS.',
  'certificate-key': 'With a key that does not belong to the certificate, coturn goes on without TLS.',

  // The machine
  clock: 'Credentials expire by the clock; a clock that is off refuses good ones or takes old ones.',
  'socket-buffers': 'coturn asks for socket buffers of 2 MiB; with less, packets of a burst are lost, which is heard and seen.',
  conntrack: 'When the table of connections is full, the kernel drops the packets of new calls.',
  'open-files': 'Each allocation holds two open files; when there are no more, new calls are refused.',
  'port-range': 'Each allocation takes one port; the range is the most allocations there can be at a time.',
  disk: 'On a full disk nothing can be counted, changed or revoked.',
  memory: 'When memory runs out, the kernel ends coturn or Turnpike, and the calls with it.',

  // Software
  'coturn-version': 'Faults of coturn that are known are tried by those who look for open relays.',
  docker: 'The engine starts coturn, watches it and starts it again.',
} as const satisfies Record<string, string>

export type CheckName = keyof typeof CHECKS
/** unknown: it could not be looked at. */
export type FindingResult = 'ok' | 'warning' | 'failed' | 'unknown'
export type Finding = {
  check: CheckName
  /** What was looked at, such as `relay turnpike, udp`. */
  subject: string
  result: FindingResult
  /** What was found. */
  what: string
  /** Why it matters. */
  why: string
  /** What to do, exactly; null where nothing is to be done. */
  cure: string | null
}

/** The gravest first. */
export const RESULTS: readonly FindingResult[] = ['failed', 'warning', 'unknown', 'ok']

/** A finding with the reason of its check. */
export function finding (check: CheckName, subject: string, result: FindingResult, what: string, cure: string | null = null): Finding {
  return { check, subject, result, what, why: CHECKS[check], cure }
}

/** The gravest result among them; ok where there are none. */
export function worstOf (findings: readonly Finding[]): FindingResult {
  return RESULTS.find(result => findings.some(found => found.result === result)) ?? 'ok'
}

/** The gravest first, in the order of the checks within. */
export function byGravity (findings: readonly Finding[]): Finding[] {
  const order = Object.keys(CHECKS)
  return [...findings].sort((a, b) => RESULTS.indexOf(a.result) - RESULTS.indexOf(b.result) || order.indexOf(a.check) - order.indexOf(b.check))
}
