/** The commands for rooms: who is in them, and what is done to them. */
import type { ApiCommand } from './api-command.ts'
import { UsageError, type Option } from './command.ts'
import { table, time } from './tables.ts'

type Json = Record<string, unknown>

const PROJECT: Record<string, Option> = { project: { value: 'id', text: 'which project; default where not given' } }
const LIMIT: Record<string, Option> = { limit: { value: 'n', text: 'how many at most; 1000 where not given' } }
const pathOf = (room: string | undefined): string => `/v1/rooms/${encodeURIComponent(room ?? '')}`
const rows = (answer: Json, list: string): Json[] => answer[list] as Json[]

export const ROOM_COMMANDS: Readonly<Record<string, ApiCommand>> = {
  'rooms list': {
    summary: 'List rooms: those with peers in them, and those made ahead.',
    args: [],
    options: { ...PROJECT, ...LIMIT },
    request: ({ options }) => ({ method: 'GET', path: '/v1/rooms', query: { project: options['project'] } }),
    list: 'rooms',
    show: answer => table(['ID', 'KIND', 'PEERS', 'CAPACITY', 'SINCE', 'MADE AHEAD'], rows(answer, 'rooms').map(room => [room['id'], room['kind'], room['peerCount'], room['capacity'], time(room['since']), room['madeAhead'] === true ? 'yes' : 'no'])),
  },
  'rooms show': {
    summary: 'Who is in a room.',
    args: ['room'],
    options: { ...PROJECT, ...LIMIT },
    request: ({ args, options }) => ({ method: 'GET', path: pathOf(args[0]), query: { project: options['project'] } }),
    list: 'peers',
    show: answer => `${String(answer['kind'])} for ${String(answer['capacity'])}, metadata ${JSON.stringify(answer['metadata'])}\n${table(['PEER', 'ROLE', 'SOCKET', 'ADDRESS', 'ROUND TRIP', 'PROTOCOL', 'SINCE', 'METADATA'], rows(answer, 'peers').map(peer => [peer['id'], peer['role'], peer['connected'] === true ? 'open' : 'lost', peer['address'], peer['roundTripMs'] === null ? null : `${String(peer['roundTripMs'])} ms`, peer['protocol'], time(peer['since']), JSON.stringify(peer['metadata'])]), 'nobody')}`,
  },
  'rooms make': {
    summary: 'Make a room ahead, or change one that was.',
    args: ['room'],
    options: { ...PROJECT, kind: { value: 'mesh|pair|topic', text: 'mesh where not given' }, capacity: { value: 'n', text: 'most peers in it' }, metadata: { value: 'json', text: 'an object that everybody is told who comes' } },
    request: ({ args, options }) => ({ method: 'PUT', path: pathOf(args[0]), query: { project: options['project'] }, body: { kind: options['kind'], capacity: numberOf(options['capacity']), metadata: options['metadata'] === undefined ? undefined : objectOf(options['metadata']) } }),
    show: ({ id, kind, capacity }) => `${String(id)} is ${String(kind)} for ${String(capacity)}\n`,
  },
  'rooms close': {
    summary: 'Send everybody out of a room, and forget what was said of it ahead.',
    args: ['room'],
    options: PROJECT,
    request: ({ args, options }) => ({ method: 'DELETE', path: pathOf(args[0]), query: { project: options['project'] } }),
    show: ({ peersClosed }) => `closed; ${String(peersClosed)} peers were sent away\n`,
  },
  'rooms kick': {
    summary: 'Send one peer out of a room; its token and its TURN credentials count no more.',
    args: ['room', 'peer'],
    options: PROJECT,
    request: ({ args, options }) => ({ method: 'DELETE', path: `${pathOf(args[0])}/peers/${encodeURIComponent(args[1] ?? '')}`, query: { project: options['project'] } }),
    show: ({ allocationsClosed, tokenRevoked }) => `sent out; ${String(allocationsClosed)} live allocations were cut${tokenRevoked === true ? '' : '; it came without a token, and can come again'}\n`,
  },
  'rooms say': {
    summary: 'Say something to all in a room, or to one: JSON where it reads as such, else text.',
    args: ['room', 'data'],
    options: { ...PROJECT, to: { value: 'peer', text: 'to this one alone' } },
    request: ({ args, options }) => ({ method: 'POST', path: `${pathOf(args[0])}/messages`, query: { project: options['project'] }, body: { data: dataOf(args[1] ?? ''), to: options['to'] } }),
    show: ({ peers }) => `said to ${String(peers)}\n`,
  },
}

/** What is no number is sent as it is: the API says what it must be. */
function numberOf (text: string | undefined): number | string | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text
}

function objectOf (text: string): Json {
  const value = dataOf(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UsageError(`--metadata ${text} is no JSON object`)
  return value as Json
}

function dataOf (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
