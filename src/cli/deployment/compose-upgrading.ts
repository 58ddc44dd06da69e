/** The steps of an upgrade under Docker Compose: the image that runs is kept by a name of its own, and the compose file that it was started with in a file. */
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { NOBODY } from '../../protocol/coturn-container.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { repositoryOf, type ComposeProject, type OurContainer } from './compose-project.ts'
import type { Deployment, Upgrading } from './deployment.ts'
import { setInEnvFile, writePrivate } from './env-file.ts'
import { recordMounted } from './mounted-files.ts'

const BACKUPS = '/data/backups'
const WORDS = 1500
/** What operators have beside the compose file. */
const OWN_FILES = ['.env', 'compose.override.yaml', '.deployed.yaml']

export function composeUpgrading (project: ComposeProject, turnpike: Deployment['turnpike']): Upgrading {
  let before: OurContainer | null = null
  const known = (): OurContainer => {
    if (before === null) throw new TurnpikeError('deployment-missing', 'no container serves, so there is nothing to upgrade')
    return before
  }
  return {
    name: () => `upgrade-${project.name()}`,
    prepare: async () => {
      before = await project.serving()
      const { imageId, image, directory } = known()
      await refuseDataOfRoot(project, known())
      bringOwnFiles(directory, project.directory)
      const name = project.nameToKeep()
      if (name !== null) setInEnvFile(project.envFile, { COMPOSE_PROJECT_NAME: name })
      // It would be nameless, and soon gone, where the new one has the same name.
      await project.docker('tag', imageId, `${repositoryOf(image)}:before-upgrade`)
      await project.show('build')
      // What is only pulled, now: a registry that is away is no reason to undo anything later.
      await project.show('pull', '--ignore-buildable', '--policy', 'missing')
      return 'brought'
    },
    whyCallsEnd: async () => (known().keepsRelay ? null : 'calls end: this deployment was not started by turnpike up, and ends coturn with itself (TURNPIKE_RELAY_ON_STOP=keep in compose/.env, and a restart, change that)'),
    backups: `the volume of data: ${BACKUPS}`,
    backUp: async name => {
      await project.ask('exec', '-T', 'turnpike', 'mkdir', '-p', '-m', '700', BACKUPS)
      const { code, err } = await turnpike(['backup', `${BACKUPS}/${name}`])
      if (code !== 0) throw new TurnpikeError('deployment-failed', `the database could not be backed up: ${err.trim()}`)
    },
    listBackups: async () => (await inTurnpike(project, 'ls', '-1', BACKUPS)).split('\n'),
    deleteBackups: async names => { await inTurnpike(project, 'rm', '-f', ...names.map(name => `${BACKUPS}/${name}`)) },
    switchOver: async () => { await project.start() },
    rollBack: async backup => await rollBack(project, known(), backup),
    byHand: backup => {
      const compose = ['docker', ...project.args(...fileOf(project))].join(' ')
      return [`cd ${project.directory}`, `${compose} stop turnpike`, `${compose} run --rm --no-deps -T turnpike restore ${BACKUPS}/${backup}`, `${compose} up --detach --no-build`]
    },
    keep: async () => { await writeDeployed(project) },
  }
}

async function inTurnpike (project: ComposeProject, ...command: string[]): Promise<string> {
  return await project.docker(...project.args('exec', '-T', 'turnpike', ...command))
}

/** With everything put in: paths, variables, defaults. For its owner alone, because variables may be keys. */
export async function writeDeployed (project: ComposeProject): Promise<void> {
  writePrivate(project.deployedFile, `${await project.docker(...project.args('config'))}\n`)
  recordMounted(project.directory)
}

const fileOf = ({ deployedFile }: ComposeProject): string[] => (existsSync(deployedFile) ? ['--file', deployedFile] : [])

/** Versions up to 0.4.0 ran as root, and this one could not write what they left. */
async function refuseDataOfRoot (project: ComposeProject, { id, image, dataVolume, state }: OurContainer): Promise<void> {
  if (state !== 'running' || dataVolume === null) return
  const { code, out } = await project.programs.ask('docker', ['exec', id, 'stat', '-c', '%u', '/data'])
  if (code !== 0 || out.trim() === String(NOBODY)) return
  throw new TurnpikeError('deployment-failed', `its data belong to user ${out.trim()}, and this version runs as ${NOBODY}. Nothing has changed. Calls end with this once; then upgrades go on as they should:
    docker stop ${id.slice(0, 12)}
    docker run --rm --user 0 --entrypoint chown -v ${dataVolume}:/data ${image} -R ${NOBODY}:${NOBODY} /data
    node bin/turnpike.mjs up
 `.trimEnd())
}

async function rollBack (project: ComposeProject, { imageId, image }: OurContainer, backup: string): Promise<void> {
  const file = fileOf(project)
  const names = file.length > 0 ? [image] : [image, ...await builtImages(project)]
  const stopped = await project.ask('stop', '--timeout', '5', 'turnpike', 'guard')
  for (const name of new Set(names)) await project.docker('tag', imageId, name)
  // While the new one still writes, nothing is put back under it. What serves is started all the same.
  const restored = stopped.code === 0 ? await project.ask(...file, 'run', '--rm', '--no-deps', '-T', 'turnpike', 'restore', `${BACKUPS}/${backup}`) : stopped
  await project.show(...file, 'up', '--detach', '--no-build')
  if (restored.code !== 0) throw new TurnpikeError('deployment-failed', `the database could not be put back: ${restored.err.trim().slice(-WORDS)}`)
}

async function builtImages (project: ComposeProject): Promise<string[]> {
  const { services } = await project.file()
  return Object.values(services).flatMap(({ image, build }) => (build === undefined || image === undefined ? [] : [image]))
}

/** The new version may stand in a directory of its own. */
export function bringOwnFiles (from: string, to: string): void {
  if (from === to) return
  for (const name of OWN_FILES) {
    if (existsSync(join(from, name)) && !existsSync(join(to, name))) copyFileSync(join(from, name), join(to, name))
  }
}
