/** Writes the pages of docs/ that are made from tables in the code; test/repo/docs.test.ts fails where one differs. */
import { readFileSync, writeFileSync } from 'node:fs'
import { ERRORS } from '../src/protocol/errors.ts'
import { EVENT_TYPES, eventEntry } from '../src/protocol/events.ts'
import { METRICS } from '../src/metrics/metrics.ts'
import { CHECKS } from '../src/protocol/findings.ts'
import { deniedPeers } from '../src/relay/denied-peers.ts'
import { listSettings } from '../src/config/settings.ts'
import { OWNERS, RULES } from '../test/repo/import-rules.ts'
import { dashboardFiles } from './dashboards.ts'

const MADE = '<!-- Made by `npm run docs`; edits here are lost. -->'

/** Every generated text: the file, and for files that are only partly generated the marker between which it stands. */
export function generatedTexts (): { file: string, marker?: string, text: string }[] {
  return [
    { file: 'docs/configuration.md', text: configurationPage() },
    { file: 'docs/metrics.md', text: metricsPage() },
    { file: 'docs/errors.md', text: errorsPage() },
    { file: 'docs/doctor.md', text: doctorPage() },
    { file: 'docs/webhooks.md', marker: 'events', text: eventList() },
    { file: 'docs/architecture.md', marker: 'import-rules', text: importRules() },
    { file: 'compose/.env.example', text: environmentExample() },
    ...dashboardFiles(),
  ]
}

/** The file as it should be. */
export function expectedFile ({ file, marker, text }: { file: string, marker?: string, text: string }): string {
  if (marker === undefined) return text
  const [before = '', , after = ''] = readFileSync(file, 'utf8').split(new RegExp(`(<!-- ${marker} -->[^]*?<!-- /${marker} -->)`))
  return `${before}<!-- ${marker} -->\n${text}<!-- /${marker} -->${after}`
}

function table (heads: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return line(heads) + line(heads.map(() => '---')) + rows.map(line).join('')
}

function configurationPage (): string {
  const rows = listSettings().map(setting => [
    `\`${setting.variable}\``,
    setting.path.join('.'),
    setting.fallback === undefined ? setting.computed ?? '' : `\`${String(setting.fallback)}\``,
    setting.expected,
    `${setting.description}${setting.secret ? ` Secret: may come from \`${setting.variable}_FILE\`.` : ''}`,
  ])
  return `${MADE}
# Configuration

A setting comes from its environment variable; where that is not set (or empty), from the file named by \`<VARIABLE>_FILE\` (secrets only); where that is not set either, from the YAML or JSON file that \`TURNPIKE_CONFIG\` names; and else it has its default. \`turnpike config\` prints what holds, secrets masked. Lists are separated by commas; \`none\` is the empty list.

${table(['variable', 'in the file', 'default', 'accepted', 'what it does'], rows)}
A configuration that is wrong stops the start with exit code 78, and every problem is listed at once.
`
}

/** What the compose file says itself. */
const FIXED_IN_COMPOSE = ['DATA_DIR', 'DOMAIN', 'METRICS_PORT', 'RELAY_DRIVER', 'HTTPS_HOST', 'HTTPS_PROXY_PROTOCOL_FROM', 'ACME_HTTP_HOST'].map(name => `TURNPIKE_${name}`)
/** Where it has a default of its own. */
const COMPOSE_DEFAULTS: Readonly<Record<string, string>> = { TURNPIKE_HTTP_HOST: '127.0.0.1', TURNPIKE_EDGE_PORT: '443', TURNPIKE_ACME_HTTP_PORT: '8088' }
const KEYS = ['TURNPIKE_ADMIN_KEY', 'TURNPIKE_API_KEY']
const COMPOSE_HEAD = `# Made by npm run docs. Copy to .env beside compose.yaml. Only the first one is required; uncomment what else you change.

# The name that leads to this machine, and with turn. before it too; or localhost, to try it out on this machine alone.
TURNPIKE_DOMAIN=

# full: with Prometheus and Grafana. minimal: without.
#COMPOSE_PROFILES=full

# Address and port of the edge for plain HTTP: questions of the certificate authority, everybody else is sent to https.
#EDGE_ADDRESS=0.0.0.0
#EDGE_HTTP_PORT=80

# On a network of Docker's own instead of the machine's: docs/operations.md says what it costs. There, two more ports on loopback can be chosen.
#COMPOSE_FILE=compose.yaml:bridge.yaml
#PROMETHEUS_PORT=9090
#GRAFANA_PORT=3000

# Port on loopback where the edge says how it is.
#EDGE_STATUS_PORT=8404
`

function environmentExample (): string {
  const lines = listSettings().filter(({ variable }) => !FIXED_IN_COMPOSE.includes(variable)).map(setting => `# ${setting.description}\n# Accepted: ${setting.expected}.\n#${setting.variable}=${COMPOSE_DEFAULTS[setting.variable] ?? (setting.fallback === undefined ? '' : String(setting.fallback))}\n${KEYS.includes(setting.variable) ? `# Or the file that it stands in, which the container must have mounted.\n#${setting.variable}_FILE=\n` : ''}`)
  return `${COMPOSE_HEAD}\n${lines.join('\n')}`
}

function metricsPage (): string {
  const rows = Object.entries(METRICS).map(([name, { type, labels, since, help }]) => [`\`${name}\``, type, labels.map(label => `\`${label}\``).join(', '), since, help])
  return `${MADE}
# Metrics

Served in Prometheus' text format at \`http://TURNPIKE_METRICS_HOST:TURNPIKE_METRICS_PORT/metrics\`, on a listener of its own (loopback by default). No label ever holds a user, a room, a peer or an address, so the number of series is bounded by projects, relays and routes.

${table(['name', 'type', 'labels', 'since', 'what it counts'], rows)}`
}

function errorsPage (): string {
  type Entry = { status: number, close?: number, exit?: number, retry: string, title: string, cure: string }
  const rows = Object.entries<Entry>(ERRORS).map(([code, { status, close, exit, retry, title, cure }]) => [`\`${code}\``, String(status), close === undefined ? '' : String(close), exit === undefined ? '' : String(exit), retry, title, cure])
  return `${MADE}
# Errors

Over HTTP an error is a problem document (RFC 9457, \`application/problem+json\`) whose \`type\` is \`urn:turnpike:error:<code>\`; on a signaling socket it is an \`error\` frame with the same \`code\`, followed by the close code where one stands here. Codes never change their meaning.

${table(['code', 'HTTP', 'close', 'exit', 'retry', 'title', 'cure'], rows)}`
}

function doctorPage (): string {
  const rows = Object.entries(CHECKS).map(([name, why]) => [`\`${name}\``, why])
  const lines = deniedPeers('internet').map(({ first, last }) => `denied-peer-ip=${first === last ? first : `${first}-${last}`}\n`)
  return `${MADE}
# The doctor

\`turnpike doctor\` (and \`GET /v1/doctor\`) looks at everything that calls depend on, side by side, in at most three seconds, and says of each what was found, why it matters, and what to do. On the command line it also goes to the relay's URLs from where it runs, with a credential that lives for five minutes: \`turnpike doctor --url\` on a machine outside sees what clients see. It ends with 0 where nothing failed, else with 1. Where no server runs, it looks at the machine.

For it, STUN servers (\`TURNPIKE_RELAY_STUN_SERVERS\`) and public time servers are asked; with \`TURNPIKE_RELAY_STUN_SERVERS=none\` neither are. \`turnpike size\` tells how many calls a machine carries.

${table(['check', 'why it matters'], rows)}
## What a relay of your own must refuse

A coturn that Turnpike runs has these lines under \`TURNPIKE_RELAY_PEERS=internet\`; one that you run (\`TURNPIKE_RELAY_DRIVER=external\`) needs them in its turnserver.conf. They are ranges, because coturn 4.6.1 does not read the form with a slash, and goes on without such a line.

\`\`\`
no-multicast-peers
no-tcp-relay
${lines.join('')}\`\`\`
`
}

function eventList (): string {
  const sections = EVENT_TYPES.map(type => {
    const { when, fields } = eventEntry(type)
    const example = { id: 'evt_Jq1yH8xYc0aPJq1y', type, at: 1795291167, project: 'shop', ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.example])) }
    const rows = Object.entries(fields).map(([name, field]) => [`\`${name}\``, `${field.type}${field.nullable === true ? ' or null' : ''}`, `${field.about}${field.values === undefined ? '' : ` ${field.values.map(value => `\`${value}\``).join(', ')}.`}`])
    return `### ${type}\n\n${when}\n\n\`\`\`json\n${JSON.stringify(example)}\n\`\`\`\n\n${table(['field', 'type', 'what it is'], rows)}`
  })
  return `${sections.join('\n')}`
}

function importRules (): string {
  const rows = Object.entries(RULES).map(([folder, may]) => [`\`${folder}\``, may.length === 0 ? 'nothing of ours' : may.map(name => `\`${name}\``).join(' ')])
  const owners = Object.entries(OWNERS).map(([name, places]) => [`\`${name}\``, places.map(place => `\`${place}\``).join(' ')])
  return `${table(['in src/', 'may import'], rows)}\n${table(['package or module', 'imported only in'], owners)}`
}

if (import.meta.main) {
  for (const generated of generatedTexts()) writeFileSync(generated.file, expectedFile(generated))
}
