/** Turnpike under Docker Compose, out of the compose file beside this program. */
import { rmSync } from 'node:fs'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { ComposeProject } from './compose-project.ts'
import { composeUpgrading, writeDeployed } from './compose-upgrading.ts'
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
  return {
    kind: 'Docker Compose',
    commandLine: 'docker compose -f compose/compose.yaml exec turnpike turnpike',
    isThere: async () => await project.serving() !== null || (await project.remains(true)).length > 0,
    start: async wishes => await start(project, wishes),
    turnpike,
    readiness: async () => readinessIn((await project.ask('exec', '-T', 'turnpike', 'node', '-e', ASK_READINESS)).out),
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

async function start (project: ComposeProject, wishes: Wishes): Promise<void> {
  setInEnvFile(project.envFile, wantedSettings(readEnvFile(project.envFile), wishes))
  await project.show('build')
  // Never with --remove-orphans: coturn's container is one.
  await project.show('up', '--detach', '--no-build')
  await writeDeployed(project)
}

/** What cannot be defaulted. Without a name of its own a machine has no certificate, and keys would pass in the clear: HTTP stays on it. */
export function wantedSettings (have: Readonly<Record<string, string>>, { domain, profile }: Wishes): Record<string, string> {
  const known = domain ?? have['TURNPIKE_DOMAIN'] ?? ON_THIS_MACHINE
  return {
    TURNPIKE_DOMAIN: known,
    ...(known === ON_THIS_MACHINE ? { TURNPIKE_HTTP_HOST: have['TURNPIKE_HTTP_HOST'] ?? '127.0.0.1' } : {}),
    // An upgrade leaves calls alone; what ends everything is uninstall.
    TURNPIKE_RELAY_ON_STOP: have['TURNPIKE_RELAY_ON_STOP'] ?? 'keep',
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
  await project.ask('stop', '--timeout', STOP_SECONDS, 'turnpike')
  for (const coturn of await project.coturns()) await project.docker('rm', '--force', '--volumes', coturn)
  // Also what runs of profiles that are not chosen now.
  await project.show('--profile', '*', 'down', '--remove-orphans', '--timeout', STOP_SECONDS, ...(keepData ? [] : ['--volumes']))
  const images = serving === null ? [] : await project.images(serving.image)
  for (const image of images) await project.programs.ask('docker', ['image', 'rm', image])
  rmSync(project.deployedFile, { force: true })
  if (!keepData) rmSync(project.envFile, { force: true })
  return [...await project.remains(!keepData), ...(serving === null ? [] : (await project.images(serving.image)).map(image => `image ${image}`))]
}
