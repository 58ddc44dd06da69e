/** What coturn's command `ps` prints, read into sessions (turn_admin_server.c print_session, 4.6.1 to 4.18.0). */
import type { ClientTransport } from './feed-events.ts'

export type LiveSession = { session: string, username: string, transport: ClientTransport, clientAddress: string, relayAddress: string, ageSeconds: number }

const HEAD = /^\s*\d+\) id=(\d+), user <(.*)>:\s*$/
const TRANSPORTS: Readonly<Record<string, ClientTransport>> = { UDP: 'udp', TCP: 'tcp', 'TLS/TCP': 'tls', DTLS: 'dtls' }

/** Every session that has an allocation, in the order in which coturn lists them. */
export function parseSessions (text: string): LiveSession[] {
  const sessions: LiveSession[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, session, username] = HEAD.exec(line) ?? []
    if (session !== undefined && username !== undefined) {
      sessions.push({ session, username, transport: 'udp', clientAddress: '', relayAddress: '', ageSeconds: 0 })
      continue
    }
    const current = sessions.at(-1)
    if (current !== undefined) readDetail(current, line.trim())
  }
  return sessions.filter(({ relayAddress }) => relayAddress !== '')
}

function readDetail (session: LiveSession, line: string): void {
  const age = /^started (\d+) secs ago$/.exec(line)?.[1]
  if (age !== undefined) session.ageSeconds = Number(age)
  const transport = /^client protocol ([^,]+),/.exec(line)?.[1]
  if (transport !== undefined) session.transport = TRANSPORTS[transport] ?? 'udp'
  const client = /^client addr (\S+), /.exec(line)?.[1]
  if (client !== undefined) session.clientAddress = client
  const relayed = /^relay addr (\S+)$/.exec(line)?.[1]
  if (relayed !== undefined) session.relayAddress = relayed
}
