/** What coturn's command `ps` prints, read into sessions (turn_admin_server.c print_session, 4.6.1 to 4.18.0). */
import type { ClientTransport, Counts } from './feed-events.ts'

export type LiveSession = {
  session: string
  username: string
  transport: ClientTransport
  /** Such as TLSv1.3; null where there is no TLS. */
  tlsVersion: string | null
  clientAddress: string
  relayAddress: string
  ageSeconds: number
  expiresInSeconds: number
  /** At least so much has it relayed: coturn shows the greater of what it has reported and what it has not. */
  atLeast: Counts
}

const HEAD = /^\s*\d+\) id=(\d+), user <(.*)>:\s*$/
const TRANSPORTS: Readonly<Record<string, ClientTransport>> = { UDP: 'udp', TCP: 'tcp', 'TLS/TCP': 'tls', DTLS: 'dtls' }
const NOTHING: Counts = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0 }

/** The line's beginning → what it tells. Looked up by its first word, because a relay that is full prints a million lines. */
const DETAILS: Readonly<Record<string, { form: RegExp, read: (session: LiveSession, found: RegExpExecArray) => void }>> = {
  started: { form: /^started (\d+) secs ago/, read: (session, [, seconds]) => { session.ageSeconds = Number(seconds) } },
  expiring: { form: /^expiring in (-?\d+) secs/, read: (session, [, seconds]) => { session.expiresInSeconds = Number(seconds) } },
  'client protocol': { form: /^client protocol ([^,]+),/, read: (session, [, name = '']) => { session.transport = TRANSPORTS[name] ?? 'udp' } },
  'client addr': { form: /^client addr (\S+), /, read: (session, [, address = '']) => { session.clientAddress = address } },
  'relay addr': { form: /^relay addr (\S+)$/, read: (session, [, address = '']) => { session.relayAddress = address } },
  'TLS method:': { form: /^TLS method: (\S+)/, read: (session, [, version = '']) => { session.tlsVersion = version } },
  'usage:': { form: /^usage: rp=(\d+), rb=(\d+), sp=(\d+), sb=(\d+)/, read: (session, [, rp, rb, sp, sb]) => { session.atLeast = { receivedPackets: Number(rp), receivedBytes: Number(rb), sentPackets: Number(sp), sentBytes: Number(sb) } } },
}
const BEGINNINGS = Object.keys(DETAILS)

/** Every session that has an allocation, in the order in which coturn lists them. */
export function parseSessions (text: string): LiveSession[] {
  const sessions: LiveSession[] = []
  let current: LiveSession | undefined
  for (const line of text.split('\n')) {
    const [, session, username] = line.includes(') id=') ? HEAD.exec(line) ?? [] : []
    if (session !== undefined && username !== undefined) {
      current = { session, username, transport: 'udp', tlsVersion: null, clientAddress: '', relayAddress: '', ageSeconds: 0, expiresInSeconds: 0, atLeast: NOTHING }
      sessions.push(current)
    } else if (current !== undefined) {
      readDetail(current, line.trim())
    }
  }
  return sessions.filter(({ relayAddress }) => relayAddress !== '')
}

function readDetail (session: LiveSession, line: string): void {
  const beginning = BEGINNINGS.find(words => line.startsWith(words))
  const detail = beginning === undefined ? undefined : DETAILS[beginning]
  const found = detail?.form.exec(line)
  if (found !== undefined && found !== null) detail?.read(session, found)
}
