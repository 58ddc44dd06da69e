/** The commands that ask the API: each is one request out of what was typed, and how its answer is shown. */
import type { ApiCommand } from './api-command.ts'
import { UsageError, type Input, type Option } from './command.ts'
import { RELAY_COMMANDS } from './relay-commands.ts'
import { ROOM_COMMANDS } from './room-commands.ts'
import { bytes, table, time } from './tables.ts'
import { WEBHOOK_COMMANDS } from './webhook-commands.ts'

type Json = Record<string, unknown>
const PROJECT: Record<string, Option> = { project: { value: 'id', text: 'which project; default where not given' } }
const LIMIT: Record<string, Option> = { limit: { value: 'n', text: 'how many at most; 1000 where not given' } }
const option = (value: string, text: string): Option => ({ value, text })
const flag = (text: string): Option => ({ value: null, text })
const rows = (answer: Json, list: string): Json[] => answer[list] as Json[]
const part = (text: string | undefined): string => encodeURIComponent(text ?? '')
const number = (text: string | undefined): number | string | undefined => (text === undefined ? undefined : /^\d+$/.test(text) ? Number(text) : text)
const listOf = (text: string | undefined): string[] | undefined => text?.split(',').map(item => item.trim())
const projectOf = ({ options }: Input): string => part(options['project'] ?? 'default')
const lines = (pairs: [string, unknown][]): string => pairs.map(([name, value]) => `${`${name}:`.padEnd(14)}${String(value)}\n`).join('')
const groupings = (text = 'day'): string[] => text.split(',').map(name => name.trim())
const NEVER_AGAIN = 'It is shown now and never again.'

const KEYS: Record<string, ApiCommand> = {
  'keys create': {
    summary: 'Make an API key; it is printed once.',
    args: [],
    options: { ...PROJECT, name: option('text', 'for you to know it by'), kind: option('secret|publishable', 'publishable: for web pages'), scopes: option('list', 'such as turn:issue,usage:read; everything where not given'), 'expires-in': option('seconds', 'never where not given') },
    request: input => ({ method: 'POST', path: `/v1/projects/${projectOf(input)}/keys`, body: { name: input.options['name'], kind: input.options['kind'], scopes: listOf(input.options['scopes']), expiresIn: number(input.options['expires-in']) } }),
    show: ({ key }) => `${String(key)}\n`,
    remark: ({ id, project }) => `Key ${String(id)} of the project ${String(project)}. ${NEVER_AGAIN}\n`,
  },
  'keys list': {
    summary: 'List the API keys of a project.',
    args: [],
    options: { ...PROJECT, ...LIMIT },
    request: input => ({ method: 'GET', path: `/v1/projects/${projectOf(input)}/keys` }),
    list: 'keys',
    show: answer => table(['ID', 'NAME', 'KIND', 'SCOPES', 'MADE', 'EXPIRES', 'LAST USED'], rows(answer, 'keys').map(key => [key['id'], key['name'], key['kind'], key['scopes'], time(key['createdAt']), time(key['expiresAt']), time(key['lastUsedAt'])])),
  },
  'keys rotate': {
    summary: 'Replace an API key; the old one works on for the overlap.',
    args: ['key'],
    options: { ...PROJECT, overlap: option('seconds', '86400 where not given') },
    request: input => ({ method: 'POST', path: `/v1/projects/${projectOf(input)}/keys/${part(input.args[0])}/rotate`, body: { overlap: number(input.options['overlap']) } }),
    show: ({ key }) => `${String(key)}\n`,
    remark: ({ id }) => `Key ${String(id)}. ${NEVER_AGAIN}\n`,
  },
  'keys revoke': {
    summary: 'Revoke an API key at once, with what it issued.',
    args: ['key'],
    options: { ...PROJECT, 'keep-credentials': flag('what it issued lives on to its expiry') },
    request: input => ({ method: 'DELETE', path: `/v1/projects/${projectOf(input)}/keys/${part(input.args[0])}`, query: { keepCredentials: input.switches.has('keep-credentials') ? 'true' : undefined } }),
    show: ({ allocationsClosed }) => `revoked; ${String(allocationsClosed)} live allocations were cut\n`,
  },
}

const SETTINGS: Record<string, Option> = { set: { value: 'name=value', text: 'such as quotas.bytesPerDay=1000000000 or origins=["https://a.example"]; null goes back to the default; may be repeated', many: true } }
const showProject = (answer: Json): string => `${JSON.stringify(answer, null, 2)}\n`

const PROJECTS: Record<string, ApiCommand> = {
  'projects list': {
    summary: 'List projects.',
    args: [],
    options: LIMIT,
    request: () => ({ method: 'GET', path: '/v1/projects' }),
    list: 'projects',
    show: answer => table(['ID', 'ENABLED', 'EXPIRY', 'FROM', 'MADE'], rows(answer, 'projects').map(project => [project['id'], (project['settings'] as Json)['enabled'], (project['settings'] as Json)['expiry'], project['managed'] === true ? 'settings file' : 'API', time(project['createdAt'])])),
  },
  'projects show': { summary: 'One project: settings, and how much of its quotas is used.', args: ['project'], options: {}, request: ({ args }) => ({ method: 'GET', path: `/v1/projects/${part(args[0])}` }), show: showProject },
  'projects create': { summary: 'Make a project.', args: ['project'], options: SETTINGS, request: ({ args, lists }) => ({ method: 'POST', path: '/v1/projects', body: { ...settingsOf(lists['set']), id: args[0] } }), show: showProject },
  'projects update': { summary: 'Change settings of a project.', args: ['project'], options: SETTINGS, request: ({ args, lists }) => ({ method: 'PATCH', path: `/v1/projects/${part(args[0])}`, body: settingsOf(lists['set']) }), show: showProject },
  'projects delete': { summary: 'Delete a project, its keys with it.', args: ['project'], options: {}, request: ({ args }) => ({ method: 'DELETE', path: `/v1/projects/${part(args[0])}` }), show: () => 'deleted\n' },
}

const TURN: Record<string, ApiCommand> = {
  'credentials issue': {
    summary: 'Issue TURN credentials.',
    args: [],
    options: { ...PROJECT, user: option('id', 'a random one where not given'), ttl: option('seconds', 'of the project where not given'), policy: option('all|relay', 'relay leaves STUN out'), transports: option('list', 'such as udp,tls'), region: option('name', 'relays of this region first'), room: option('id', 'the room that it is for: usage is told by it') },
    request: ({ options }) => ({ method: 'POST', path: '/v1/turn/credentials', body: { project: options['project'], user: options['user'], ttl: number(options['ttl']), policy: options['policy'], region: options['region'], room: options['room'], transports: listOf(options['transports']) } }),
    show: answer => lines([['user name', answer['username']], ['credential', answer['credential']], ['expires', time(answer['expiresAt'])], ['URLs', (answer['iceServers'] as { urls: string[] }[]).flatMap(({ urls }) => urls).join(`\n${' '.repeat(14)}`)]]),
  },
  'credentials revoke': {
    summary: 'Revoke a user, one credential (its whole user name), or with --all everybody.',
    args: ['user?'],
    options: { ...PROJECT, all: flag('all credentials of the project') },
    request: ({ args, options, switches }) => ({ method: 'DELETE', path: revokedPath(args[0], switches.has('all')), query: { project: options['project'] } }),
    show: ({ allocationsClosed, until }, { args, options }) => `${args[0] ?? `the project ${options['project'] ?? 'default'}, for which nothing is issued now,`} is revoked until ${time(until)}; ${String(allocationsClosed)} live allocations were cut\n`,
  },
  'credentials revoked': {
    summary: 'List what is revoked.',
    args: [],
    options: { ...PROJECT, ...LIMIT },
    request: ({ options }) => ({ method: 'GET', path: '/v1/turn/revocations', query: { project: options['project'] } }),
    list: 'revocations',
    show: answer => table(['KIND', 'SUBJECT', 'SINCE', 'UNTIL'], rows(answer, 'revocations').map(entry => [entry['kind'], entry['subject'], time(entry['since']), time(entry['until'])])),
  },
  'credentials lift': { summary: 'Lift a revocation.', args: ['subject'], options: { ...PROJECT, kind: option('user|credential|key|project|peer', 'where several have the same name') }, request: ({ args, options }) => ({ method: 'DELETE', path: `/v1/turn/revocations/${part(args[0])}`, query: { project: options['project'], kind: options['kind'] } }), show: () => 'lifted\n' },
  'tokens room': {
    summary: 'Issue a room token for one peer.',
    args: ['room', 'peer'],
    options: { ...PROJECT, ttl: option('seconds', '300 where not given'), role: option('text', 'what the others see'), capacity: option('n', 'most peers in the room'), takeover: flag('may take over a connection with the same peer id') },
    request: ({ args, options, switches }) => ({ method: 'POST', path: `/v1/rooms/${part(args[0])}/tokens`, body: { peer: args[1], project: options['project'], role: options['role'], ttl: number(options['ttl']), capacity: number(options['capacity']), takeover: switches.has('takeover') ? true : undefined } }),
    show: ({ token }) => `${String(token)}\n`,
    remark: ({ tokenId, expiresAt }) => `Room token ${String(tokenId)}, for joining until ${time(expiresAt)}.\n`,
  },
  'tokens revoke': { summary: 'Revoke a room token by its id.', args: ['id'], options: {}, request: ({ args }) => ({ method: 'DELETE', path: `/v1/tokens/${part(args[0])}` }), show: () => 'revoked\n' },
}

const HOUSE: Record<string, ApiCommand> = {
  usage: {
    summary: 'What was relayed and issued.',
    args: [],
    options: { project: option('id', 'of one project only'), by: option('list', 'up to three of day, user, room, relay, transport, project; day where not given'), csv: flag('all of it as CSV'), from: option('day', 'such as 2026-11-01; 30 days ago where not given'), to: option('day', 'today where not given'), ...LIMIT },
    request: ({ options, switches }) => ({ method: 'GET', path: '/v1/usage', query: { project: options['project'], by: options['by'], from: options['from'], to: options['to'], format: switches.has('csv') ? 'csv' : undefined } }),
    isRaw: ({ switches }) => switches.has('csv'),
    list: 'usage',
    show: (answer, { options }) => table([...groupings(options['by']).map(name => name.toUpperCase()), 'FROM CLIENTS', 'TO CLIENTS', 'ALLOCATIONS', 'CREDENTIALS'], rows(answer, 'usage').map(group => [...groupings(options['by']).map(name => group[name]), bytes(group['bytesFromClient']), bytes(group['bytesToClient']), group['allocations'], group['credentials']])),
  },
  'secrets list': { summary: 'The TURN secrets that the relay accepts, without the secrets.', args: [], options: {}, request: () => ({ method: 'GET', path: '/v1/secrets/turn' }), show: showSecrets },
  'secrets rotate': { summary: 'Replace the TURN secret, or (signing) the key of room tokens. No call notices.', args: ['turn|signing?'], options: { overlap: option('seconds', 'in which the old TURN secret is accepted too; 0 after a leak') }, request: ({ args, options }) => ({ method: 'POST', path: `/v1/secrets/${oneOf(args[0] ?? 'turn', ['turn', 'signing'])}/rotate`, ...(args[0] === 'signing' ? {} : { body: { overlap: number(options['overlap']) } }) }), show: answer => (answer['secrets'] === undefined ? `room tokens are signed with ${String(answer['keyId'])}\n` : showSecrets(answer)) },
  'integrations list': { summary: 'Programs that mint TURN credentials by themselves.', args: [], options: {}, request: () => ({ method: 'GET', path: '/v1/integrations' }), show: answer => table(['NAME', 'SECRET MADE', 'OLD ONE UNTIL'], rows(answer, 'integrations').map(one => [one['name'], time(one['createdAt']), time(one['previousRetiresAt'])])) },
  'integrations create': { summary: 'A secret for such a program; it is printed once, with what to paste.', args: ['name'], options: {}, request: ({ args }) => ({ method: 'POST', path: '/v1/integrations', body: { name: args[0] } }), show: showIntegration },
  'integrations rotate': { summary: 'A new secret for it.', args: ['name'], options: { overlap: option('seconds', 'in which the old one works too; 172800 where not given') }, request: ({ args, options }) => ({ method: 'POST', path: `/v1/integrations/${part(args[0])}/rotate`, body: { overlap: number(options['overlap']) } }), show: showIntegration },
  'integrations delete': { summary: 'Remove it; what it minted is accepted no more.', args: ['name'], options: {}, request: ({ args }) => ({ method: 'DELETE', path: `/v1/integrations/${part(args[0])}` }), show: () => 'deleted\n' },
  audit: {
    summary: 'Who changed what, newest first.',
    args: [],
    options: { project: option('id', 'of one project only'), ...LIMIT },
    request: ({ options }) => ({ method: 'GET', path: '/v1/audit', query: { project: options['project'] } }),
    list: 'entries',
    show: answer => table(['TIME', 'WHO', 'FROM', 'WHAT', 'PROJECT', 'TO WHAT'], rows(answer, 'entries').map(entry => [time(entry['at']), entry['actor'], entry['address'], entry['action'], entry['project'], entry['target']])),
  },
}

export const API_COMMANDS: Readonly<Record<string, ApiCommand>> = { ...PROJECTS, ...KEYS, ...TURN, ...ROOM_COMMANDS, ...WEBHOOK_COMMANDS, ...RELAY_COMMANDS, ...HOUSE }

function usage (message: string): never {
  throw new UsageError(message)
}

function oneOf (word: string, words: readonly string[]): string {
  return words.includes(word) ? word : usage(`${JSON.stringify(word)} is none of ${words.join(', ')}`)
}

function revokedPath (user: string | undefined, all: boolean): string {
  if (all && user !== undefined) return usage('credentials revoke takes a user, or --all, and not both')
  if (all) return '/v1/turn/credentials'
  return user === undefined ? usage('credentials revoke needs a user, or --all') : `/v1/turn/credentials/${part(user)}`
}

/** `quotas.bytesPerDay=5` → { quotas: { bytesPerDay: 5 } }; values are JSON where they read as such, text otherwise. */
function settingsOf (assignments: readonly string[] = []): Json {
  const settings = Object.create(null) as Json
  for (const assignment of assignments) {
    const [, name, text = ''] = /^([A-Za-z.]+)=(.*)$/s.exec(assignment) ?? []
    if (name === undefined) usage(`--set ${assignment} is not of the form name=value`)
    const path = name.split('.')
    let node = settings
    for (const group of path.slice(0, -1)) {
      const inner = node[group] ??= Object.create(null) as Json
      if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) usage(`--set ${assignment}: ${group} was set to a value before`)
      node = inner as Json
    }
    node[path.at(-1) ?? ''] = valueOf(text)
  }
  return settings
}

function valueOf (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function showSecrets (answer: Json): string {
  return table(['ID', 'STATE', 'MADE', 'ACCEPTED UNTIL'], rows(answer, 'secrets').map(secret => [secret['id'], secret['state'], time(secret['createdAt']), time(secret['retiresAt'])]))
}

function showIntegration (answer: Json): string {
  const snippets = Object.entries(answer['snippets'] as Record<string, string>).map(([program, text]) => `\n--- ${program}\n${text}`)
  return `${String(answer['secret'])}\n${snippets.join('')}`
}
