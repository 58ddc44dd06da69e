/** Settings that are right one by one and wrong together, and the files that they name. */
import { isIP } from 'node:net'
import { FIRST_RELAY } from '../protocol/relay-names.ts'
import { checkAcme, checkHttps, checkTls } from './certificate-conflicts.ts'
import type { Config } from './schema.ts'

type Findings = { problems: { where: string, message: string }[], warnings: string[] }

/** Looks at settings that must agree with each other. Reads the TLS files; says what is wrong without a word of the key. */
export function findConflicts (config: Config, readFile: (path: string) => string): Findings {
  const problems: Findings['problems'] = []
  const warnings: string[] = []
  const problem = (where: string, message: string): void => { problems.push({ where, message }) }
  const { relay, credentials } = config

  for (const site of sitesOf(config)) checkPorts(site, problem)
  checkApart(config, problem)
  if (relay.listenIp !== undefined && relay.externalIp !== undefined && isIP(relay.listenIp) !== isIP(relay.externalIp)) problem('TURNPIKE_RELAY_EXTERNAL_IP', 'is of another family than TURNPIKE_RELAY_LISTEN_IP; expected both IPv4 or both IPv6')
  if (relay.listenIp !== undefined && isIP(relay.listenIp) === 6 && config.publicHost === undefined) problem('TURNPIKE_PUBLIC_HOST', 'is not set; expected a host name, because issued URLs hold no IPv6 address and TURNPIKE_RELAY_LISTEN_IP is one')
  if (relay.driver === 'external') {
    if (config.publicHost === undefined) problem('TURNPIKE_PUBLIC_HOST', 'is not set; expected the host of the relay, because TURNPIKE_RELAY_DRIVER is external')
    if (relay.secret === undefined) problem('TURNPIKE_RELAY_SECRET', 'is not set; expected the static-auth-secret of the relay, because TURNPIKE_RELAY_DRIVER is external')
  } else if (relay.secret !== undefined) {
    warnings.push('TURNPIKE_RELAY_SECRET is not used: only TURNPIKE_RELAY_DRIVER=external takes a secret from outside')
  }
  if (credentials.minTtlSeconds > credentials.maxTtlSeconds) problem('TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS', `is ${credentials.minTtlSeconds}, above TURNPIKE_CREDENTIALS_MAX_TTL_SECONDS, which is ${credentials.maxTtlSeconds}`)
  else if (credentials.ttlSeconds < credentials.minTtlSeconds || credentials.ttlSeconds > credentials.maxTtlSeconds) problem('TURNPIKE_CREDENTIALS_TTL_SECONDS', `is ${credentials.ttlSeconds}; expected it between TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS (${credentials.minTtlSeconds}) and TURNPIKE_CREDENTIALS_MAX_TTL_SECONDS (${credentials.maxTtlSeconds})`)
  checkTls(config.tls, readFile, problem, warnings)
  checkHttps(config, problem, warnings)
  checkAcme(config, readFile, problem, warnings)
  return { problems, warnings }
}

type Site = { relay: Config['relay'], nameOf: (setting: string, variable: string) => string }

/** The relays that we run. */
function sitesOf ({ relay, relays }: Config): (Site & { id: string })[] {
  return [
    { id: FIRST_RELAY, relay, nameOf: (_: string, variable: string) => variable },
    ...Object.entries(relays).map(([id, differences]) => ({ id, relay: { ...relay, ...differences } as Config['relay'], nameOf: (setting: string) => `relays.${id}.${setting}` })),
  ].filter(site => site.relay.driver !== 'external')
}

function checkPorts ({ relay, nameOf }: Site, problem: (where: string, message: string) => void): void {
  if (relay.minPort > relay.maxPort) problem(nameOf('minPort', 'TURNPIKE_RELAY_MIN_PORT'), `is ${relay.minPort}, above ${nameOf('maxPort', 'TURNPIKE_RELAY_MAX_PORT')}, which is ${relay.maxPort}; expected the lower end of the range`)
  const ports = [
    [nameOf('port', 'TURNPIKE_RELAY_PORT'), relay.port],
    [nameOf('tlsPort', 'TURNPIKE_RELAY_TLS_PORT'), relay.tlsPort],
    [nameOf('alternatePort', 'TURNPIKE_RELAY_ALTERNATE_PORT'), relay.alternatePort],
    [nameOf('alternateTlsPort', 'TURNPIKE_RELAY_ALTERNATE_TLS_PORT'), relay.alternateTlsPort],
  ] as const
  for (const [i, [name, port]] of ports.entries()) {
    if (port >= relay.minPort && port <= relay.maxPort) problem(name, `is ${port}, inside the range of relayed ports (${relay.minPort} to ${relay.maxPort}); expected a port outside it`)
    const other = ports.slice(0, i).find(([, taken]) => taken === port)
    if (other !== undefined) problem(name, `is ${port}, the same as ${other[0]}; expected another port`)
  }
}

/** Relays of one machine share its ports; one that somebody else runs needs to be found and believed. */
function checkApart (config: Config, problem: (where: string, message: string) => void): void {
  const sites = sitesOf(config)
  for (const [i, { id, relay }] of sites.entries()) {
    for (const other of sites.slice(0, i)) {
      // Where one is not set it is found, and may be the other.
      if (relay.listenIp !== undefined && other.relay.listenIp !== undefined && relay.listenIp !== other.relay.listenIp) continue
      if (relay.minPort <= other.relay.maxPort && relay.maxPort >= other.relay.minPort) problem(`relays.${id}.minPort`, `begins a range (${relay.minPort} to ${relay.maxPort}) that overlaps that of ${other.id} (${other.relay.minPort} to ${other.relay.maxPort}); expected a range of its own, or another listenIp`)
      const [within] = [...portsIn(relay, other.relay), ...portsIn(other.relay, relay)]
      if (within !== undefined) problem(`relays.${id}.port`, `or a port of ${other.id} is ${within}, inside the range of relayed ports of the other; expected a port outside it`)
      const taken = portsOf(relay).find(port => portsOf(other.relay).includes(port))
      if (taken !== undefined) problem(`relays.${id}.port`, `leads to port ${taken}, which ${other.id} has too; expected port, tlsPort, alternatePort and alternateTlsPort of its own`)
    }
  }
  for (const [id, relay] of Object.entries(config.relays)) {
    if ((relay.driver ?? config.relay.driver) !== 'external') continue
    if (relay.host === undefined) problem(`relays.${id}.host`, 'is not set; expected the host of the relay, because its driver is external')
    if (relay.secret === undefined) problem(`relays.${id}.secret`, 'is not set; expected the static-auth-secret of the relay, because its driver is external')
  }
}

/** Ports of the one that lie in the other's range. */
function portsIn (relay: Config['relay'], { minPort, maxPort }: Config['relay']): number[] {
  return portsOf(relay).filter(port => port >= minPort && port <= maxPort)
}

function portsOf ({ port, tlsPort, alternatePort, alternateTlsPort }: Config['relay']): number[] {
  return [port, tlsPort, alternatePort, alternateTlsPort]
}
