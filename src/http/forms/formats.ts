/** A credential in the shapes that programs read: URIs (RFC 7064, RFC 7065, with user and password before the host), XEP-0215, Janus. */
import type { IssuedCredential } from '../../credentials/credentials.ts'

export const FORMATS = ['json', 'uri', 'ice', 'xml', 'janus'] as const
export type Format = typeof FORMATS[number]

/** TURN URLs without STUN, which Janus and Matrix do not take among them, of the relays that take this credential. */
export function turnUrlsOf (issued: Pick<IssuedCredential, 'iceServers' | 'credential'>): string[] {
  return urlsOf(issued).filter(url => url.startsWith('turn'))
}

/** The same with STUN. A relay that somebody else runs, with another secret, has another credential, for which these shapes have no room. */
export function urlsOf ({ iceServers, credential: wanted }: Pick<IssuedCredential, 'iceServers' | 'credential'>): string[] {
  return iceServers.filter(({ credential }) => credential === undefined || credential === wanted).flatMap(({ urls }) => urls)
}

/** What draft-uberti-behave-turn-rest-00 answers with. */
export function turnRestOf (issued: IssuedCredential): { username: string, password: string, ttl: number, uris: string[] } {
  return { username: issued.username, password: issued.credential, ttl: issued.ttlSeconds, uris: turnUrlsOf(issued) }
}

export function inFormat (issued: IssuedCredential, format: Exclude<Format, 'json'>): { type: string, body: string } {
  switch (format) {
    case 'uri': return { type: 'text/plain; charset=utf-8', body: urisOf(issued).map(uri => `${uri}\n`).join('') }
    case 'ice': return { type: 'application/json; charset=utf-8', body: JSON.stringify(issued.iceServers) }
    case 'xml': return { type: 'application/xml; charset=utf-8', body: servicesOf(issued) }
    case 'janus': return { type: 'application/json; charset=utf-8', body: JSON.stringify(turnRestOf(issued)) }
  }
}

/** As libdatachannel reads them: `turn:user:password@host:port?transport=udp`, what would end a part percent-encoded. */
export function urisOf (issued: IssuedCredential): string[] {
  return issued.iceServers.flatMap(({ urls, username = '', credential = '' }) => urls.map(url => {
    const login = `${encodeURIComponent(username)}:${encodeURIComponent(credential)}@`
    return url.startsWith('stun:') ? url : url.replace(/^turns?:/, scheme => `${scheme}${login}`)
  }))
}

/** XEP-0215 §3.2: services for an XMPP server to hand on. Names and credentials hold nothing that XML would read, and are escaped all the same. */
function servicesOf (issued: IssuedCredential): string {
  const services = issued.iceServers.flatMap(({ urls, username = '', credential = '' }) => urls.map(url => {
    const [, type = '', host = '', port = '', transport = 'udp'] = /^(\w+):(.+?):(\d+)(?:\?transport=(\w+))?$/.exec(url) ?? []
    const login = type === 'stun' ? '' : ` username="${escapeXml(username)}" password="${escapeXml(credential)}" expires="${new Date(issued.expiresAtSeconds * 1000).toISOString().replace('.000', '')}" restricted="1"`
    return `  <service type="${type}" host="${escapeXml(host)}" port="${port}" transport="${transport}"${login}/>\n`
  }))
  return `<services xmlns="urn:xmpp:extdisco:2">\n${services.join('')}</services>\n`
}

function escapeXml (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&apos;')
}
