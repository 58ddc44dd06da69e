/** The commands for what webhooks have not taken. */
import type { ApiCommand } from './api-command.ts'
import { UsageError, type Input, type Option } from './command.ts'
import { table, time } from './tables.ts'

type Json = Record<string, unknown>

const PROJECT: Record<string, Option> = { project: { value: 'id', text: 'which project; default where not given' } }
const pathOf = ({ options }: Input): string => `/v1/projects/${encodeURIComponent(options['project'] ?? 'default')}/webhook-deliveries`

export const WEBHOOK_COMMANDS: Readonly<Record<string, ApiCommand>> = {
  'webhooks list': {
    summary: 'List events that wait for the project\'s webhook, and dead ones.',
    args: [],
    options: { ...PROJECT, state: { value: 'waiting|dead', text: 'of one state only' }, limit: { value: 'n', text: 'how many at most; 1000 where not given' } },
    request: input => ({ method: 'GET', path: pathOf(input), query: { state: input.options['state'] } }),
    list: 'deliveries',
    show: answer => table(['ID', 'TYPE', 'TIME', 'STATE', 'ATTEMPTS', 'WHY', 'NEXT'], (answer['deliveries'] as Json[]).map(one => [one['id'], one['type'], time(one['at']), one['state'], one['attempts'], one['reason'], time(one['nextAttemptAt'])])),
  },
  'webhooks replay': {
    summary: 'Send an event again at once, or with --all every dead one.',
    args: ['id?'],
    options: { ...PROJECT, all: { value: null, text: 'every dead one of the project' } },
    request: input => ({ method: 'POST', path: replayPath(input) }),
    show: ({ id, replayed }) => (id === undefined ? `${String(replayed)} are sent again\n` : `${String(id)} is sent again\n`),
  },
}

function replayPath (input: Input): string {
  const [id] = input.args
  if ((id === undefined) !== input.switches.has('all')) throw new UsageError(id === undefined ? 'webhooks replay needs an id, or --all' : 'webhooks replay takes an id, or --all, and not both')
  return id === undefined ? `${pathOf(input)}/replay` : `${pathOf(input)}/${encodeURIComponent(id)}/replay`
}
