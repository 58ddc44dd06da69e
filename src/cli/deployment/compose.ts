/** Turnpike under Docker Compose, out of the compose file beside this program. */
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { TurnpikeError } from '../../protocol/errors.ts'
import { sameDirectory, type ComposeProject, type OurContainer } from './compose-project.ts'
import { bringOwnFiles, composeUpgrading, writeDeployed } from './compose-upgrading.ts'
import type { Deployment, Readiness, Wishes } from './deployment.ts'
import { readEnvFile, setInEnvFile } from './env-file.ts'

/** Asked inside the container, because only there it is sure to be reached. */
const ASK_READINESS = "fetch(JSON.parse(require('fs').readFileSync('/data/control.json')).url + '/readyz').then(async answer => console.log(await answer.text()))"
/** It is started again by the engine; more often than this is no start. */
const MOST_RESTARTS = 2
const ON_THIS_MACHINE = 'localhost'
const LAST_LINES = '12'
const STOP_SECONDS = '10'

export function composeDeployment (project: ComposeProject): Deployment {
  const turnpike: Deployment['turnpike'] = async args => await project.ask('exec', '-T', 'turnpike', 'turnpike', ...args)
  const readiness = async (): Promise<Readiness | null> => readinessIn((await project.ask('exec', '-T', 'turnpike', 'node', '-e', ASK_READINESS)).out)
  return {
    kind: 'Docker Compose',
    commandLine: 'docker compose -f compose/compose.yaml exec turnpike turnpike',
    isThere: async () => {
      await project.adopt()
      const { containers, volumes } = await project.parts()
      return containers.length + volumes.length > 0
    },
    domain: () => readEnvFile(project.envFile)['TURNPIKE_DOMAIN'] || null,
    troubles: async () => await troubles(project),
    trace: () => (existsSync(project.deployedFile) ? project.deployedFile : null),
    start: async wishes => await start(project, wishes, readiness),
    remember: async () => { await writeDeployed(project) },
    turnpike,
    readiness,
    hopeless: async () => await hopeless(project),
    summary: async () => {
      const serving = await project.serving()
      // Its log goes to standard error, so that what is left is what it said of itself.
      return serving === null ? '' : (await project.programs.ask('docker', ['logs', '--since', serving.startedAt, serving.id])).out
    },
    parts: async () => {
      const serving = await project.serving()
      const { out } = await project.ask('ps', '--all', '--format', 'table {{.Service}}\t{{.Image}}\t{{.Status}}')
      const coturns = await project.docker('ps', '--all', '--filter', `label=com.docker.compose.project=${project.name()}`, '--filter', 'label=io.turnpike.relay', '--format', 'coturn: {{.Names}} ({{.Image}}), {{.Status}}')
      return { version: serving?.image ?? 'none', text: `${out.trim()}\n${coturns}\n` }
    },
    logs: async wishes => await logs(project, wishes),
    uninstall: async ({ keepData }) => await uninstall(project, keepData),
    upgrading: composeUpgrading(project, turnpike),
  }
}

async function start (project: ComposeProject, wishes: Wishes, readiness: Deployment['readiness']): Promise<void> {
  const serving = await project.serving()
  if (serving !== null && !sameDirectory(serving.directory, project.directory)) {
    // Its settings are there; without them this would be another Turnpike in its place.
    if (serving.state === 'running') throw new TurnpikeError('deployment-failed', `the one that runs was started out of ${dirname(serving.directory)}: run up there, or upgrade here`)
    bringOwnFiles(serving.directory, project.directory)
  }
  const name = project.nameToKeep()
  setInEnvFile(project.envFile, { ...wantedSettings(readEnvFile(project.envFile), wishes), ...(name === null ? {} : { COMPOSE_PROJECT_NAME: name }) })
  await project.show('build')
  if (serving !== null) await refuseAnotherVersion(project, serving, readiness)
  await project.start()
}

/** Where nobody answers there is nothing to lose, and what was built may be the cure. */
async function refuseAnotherVersion (project: ComposeProject, serving: OurContainer, readiness: Deployment['readiness']): Promise<void> {
  const { services } = await project.file()
  const built = await project.programs.ask('docker', ['image', 'inspect', '--format', '{{.Id}}', services['turnpike']?.image ?? ''])
  if (built.code !== 0 || built.out.trim() === serving.imageId || await readiness() === null) return
  throw new TurnpikeError('deployment-failed', `${serving.image} runs, and the files here are of another version: node bin/turnpike.mjs upgrade puts it in its place, with a backup to go back to`)
}

/** What cannot be defaulted. Without a name of its own a machine has no certificate, and keys would pass in the clear: HTTP stays on it. */
export function wantedSettings (have: Readonly<Record<string, string>>, { domain, profile }: Wishes): Record<string, string> {
  const known = domain || have['TURNPIKE_DOMAIN'] || ON_THIS_MACHINE
  return {
    TURNPIKE_DOMAIN: known,
    ...(known === ON_THIS_MACHINE ? { TURNPIKE_HTTP_HOST: have['TURNPIKE_HTTP_HOST'] || '127.0.0.1' } : {}),
    // An upgrade leaves calls alone; what ends everything is uninstall.
    TURNPIKE_RELAY_ON_STOP: have['TURNPIKE_RELAY_ON_STOP'] || 'keep',
    ...(profile === null ? {} : { COMPOSE_PROFILES: profile }),
  }
}

function readinessIn (text: string): Readiness | null {
  try {
    return JSON.parse(text) as Readiness
  } catch {
    return null
  }
}

async function hopeless (project: ComposeProject): Promise<string | null> {
  const serving = await project.serving()
  if (serving === null) return 'there is no container that serves'
  if (serving.restarts <= MOST_RESTARTS && serving.state !== 'exited') return null
  const { err } = await project.programs.ask('docker', ['logs', '--tail', LAST_LINES, serving.id])
  return `it ends again and again; its last words: ${err.trim()}`
}

/** Every part that does not run, with its last words: that Turnpike is ready says nothing of the edge before it. */
async function troubles (project: ComposeProject): Promise<string[]> {
  const ailing = await project.ailing()
  return await Promise.all(ailing.map(async ({ id, service, how }) => {
    const { out, err } = await project.programs.ask('docker', ['logs', '--tail', LAST_LINES, id])
    return `${service}: ${how}; its last words: ${`${out}${err}`.trim()}`
  }))
}

async function logs (project: ComposeProject, { follow, service }: { follow: boolean, service: string | null }): Promise<number> {
  const more = ['--tail', '200', ...(follow ? ['--follow'] : [])]
  if (service !== 'coturn') return await project.programs.handOver('docker', project.args('logs', ...more, ...(service === null ? [] : [service])))
  const [coturn] = await project.coturns()
  if (coturn === undefined) throw new TurnpikeError('deployment-missing', 'no coturn runs in it')
  return await project.programs.handOver('docker', ['logs', ...more, coturn])
}

async function uninstall (project: ComposeProject, keepData: boolean): Promise<string[]> {
  const serving = await project.serving()
  // First, because it would start another coturn in the place of the one that is taken away.
  if (serving !== null) await project.programs.ask('docker', ['stop', '--time', STOP_SECONDS, serving.id])
  const { containers, volumes, networks, strangers } = await project.parts()
  if (strangers.length > 0) process.stderr.write(`turnpike: note: these have the name of our project too and are not ours; they stay: ${strangers.join(', ')}\n`)
  if (containers.length > 0) {
    await project.programs.ask('docker', ['stop', '--time', STOP_SECONDS, ...containers])
    await project.docker('rm', '--force', '--volumes', ...containers)
  }
  for (const network of networks) await project.programs.ask('docker', ['network', 'rm', network])
  if (!keepData) for (const volume of volumes) await project.programs.ask('docker', ['volume', 'rm', volume])
  const images = serving === null ? [] : await project.images(serving.image)
  for (const image of images) await project.programs.ask('docker', ['image', 'rm', image])
  // Of versions before, whose name another one has taken.
  await project.programs.ask('docker', ['image', 'prune', '--force', '--filter', 'label=org.opencontainers.image.title=Turnpike'])
  const directories = [project.directory, ...(serving === null ? [] : [serving.directory])]
  for (const directory of directories) {
    for (const name of ['.deployed.yaml', '.deployed.files.json', ...(keepData ? [] : ['.env'])]) rmSync(join(directory, name), { force: true })
  }
  const left = await project.parts()
  return [
    ...left.containers.map(id => `container ${id}`),
    ...left.networks.map(id => `network ${id}`),
    ...(keepData ? [] : await stillThere(project, [...new Set([...volumes, ...left.volumes])])).map(name => `volume ${name}`),
    ...(serving === null ? [] : await project.images(serving.image)).map(image => `image ${image}`),
  ]
}

async function stillThere (project: ComposeProject, volumes: string[]): Promise<string[]> {
  const asked = await Promise.all(volumes.map(async name => ({ name, code: (await project.programs.ask('docker', ['volume', 'inspect', name])).code })))
  return asked.filter(({ code }) => code === 0).map(({ name }) => name)
}
