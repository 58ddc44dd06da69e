/** One project of Docker Compose: its directory, its file of settings, what of it is there, and what it was started as. */
import { basename, join } from 'node:path'
import { COMPOSE_PROJECT, LABELS } from '../../protocol/coturn-container.ts'
import { readEnvFile } from './env-file.ts'
import { createPrograms, type Ended, type Programs } from './programs.ts'

const SERVICE = 'com.docker.compose.service'
const TITLE = 'org.opencontainers.image.title=Turnpike'

type Env = Readonly<Record<string, string | undefined>>
export type OurContainer = { id: string, imageId: string, image: string, directory: string, startedAt: string, restarts: number, state: string, keepsRelay: boolean }

export class ComposeProject {
  readonly directory: string
  readonly envFile: string
  /** The whole file with everything put in, as it was when it last became ready: what an upgrade goes back to. */
  readonly deployedFile: string
  readonly programs: Programs
  readonly #env: Env

  constructor (root: string, env: Env) {
    this.directory = join(root, 'compose')
    this.envFile = join(this.directory, '.env')
    this.deployedFile = join(this.directory, '.deployed.yaml')
    this.#env = env
    this.programs = createPrograms(env, this.directory)
  }

  name (): string {
    return this.#env['COMPOSE_PROJECT_NAME'] ?? readEnvFile(this.envFile)['COMPOSE_PROJECT_NAME'] ?? basename(this.directory)
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
    const [id] = await this.#ids('ps', '-aq', '--filter', `label=${COMPOSE_PROJECT}=${this.name()}`, '--filter', `label=${SERVICE}=turnpike`, '--filter', 'label=com.docker.compose.oneoff=False')
    if (id === undefined) return null
    const [found] = JSON.parse(await this.docker('inspect', id)) as { Image: string, RestartCount: number, Config: { Image: string, Env: string[], Labels: Record<string, string> }, State: { Status: string, StartedAt: string } }[]
    if (found === undefined) return null
    const { Image, RestartCount, Config, State } = found
    return { id, imageId: Image, image: Config.Image, directory: Config.Labels['com.docker.compose.project.working_dir'] ?? this.directory, startedAt: State.StartedAt, restarts: RestartCount, state: State.Status, keepsRelay: Config.Env.includes('TURNPIKE_RELAY_ON_STOP=keep') }
  }

  async coturns (): Promise<string[]> {
    return await this.#ids('ps', '-aq', '--filter', `label=${COMPOSE_PROJECT}=${this.name()}`, '--filter', `label=${LABELS.relay}`)
  }

  /** What is there of it: `container 3f…`, `volume compose_data`. */
  async remains (withVolumes: boolean): Promise<string[]> {
    const of = ['--filter', `label=${COMPOSE_PROJECT}=${this.name()}`]
    const kinds: [string, string[]][] = [['container', ['ps', '-aq', ...of]], ['network', ['network', 'ls', '-q', ...of]], ...(withVolumes ? [['volume', ['volume', 'ls', '-q', ...of]] as [string, string[]]] : [])]
    const found = await Promise.all(kinds.map(async ([kind, args]) => (await this.#ids(...args)).map(id => `${kind} ${id}`)))
    return found.flat()
  }

  /** Ours of every version: of the same name as the one given, and labelled as ours. */
  async images (image: string): Promise<string[]> {
    return [...new Set(await this.#ids('image', 'ls', repositoryOf(image), '--filter', `label=${TITLE}`, '--format', '{{.Repository}}:{{.Tag}}'))]
  }

  async #ids (...args: string[]): Promise<string[]> {
    return (await this.docker(...args)).split('\n').filter(line => line !== '')
  }
}

/** `turnpike` of `turnpike:0.4.0`. */
export function repositoryOf (image: string): string {
  return image.replace(/:[^:/]*$/, '')
}
