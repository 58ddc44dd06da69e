/**
 * A program for a namespace that is not the test's: tries everything that somebody from outside wants of a VPS, all at once, and prints
 * what of it came about, as JSON. Each thing by the port that it needs, in the words of the firewall table of README.md.
 */
import { createSocket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { connect as connectTls, type PeerCertificate } from 'node:tls'
import { isRefusal, TurnClient, type Allocation, type Login } from '../../src/stun/turn-client.ts'
import type { TransportName } from '../../src/stun/transport.ts'

export type Visit = { address: string, domain: string, /** Of this machine, and one that is allowed to be a peer. */ own: string, login: Login, /** The first of the relayed ports. */ media: number, ports: { turn: number[], tls: number[] } }
/** By port, such as `tcp 443`: what came about. Who issued the certificate that HTTPS has is told too. */
export type Seen = { ports: Record<string, boolean>, issuer: string }

const PATIENCE_MS = 1500

async function withinTime (work: Promise<boolean>): Promise<boolean> {
  return await Promise.race([work.catch(() => false), new Promise<false>(resolve => { setTimeout(() => resolve(false), PATIENCE_MS * 2) })])
}

async function openAllocation (visit: Visit, transport: TransportName, port: number): Promise<{ client: TurnClient, relayed: Allocation['relayed'] } | null> {
  const client = await TurnClient.open({ transport, host: visit.address, port, timeoutMs: PATIENCE_MS }).catch(() => null)
  const outcome = await client?.allocate(visit.login).catch(() => null)
  return client === null || outcome === null || outcome === undefined || isRefusal(outcome) ? null : { client, relayed: outcome.relayed }
}

async function allocates (visit: Visit, transport: TransportName, port: number): Promise<boolean> {
  const open = await openAllocation(visit, transport, port)
  await open?.client.close().catch(() => {})
  return open !== null
}

/** A packet of a peer that is not relayed itself arrives; the allocation is made in whatever way is open, as browsers do. */
async function relaysMedia (visit: Visit): Promise<boolean> {
  const ways = await Promise.all([openAllocation(visit, 'udp', visit.ports.turn[0] ?? 0), openAllocation(visit, 'tls', 443)])
  const open = ways.find(way => way !== null)
  if (open === null || open === undefined || !isIPv4(open.relayed.address) || open.relayed.port < visit.media) return false
  await open.client.createPermission(visit.own)
  const peer = createSocket('udp4')
  await new Promise<void>(resolve => peer.bind(0, visit.own, resolve))
  const arrived = new Promise<boolean>(resolve => open.client.onData(() => resolve(true)))
  const sending = setInterval(() => peer.send('hello', open.relayed.port, open.relayed.address), 100)
  const came = await withinTime(arrived)
  clearInterval(sending)
  peer.close()
  await Promise.all(ways.map(way => way?.client.close().catch(() => {})))
  return came
}

/** HTTPS by its name; with what is not trusted here, because any certificate will do. */
async function https ({ address, domain }: Visit): Promise<{ answered: boolean, issuer: string }> {
  return await new Promise(resolve => {
    let issuer = ''
    const socket = connectTls({ host: address, port: 443, servername: domain, rejectUnauthorized: false }, () => {
      issuer = String((socket.getPeerCertificate() as Partial<PeerCertificate>).issuer?.CN ?? '')
      socket.write(`GET /healthz HTTP/1.1\r\nHost: ${domain}\r\nConnection: close\r\n\r\n`)
    })
    const end = (answered: boolean): void => {
      socket.destroy()
      resolve({ answered, issuer })
    }
    socket.setTimeout(PATIENCE_MS, () => end(false))
    socket.once('data', bytes => end(bytes.toString().startsWith('HTTP/1.1 200'))).once('error', () => end(false)).once('close', () => end(false))
  })
}

async function look (visit: Visit): Promise<Seen> {
  const { address, domain, media, ports: { turn, tls } } = visit
  const http = fetch(`http://${address}/`, { headers: { host: domain }, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE_MS) }).then(({ status }) => status < 500)
  const secure = https(visit)
  const tried: [string, Promise<boolean>][] = [
    ['tcp 80', withinTime(http)],
    ['tcp 443', withinTime(Promise.all([secure.then(({ answered }) => answered), allocates(visit, 'tls', 443)]).then(both => both.every(Boolean)))],
    ...turn.flatMap((port): [string, Promise<boolean>][] => [[`udp ${port}`, withinTime(allocates(visit, 'udp', port))], [`tcp ${port}`, withinTime(allocates(visit, 'tcp', port))]]),
    ...tls.map((port): [string, Promise<boolean>] => [`tcp ${port}`, withinTime(allocates(visit, 'tls', port))]),
    [`udp ${media}+`, relaysMedia(visit)],
  ]
  return { ports: Object.fromEntries(await Promise.all(tried.map(async ([name, came]) => [name, await came] as const))), issuer: (await secure).issuer }
}

if (process.argv[2] !== undefined) {
  process.stdout.write(`${JSON.stringify(await look(JSON.parse(process.argv[2]) as Visit))}\n`)
  process.exit(0)
}
