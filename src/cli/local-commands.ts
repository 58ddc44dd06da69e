/** The commands that do their work here: start the appliance, show its settings, back it up and put it back. */
import { ERRORS } from '../protocol/errors.ts'
import { UsageError, type Command, type Input, type World } from './command.ts'
import { DEPLOYMENT_COMMANDS } from './deployment/commands.ts'
import { completionFor, helpText } from './help.ts'
import { renderConfig } from './render-config.ts'
import { RELAY_OPERATIONS } from './relay-operation.ts'
import { loadOrComplain } from './settings.ts'

export type LocalCommand = Command & { run (input: Input, world: World): Promise<number> }

export const LOCAL_COMMANDS: Readonly<Record<string, LocalCommand>> = {
  ...DEPLOYMENT_COMMANDS,
  serve: {
    summary: 'Serve, in front, until Ctrl-C: what npm start and the services run.',
    args: [],
    options: { 'install-relay': { value: null, text: 'install coturn with apt where it is missing and this is root on Debian or Ubuntu' } },
    run: async ({ switches }, { env, version }) => {
      const loaded = loadOrComplain(env)
      if (loaded === null) return ERRORS['config-invalid'].exit
      const { serve } = await import('./serve.ts')
      return await serve(loaded, { env, version, installRelay: switches.has('install-relay') })
    },
  },
  config: {
    summary: 'Print the effective configuration, secrets masked.',
    args: [],
    options: { json: { value: null, text: 'as JSON' } },
    run: async ({ switches }, { env }) => {
      const loaded = loadOrComplain(env)
      if (loaded === null) return ERRORS['config-invalid'].exit
      return print(renderConfig(loaded, switches.has('json')))
    },
  },
  doctor: {
    summary: 'Look at everything that calls depend on: what was found, why it matters, what to do.',
    args: [],
    options: { json: { value: null, text: 'as JSON' }, url: { value: 'address', text: 'of a server elsewhere, whose relay is then tried from here; its admin key in TURNPIKE_ADMIN_KEY' } },
    run: async (input, world) => {
      const { doctor } = await import('./doctor.ts')
      return await doctor(input, world)
    },
  },
  ...RELAY_OPERATIONS,
  'allocations top': {
    summary: 'Who relays most now, drawn again every two seconds; q ends it.',
    args: [],
    options: { project: { value: 'id', text: 'of one project only' }, order: { value: 'rate|bytes', text: 'rate where not given' }, once: { value: null, text: 'draw it once' }, json: { value: null, text: 'once, as JSON' }, url: { value: 'address', text: 'of a server elsewhere; its key in TURNPIKE_ADMIN_KEY' } },
    run: async (input, world) => {
      const { top } = await import('./top.ts')
      return await top(input, world)
    },
  },
  size: {
    summary: 'How many calls this machine carries, what limits them, and which kernel settings to change.',
    args: [],
    options: {
      kbps: { value: 'n', text: 'media of one party, one way; 1500 where not given' },
      'packet-bytes': { value: 'n', text: '1000 where not given' },
      'allocations-per-call': { value: 'n', text: '2 where not given' },
      json: { value: null, text: 'as JSON' },
    },
    run: async (input, { env }) => {
      const loaded = loadOrComplain(env)
      if (loaded === null) return ERRORS['config-invalid'].exit
      const { size } = await import('./size.ts')
      return print(size(input, loaded.config))
    },
  },
  'keys first': {
    summary: 'Show the keys that the first start made, where it was not at a terminal.',
    args: [],
    options: { delete: { value: null, text: 'and delete the file that they stand in' } },
    run: async (input, world) => {
      const { firstKeys } = await import('./first-keys.ts')
      return firstKeys(input, world)
    },
  },
  'docker-guard': {
    summary: 'Stand between Turnpike and the Docker engine: let it run its own coturns, and nothing else.',
    isForPrograms: true,
    args: [],
    options: { engine: { value: 'socket', text: 'of the engine; /var/run/docker.sock where not given' }, listen: { value: 'socket', text: 'for Turnpike (DOCKER_HOST); /guard/docker.sock where not given' } },
    run: async (input, { env }) => {
      const loaded = loadOrComplain(env)
      if (loaded === null) return ERRORS['config-invalid'].exit
      const { dockerGuard } = await import('./docker-guard.ts')
      return dockerGuard(input, loaded.config)
    },
  },
  backup: {
    summary: 'Write everything that is kept into one file, while the server runs or not.',
    args: ['file'],
    options: { json: { value: null, text: 'where it is, as JSON' }, url: { value: 'address', text: 'of a server elsewhere; its key in TURNPIKE_ADMIN_KEY' } },
    run: async (input, world) => {
      const { backUp } = await import('./backup.ts')
      return await backUp(input, world)
    },
  },
  restore: {
    summary: 'Put a backup in the place of the database; the server must be stopped.',
    args: ['file'],
    options: { json: { value: null, text: 'where it went, and where what was there is kept, as JSON' } },
    run: async (input, world) => {
      const { putBack } = await import('./backup.ts')
      return await putBack(input, world)
    },
  },
  completion: {
    summary: 'Print a completion script: source <(turnpike completion bash)',
    args: ['bash|zsh'],
    options: {},
    run: async ({ args: [shell] }, { commands }) => {
      if (shell !== 'bash' && shell !== 'zsh') throw new UsageError('completion is for bash or zsh')
      return print(completionFor(shell, commands))
    },
  },
  version: { summary: 'Print the version.', args: [], options: {}, run: async (_input, { version }) => print(`turnpike ${version} (Node.js ${process.versions.node})\n`) },
  help: { summary: 'Print this.', args: [], options: {}, run: async (_input, { commands }) => print(helpText(commands)) },
}

function print (text: string): number {
  process.stdout.write(text)
  return 0
}
