/** Everything a person types goes through here: finds the command, reads its options, runs it, and turns what went wrong into an exit code. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import { exitCodeOfProblem } from './api-client.ts'
import { API_COMMANDS } from './api-commands.ts'
import { UsageError, type Command, type Commands, type Input, type Option, type World } from './command.ts'
import { describeFailure } from './failure.ts'
import { helpOf, helpText } from './help.ts'
import { LOCAL_COMMANDS } from './local-commands.ts'
import { runApiCommand } from './run-api-command.ts'

const ALIASES: ReadonlyMap<string, string> = new Map([['--help', 'help'], ['-h', 'help'], ['--version', 'version'], ['-v', 'version']])
/** What every command that asks the API takes. */
const COMMON: Record<string, Option> = {
  json: { value: null, text: 'what the API answers, as JSON' },
  url: { value: 'address', text: 'of a server elsewhere; its key in TURNPIKE_ADMIN_KEY' },
}
const USAGE = 64

/** All commands by name, as help and completion show them. */
function allCommands (): Commands {
  const overApi = Object.entries(API_COMMANDS).map(([name, command]) => [name, { ...command, options: { ...command.options, ...COMMON } }] as const)
  return { ...LOCAL_COMMANDS, ...Object.fromEntries(overApi) }
}

/** Runs one command; resolves to the exit code. */
export async function runCommand (args: readonly string[]): Promise<number> {
  const node = Number(process.versions.node.split('.')[0])
  if (node < 24) throw new TurnpikeError('node-too-old', `this is Node.js ${process.versions.node}; expected 24 or newer`)
  const words = args.length === 0 ? ['help'] : args.map((arg, i) => (i === 0 ? ALIASES.get(arg) ?? arg : arg))
  const commands = allCommands()
  const [first = '', second = ''] = words
  const name = Object.hasOwn(commands, `${first} ${second}`) ? `${first} ${second}` : first
  const rest = words.slice(name.split(' ').length)
  const isGroup = Object.keys(commands).some(known => known.startsWith(`${name} `))
  if (rest.includes('--help') || rest.includes('-h') || (name === 'help' && rest.length > 0)) {
    process.stdout.write(helpOf(name === 'help' ? rest.join(' ') : name, commands))
    return 0
  }
  if (!Object.hasOwn(commands, name)) return complain(name, isGroup && second === '' ? `${name} what?` : `there is no command ${JSON.stringify(isGroup ? `${name} ${second}` : name)}`)
  try {
    return await run(name, readInput(commands[name] as Command, rest), { env: process.env, version: readVersion(), commands })
  } catch (error) {
    if (error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true) return complain(name, (error as Error).message)
    if (!isTurnpikeError(error) || name === 'serve') throw error
    process.stderr.write(describeFailure(error))
    return exitCodeOfProblem(error.code)
  }
}

async function run (name: string, input: Input, world: World): Promise<number> {
  const local = LOCAL_COMMANDS[name]
  if (local !== undefined) return await local.run(input, world)
  const command = API_COMMANDS[name]
  if (command === undefined) throw new UsageError(`there is no command ${name}`)
  return await runApiCommand(command, input, world)
}

/** Throws UsageError, or what parseArgs throws, for what the command does not take. */
function readInput ({ args, options }: Command, typed: string[]): Input {
  const described = Object.fromEntries(Object.entries(options).map(([name, { value, many = false }]) => [name, { type: value === null ? 'boolean' as const : 'string' as const, multiple: many }]))
  const { values, positionals } = parseArgs({ args: typed, options: described, strict: true, allowPositionals: true })
  const least = args.filter(arg => !arg.endsWith('?')).length
  if (positionals.length < least) throw new UsageError(`it needs ${args.slice(positionals.length, least).map(arg => `<${arg}>`).join(' ')}`)
  if (positionals.length > args.length) throw new UsageError(`it does not take ${JSON.stringify(positionals[args.length])}`)
  const entries = Object.entries(values)
  return {
    args: positionals,
    options: Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
    switches: new Set(entries.filter(([, value]) => value === true).map(([name]) => name)),
    lists: Object.fromEntries(entries.filter((entry): entry is [string, string[]] => Array.isArray(entry[1]))),
  }
}

function complain (name: string, what: string): number {
  const commands = allCommands()
  const isKnown = Object.keys(commands).some(known => known === name || known.startsWith(`${name} `))
  process.stderr.write(`turnpike: ${what}\n\n${isKnown ? helpOf(name, commands) : helpText(commands)}`)
  return USAGE
}

function readVersion (): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
