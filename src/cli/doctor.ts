/** `turnpike doctor`: what the server finds about itself, and whether its relay is reached from here; 1 where something failed. */
import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { loadConfig } from '../config/load.ts'
import { errorEntry, ERRORS, isTurnpikeError } from '../protocol/errors.ts'
import { byGravity, finding, RESULTS, worstOf, type Finding, type FindingResult } from '../protocol/findings.ts'
import { reachRelay, type PeerPolicy } from '../stun/reach.ts'
import type { TransportName } from '../stun/transport.ts'
import { sendJson, type ApiClient } from './api-client.ts'
import type { Input, World } from './command.ts'
import { clientFor } from './run-api-command.ts'
import { shown } from './tables.ts'

const TIMEOUT_MS = 2000
const USER = 'turnpike-doctor'
const TTL_SECONDS = 300

/** Resolves to the exit code. Throws what the API refused with. */
export async function doctor (input: Input, world: World): Promise<number> {
  const client = await clientFor(input, world)
  if (client === null) return ERRORS['config-invalid'].exit
  try {
    const isNear = input.options['url'] === undefined
    const answer = await sendJson(client, { method: 'GET', path: '/v1/doctor' }) as { findings: Finding[], at: number }
    const findings = byGravity([...answer.findings, ...await reachFromHere(client, isNear, isNear ? peersOf(world) : null)])
    const worst = worstOf(findings)
    process.stdout.write(input.switches.has('json') ? `${JSON.stringify({ findings, worst, at: answer.at }, null, 2)}\n` : renderFindings(findings))
    return worst === 'failed' ? 1 : 0
  } finally {
    await client.close()
  }
}

const HEADINGS: Readonly<Record<FindingResult, string>> = { failed: 'FAILED', warning: 'WARNING', unknown: 'UNKNOWN', ok: 'OK' }

/** The gravest first, each with why and cure; what is well in one line each. */
export function renderFindings (findings: readonly Finding[]): string {
  const groups = RESULTS.flatMap(result => {
    const these = findings.filter(found => found.result === result)
    return these.length === 0 ? [] : [`${HEADINGS[result]}\n${these.map(found => (result === 'ok' ? brief(found) : full(found))).join('')}`]
  })
  const counts = RESULTS.map(result => `${findings.filter(found => found.result === result).length} ${result}`)
  return `${groups.join('\n')}\n${counts.join(', ')}\n`
}

function brief ({ subject, check, what }: Finding): string {
  return `  ${shown(subject)} (${shown(check)}): ${shown(what)}\n`
}

function full (found: Finding): string {
  return `${brief(found)}    why:  ${shown(found.why)}\n${found.cure === null ? '' : `    cure: ${shown(found.cure)}\n`}`
}

/** Goes to each URL that a client would be given, with a credential that a client would be given. */
async function reachFromHere (client: ApiClient, isNear: boolean, peers: PeerPolicy | null): Promise<Finding[]> {
  let issued: Issued
  try {
    issued = await issueBriefly(client)
  } catch (error) {
    if (!isTurnpikeError(error)) throw error
    return [finding('reach', 'from here', 'unknown', `The relay could not be tried, because no credential was issued: ${error.message}.`, errorEntry(error.code).cure)]
  }
  // Each relay takes the credential that stands beside its URLs.
  const doors = issued.iceServers.flatMap(({ urls, username, credential }) => urls.flatMap(doorsOf).map(door => ({ ...door, login: { username: username ?? issued.username, password: credential ?? issued.credential } })))
  const found = await Promise.all(doors.map(async door => await reachRelay({
    ...door,
    subject: `from here, ${door.url}`,
    peers,
    mayBeShutToItself: isNear && !await isOwnAddress(door.host),
    timeoutMs: TIMEOUT_MS,
  })))
  return found.flat()
}

type Issued = { iceServers: { urls: string[], username?: string, credential?: string }[], username: string, credential: string }

async function issueBriefly (client: ApiClient): Promise<Issued> {
  const issue = async (more: object): Promise<Issued> => await sendJson(client, { method: 'POST', path: '/v1/turn/credentials', body: { project: 'default', user: USER, ...more } }) as Issued
  try {
    return await issue({ ttl: TTL_SECONDS })
  } catch (error) {
    // Nothing so brief is issued there.
    if (isTurnpikeError(error) && error.code === 'invalid-request') return await issue({})
    throw error
  }
}

type Door = { url: string, transport: TransportName, host: string, port: number }

/** Nothing for STUN, which TURN over UDP includes, and for what we do not speak. RFC 7065. */
export function doorsOf (url: string): Door[] {
  const [, scheme, host = '', port, transport = scheme === 'turns' ? 'tcp' : 'udp'] = /^(turns?):(\[[^\]]+\]|[^:?]+)(?::(\d+))?(?:\?transport=(\w+))?$/.exec(url) ?? []
  if (scheme === undefined || (transport !== 'udp' && transport !== 'tcp') || (scheme === 'turns' && transport === 'udp')) return []
  return [{ url, transport: scheme === 'turns' ? 'tls' : transport, host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? (scheme === 'turns' ? 5349 : 3478)) }]
}

async function isOwnAddress (host: string): Promise<boolean> {
  const own = new Set(Object.values(networkInterfaces()).flatMap(list => list ?? []).map(({ address }) => address))
  try {
    return (await lookup(host, { all: true })).every(({ address }) => own.has(address))
  } catch {
    return false
  }
}

/** Null for a relay whose configuration is somebody else's. What was wrong with the settings has been said when the client was made. */
function peersOf ({ env }: World): PeerPolicy | null {
  const { driver, peers } = loadConfig({ env, readFile: path => readFileSync(path, 'utf8') }).config.relay
  return driver === 'external' ? null : peers
}
