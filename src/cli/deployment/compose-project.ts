/** One project of Docker Compose: its directory, its file of settings, what of it is there, and what it was started as. */
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { COMPOSE_PROJECT, LABELS } from '../../protocol/coturn-container.ts'
import { readEnvFile } from './env-file.ts'
import { changedSince } from './mounted-files.ts'
import { createPrograms, type Ended, type Programs } from './programs.ts'

const NAME = 'turnpike'
/** One that has been started again runs so long before it counts as running. */
const NEW_FOR_MS = 10_000
const SERVICE = 'com.docker.compose.service'
const DIRECTORY = 'com.docker.compose.project.working_dir'
const TITLE = 'org.opencontainers.image.title'
/** Of the compose file. */
const VOLUMES: ReadonlySet<string> = new Set(['data', 'guard', 'prometheus', 'grafana'])

type Env = Readonly<Record<string, string | undefined>>
/** What the engine says of a container. */
type Inspected = {
  Id: string
  Name: string
  Image: string
  RestartCount: number
  Config: { Image: string, Env: string[] | null, Labels: Record<string, string> }
  State: { Status: string, StartedAt: string, ExitCode: number, Health?: { Status: string } }
  Mounts: { Type: string, Name?: string, Destination: string }[]
}
export type OurContainer = { id: string, imageId: string, image: string, directory: string, startedAt: string, restarts: number, state: string, keepsRelay: boolean, dataVolume: string | null }
/** What is there of a project: of ours, and of others that go by the same name. */
export type Parts = { containers: string[], volumes: string[], networks: string[], strangers: string[] }

export class ComposeProject {
  readonly directory: string
  readonly envFile: string
  /** The whole file with everything put in, as it was when it last became ready: what an upgrade goes back to. */
  readonly deployedFile: string
  readonly programs: Programs
  readonly #env: Env
  #adopted: string | null = null

  constructor (root: string, env: Env) {
    this.directory = join(root, 'compose')
    this.envFile = join(this.directory, '.env')
    this.deployedFile = join(this.directory, '.deployed.yaml')
    this.#env = env
    this.programs = createPrograms(env, this.directory)
  }

  name (): string {
    return this.#given() ?? this.#adopted ?? NAME
  }

  /** The name to be written down, so that others than us find the same project; null where they do. */
  nameToKeep (): string | null {
    return this.#given() === null ? this.#adopted : null
  }

  #given (): string | null {
    return (this.#env['COMPOSE_PROJECT_NAME'] || readEnvFile(this.envFile)['COMPOSE_PROJECT_NAME']) || null
  }

  /** Takes on the name of a Turnpike that runs here under another one: it was started by hand, by an earlier version (`compose`), or out of another directory. */
  async adopt (): Promise<void> {
    if (this.#given() !== null) return
    const all = (await this.#inspect('--filter', `label=${SERVICE}=turnpike`)).filter(isOurs)
    const here = all.filter(({ Config }) => sameDirectory(Config.Labels[DIRECTORY] ?? '', this.directory))
    const names = new Set((here.length > 0 ? here : all).map(({ Config }) => Config.Labels[COMPOSE_PROJECT] ?? NAME))
    const [name = NAME, ...others] = names
    this.#adopted = name === NAME || others.length > 0 ? null : name
  }

  args (...args: string[]): string[] {
    return ['compose', '--project-name', this.name(), ...args]
  }

  async ask (...args: string[]): Promise<Ended> {
    return await this.programs.ask('docker', this.args(...args))
  }

  async show (...args: string[]): Promise<void> {
    await this.programs.show('docker', this.args(...args))
  }

  async docker (...args: string[]): Promise<string> {
    return await this.programs.output('docker', args)
  }

  /** The container that serves; null where there is none. It may have been made out of another directory. */
  async serving (): Promise<OurContainer | null> {
    const found = (await this.#inspect('--filter', `label=${COMPOSE_PROJECT}=${this.name()}`, '--filter', `label=${SERVICE}=turnpike`, '--filter', 'label=com.docker.compose.oneoff=False')).find(isOurs)
    if (found === undefined) return null
    const { Id, Image, RestartCount, Config, State, Mounts } = found
    return { id: Id, imageId: Image, image: Config.Image, directory: Config.Labels[DIRECTORY] ?? this.directory, startedAt: State.StartedAt, restarts: RestartCount, state: State.Status, keepsRelay: Config.Env?.includes('TURNPIKE_RELAY_ON_STOP=keep') === true, dataVolume: Mounts.find(({ Destination }) => Destination === '/data')?.Name ?? null }
  }

  async coturns (): Promise<string[]> {
    return await this.#ids('ps', '-aq', '--filter', `label=${COMPOSE_PROJECT}=${this.name()}`, '--filter', `label=${LABELS.relay}`)
  }

  /** The name of a project is a directory's in many places: what others made under the same one is told apart, and not ours to touch. */
  async parts (): Promise<Parts> {
    const of = ['--filter', `label=${COMPOSE_PROJECT}=${this.name()}`]
    const all = await this.#inspect(...of)
    const directories = [this.directory, ...all.filter(isOurs).map(({ Config }) => Config.Labels[DIRECTORY] ?? '')]
    const isPart = (one: Inspected): boolean => isOurs(one) || one.Config.Labels[LABELS.relay] !== undefined || directories.some(directory => sameDirectory(directory, one.Config.Labels[DIRECTORY] ?? ''))
    const [ours, strangers] = [all.filter(isPart), all.filter(one => !isPart(one))]
    const volumesOf = (containers: Inspected[]): string[] => containers.flatMap(({ Mounts }) => Mounts).flatMap(({ Type, Name = '' }) => (Type === 'volume' && !/^[0-9a-f]{64}$/.test(Name) ? [Name] : []))
    const labelled = (await this.docker('volume', 'ls', ...of, '--format', '{{.Name}} {{.Label "com.docker.compose.volume"}}')).split('\n').map(line => line.split(' ')).filter(([, role = '']) => VOLUMES.has(role)).map(([name = '']) => name)
    const theirs = new Set(volumesOf(strangers))
    const volumes = new Set([...volumesOf(ours), ...(strangers.length === 0 ? labelled : [])])
    return {
      containers: ours.map(({ Id }) => Id),
      volumes: [...volumes].filter(name => !theirs.has(name)),
      networks: strangers.length === 0 ? await this.#ids('network', 'ls', '-q', ...of) : [],
      strangers: strangers.map(({ Name }) => Name.replace(/^\//, '')),
    }
  }

  /** Brings up what the compose file says, and what has other files mounted than it was started with. */
  async start (): Promise<void> {
    // Never with --remove-orphans: coturn's container is one.
    await this.show('up', '--detach', '--no-build')
    for (const service of changedSince(this.directory)) {
      const ids = await this.#ids('ps', '-q', '--filter', `label=${COMPOSE_PROJECT}=${this.name()}`, '--filter', `label=${SERVICE}=${service}`)
      if (ids.length > 0) await this.show('up', '--detach', '--no-build', '--no-deps', '--force-recreate', service)
    }
  }

  /** Services of ours that do not run, run and end again and again, or say that they are not well. */
  async ailing (): Promise<{ id: string, service: string, how: string }[]> {
    const { containers } = await this.parts()
    const all = containers.length === 0 ? [] : await this.#inspect(...containers.flatMap(id => ['--filter', `id=${id}`]))
    return all.filter(({ Config }) => Config.Labels[LABELS.relay] === undefined && Config.Labels['com.docker.compose.oneoff'] !== 'True').flatMap(({ Id, Config, State, RestartCount }) => {
      const isNew = Date.now() - Date.parse(State.StartedAt) < NEW_FOR_MS
      const how = State.Status !== 'running' ? `${State.Status}, exit code ${State.ExitCode}` : RestartCount > 0 && isNew ? `ends and is started again, ${RestartCount} times` : State.Health?.Status === 'unhealthy' ? 'unhealthy' : null
      return how === null ? [] : [{ id: Id, service: Config.Labels[SERVICE] ?? Id, how }]
    })
  }

  /** Ours of every version: of the same name as the one given, and labelled as ours. */
  async images (image: string): Promise<string[]> {
    return [...new Set(await this.#ids('image', 'ls', repositoryOf(image), '--filter', `label=${TITLE}=Turnpike`, '--format', '{{.Repository}}:{{.Tag}}'))]
  }

  /** The compose file, with everything put in. */
  async file (): Promise<{ services: Record<string, { image?: string, build?: object }> }> {
    return JSON.parse(await this.docker(...this.args('config', '--format', 'json'))) as { services: Record<string, { image?: string, build?: object }> }
  }

  async #inspect (...filters: string[]): Promise<Inspected[]> {
    const ids = await this.#ids('ps', '-aq', '--no-trunc', ...filters)
    if (ids.length === 0) return []
    // One that has gone meanwhile makes it end with 1; the others are told all the same.
    const { out } = await this.programs.ask('docker', ['inspect', '--type', 'container', ...ids])
    return JSON.parse(out || '[]') as Inspected[]
  }

  async #ids (...args: string[]): Promise<string[]> {
    return (await this.docker(...args)).split('\n').filter(line => line !== '')
  }
}

/** Images up to 0.4.0 have no label; they have this variable. */
function isOurs ({ Config }: Pick<Inspected, 'Config'>): boolean {
  return Config.Labels[TITLE] === 'Turnpike' || Config.Env?.some(one => one.startsWith('TURNPIKE_DATA_DIR=')) === true
}

export function sameDirectory (one: string, other: string): boolean {
  const real = (path: string): string => (existsSync(path) ? realpathSync(path) : path)
  return real(one) === real(other)
}

/** `turnpike` of `turnpike:0.4.0`. */
export function repositoryOf (image: string): string {
  return image.replace(/:[^:/]*$/, '')
}
