/** The commands for relays and what lives on them that are one request each. */
import type { ApiCommand } from './api-command.ts'
import { UsageError, type Input, type Option } from './command.ts'
import { bytes, table, time } from './tables.ts'

type Json = Record<string, unknown>

const FILTERS: Record<string, Option> = {
  project: { value: 'id', text: 'of one project only' },
  user: { value: 'id', text: 'of one user only' },
  room: { value: 'id', text: 'of one room only' },
  relay: { value: 'id', text: 'of one relay only' },
  transport: { value: 'udp|tcp|tls', text: 'of one transport only' },
}
const filtersOf = ({ options }: Input): Record<string, string | undefined> => Object.fromEntries(Object.keys(FILTERS).map(name => [name, options[name]]))
const rows = (answer: Json, list: string): Json[] => answer[list] as Json[]

export const RELAY_COMMANDS: Readonly<Record<string, ApiCommand>> = {
  'relays list': {
    summary: 'List the relays and how they are.',
    args: [],
    options: {},
    request: () => ({ method: 'GET', path: '/v1/relays' }),
    show: answer => table(['ID', 'REGION', 'STATE', 'SENT TO', 'COTURN', 'DRIVER', 'ADDRESS', 'PORT', 'TLS', 'ALLOCATIONS', 'UNDER WAY'], rows(answer, 'relays').map(relay => [relay['id'], relay['region'], relay['drained'] === true ? 'drained' : relay['state'], relay['handedOut'] === true ? 'yes' : 'no', relay['version'], relay['driver'], relay['host'], relay['port'], relay['tlsPort'], relay['allocations'], operationOf(relay)])),
  },
  'relays show': { summary: 'One relay: what runs it, what its last probe saw, what is under way.', args: ['relay'], options: {}, request: ({ args }) => ({ method: 'GET', path: `/v1/relays/${encodeURIComponent(args[0] ?? '')}` }), show: showRelay },
  'allocations list': {
    summary: 'List live allocations.',
    args: [],
    options: { ...FILTERS, limit: { value: 'n', text: 'how many at most; 1000 where not given' } },
    request: input => ({ method: 'GET', path: '/v1/turn/allocations', query: filtersOf(input) }),
    list: 'allocations',
    show: answer => table(['ID', 'PROJECT', 'USER', 'ROOM', 'TRANSPORT', 'CLIENT', 'RELAYED', 'SINCE', 'FROM CLIENT', 'TO CLIENT', 'RATE'], rows(answer, 'allocations').map(one => [one['id'], one['project'], one['user'], one['room'], one['tlsVersion'] ?? one['transport'], one['clientAddress'], one['relayAddress'], time(one['since']), bytes(one['bytesFromClient']), bytes(one['bytesToClient']), `${bytes(one['bytesPerSecond'])}/s`])),
  },
  'allocations cut': {
    summary: 'Cut live allocations: one by its id, or all that match.',
    args: ['id?'],
    options: { ...FILTERS, all: { value: null, text: 'every one (of the project, where that is given)' } },
    request: input => ({ method: 'DELETE', ...cutOf(input) }),
    show: ({ allocationsClosed }) => `${String(allocationsClosed)} cut\n`,
  },
}

function cutOf (input: Input): { path: string, query?: Record<string, string | undefined> } {
  const [id] = input.args
  const filters = filtersOf(input)
  const isFiltered = Object.entries(filters).some(([name, value]) => name !== 'project' && value !== undefined) || input.switches.has('all')
  if (id !== undefined && isFiltered) throw new UsageError('allocations cut takes an id, or what to cut by, and not both')
  if (id !== undefined) return { path: `/v1/turn/allocations/${encodeURIComponent(id)}` }
  if (!isFiltered) throw new UsageError('allocations cut needs an id, --user, --room, --relay, --transport or --all')
  return { path: '/v1/turn/allocations', query: { ...filters, all: input.switches.has('all') ? 'true' : undefined } }
}

/** Such as "upgrade: draining, 3 left". */
export function operationOf (relay: Json): string {
  const operation = relay['operation'] as Json | null
  if (operation === null || operation['phase'] === 'done' || operation['phase'] === 'failed') return ''
  return `${String(operation['kind'])}: ${String(operation['phase'])}, ${String(operation['left'])} left`
}

export function showRelay (relay: Json): string {
  const { checks, operation, leaving, warnings, ...plain } = relay as { checks: Json[], operation: Json | null, leaving: Json | null, warnings: string[] } & Json
  const lines = Object.entries({ ...plain, since: time(plain['since']) }).map(([name, value]) => `${`${name}:`.padEnd(16)}${String(value ?? '-')}\n`)
  const under = operation === null ? '' : `operation:      ${String(operation['kind'])} ${String(operation['phase'])}: ${String(operation['detail'])}${typeof operation['deadline'] === 'number' ? `, until ${time(operation['deadline'])}` : ''}\n`
  const going = leaving === null ? '' : `leaving:        ${String(leaving['allocations'])} allocations, until ${time(leaving['until'])}\n`
  return `${lines.join('')}${going}${under}${warnings.map(warning => `warning:        ${warning}\n`).join('')}\n${table(['CHECK', 'TRANSPORT', 'RESULT', 'ROUND TRIP', 'DETAIL'], checks.map(check => [check['check'], check['transport'], check['result'], typeof check['roundTripMs'] === 'number' ? `${Math.round(check['roundTripMs'])} ms` : '', check['detail']]))}`
}
