/** The table of commands: name → what it does, options, how it runs. Everything a person types goes through here. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ERRORS, TurnpikeError } from '../protocol/errors.ts'
import { loadConfig, type Loaded } from '../config/load.ts'
import { renderConfig } from './render-config.ts'

type Flags = Record<string, boolean>
type Command = {
  summary: string
  /** Switches, each with what it does. */
  options: Record<string, string>
  run (flags: Flags): Promise<number>
}

const COMMANDS: Record<string, Command> = {
  up: {
    summary: 'Start the appliance and stay in front until Ctrl-C.',
    options: { 'install-relay': 'install coturn with apt where it is missing and this is root on Debian or Ubuntu' },
    run: async flags => {
      const loaded = loadOrComplain()
      if (loaded === null) return ERRORS['config-invalid'].exit
      const { up } = await import('./up.ts')
      return await up(loaded, { env: process.env, version: readVersion(), installRelay: flags['install-relay'] === true })
    },
  },
  config: {
    summary: 'Print the effective configuration, secrets masked.',
    options: { json: 'as JSON' },
    run: async flags => {
      const loaded = loadOrComplain()
      if (loaded === null) return ERRORS['config-invalid'].exit
      process.stdout.write(renderConfig(loaded, flags['json'] === true))
      return 0
    },
  },
  version: {
    summary: 'Print the version.',
    options: {},
    run: async () => {
      process.stdout.write(`turnpike ${readVersion()} (Node.js ${process.versions.node})\n`)
      return 0
    },
  },
  help: {
    summary: 'Print this.',
    options: {},
    run: async () => {
      process.stdout.write(helpText())
      return 0
    },
  },
}

const ALIASES: ReadonlyMap<string, string> = new Map([['--help', 'help'], ['-h', 'help'], ['--version', 'version'], ['-v', 'version']])

/** Runs one command; resolves to the exit code. */
export async function runCommand (args: readonly string[]): Promise<number> {
  const node = Number(process.versions.node.split('.')[0])
  if (node < 24) throw new TurnpikeError('node-too-old', `this is Node.js ${process.versions.node}; expected 24 or newer`)
  const [name = 'help', ...rest] = args.map(arg => ALIASES.get(arg) ?? arg)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) return complain(`there is no command ${JSON.stringify(name)}`)
  if (rest.includes('help')) return await runCommand(['help'])
  const options = Object.fromEntries(Object.keys(command.options).map(option => [option, { type: 'boolean' as const }]))
  try {
    const { values } = parseArgs({ args: rest, options, strict: true, allowPositionals: false })
    return await command.run(values as Flags)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true) return complain((error as Error).message)
    throw error
  }
}

function complain (what: string): number {
  process.stderr.write(`turnpike: ${what}\n\n${helpText()}`)
  return 64
}

function loadOrComplain (): Loaded | null {
  const loaded = loadConfig({ env: process.env, readFile: path => readFileSync(path, 'utf8') })
  for (const warning of loaded.warnings) process.stderr.write(`turnpike: note: ${warning}\n`)
  if (loaded.problems.length === 0) return loaded
  const lines = loaded.problems.map(({ where, message }) => `  ${where} ${message}\n`)
  process.stderr.write(`turnpike: the configuration has ${lines.length === 1 ? 'a problem' : `${lines.length} problems`}:\n${lines.join('')}`)
  return null
}

function helpText (): string {
  const lines = Object.entries(COMMANDS).flatMap(([name, { summary, options }]) => [
    `  ${name.padEnd(10)} ${summary}\n`,
    ...Object.entries(options).map(([option, text]) => `             --${option}  ${text}\n`),
  ])
  return `Turnpike makes WebRTC connect.\n\nUsage: turnpike <command>\n\n${lines.join('')}\nSettings come from TURNPIKE_* variables: see docs/configuration.md.\n`
}

function readVersion (): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
