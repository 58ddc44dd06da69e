/** The steps of an upgrade under Docker Compose: the image that runs is kept by a name of its own, and the compose file that it was started with in a file. */
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { TurnpikeError } from '../../protocol/errors.ts'
import { repositoryOf, type ComposeProject, type OurContainer } from './compose-project.ts'
import type { Deployment, Upgrading } from './deployment.ts'
import { writePrivate } from './env-file.ts'

const BACKUPS = '/data/backups'
/** What operators have beside the compose file. */
const OWN_FILES = ['.env', 'compose.override.yaml', '.deployed.yaml']

export function composeUpgrading (project: ComposeProject, turnpike: Deployment['turnpike']): Upgrading {
  let before: OurContainer | null = null
  const known = (): OurContainer => {
    if (before === null) throw new TurnpikeError('deployment-missing', 'no container serves, so there is nothing to upgrade')
    return before
  }
  return {
    prepare: async () => {
      before = await project.serving()
      const { imageId, image, directory } = known()
      bringOwnFiles(directory, project.directory)
      // It would be nameless, and soon gone, where the new one has the same name.
      await project.docker('tag', imageId, `${repositoryOf(image)}:before-upgrade`)
      await project.show('build')
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
    switchOver: async () => { await project.show('up', '--detach', '--no-build') },
    rollBack: async backup => await rollBack(project, known(), backup),
    keep: async () => { await writeDeployed(project) },
  }
}

async function inTurnpike (project: ComposeProject, ...command: string[]): Promise<string> {
  return await project.docker(...project.args('exec', '-T', 'turnpike', ...command))
}

/** With everything put in: paths, variables, defaults. For its owner alone, because variables may be keys. */
export async function writeDeployed (project: ComposeProject): Promise<void> {
  writePrivate(project.deployedFile, `${await project.docker(...project.args('config'))}\n`)
}

async function rollBack (project: ComposeProject, { imageId, image }: OurContainer, backup: string): Promise<void> {
  const isKnown = existsSync(project.deployedFile)
  const names = isKnown ? [image] : [image, ...await builtImages(project)]
  await project.ask('stop', '--timeout', '5', 'turnpike', 'guard')
  for (const name of new Set(names)) await project.docker('tag', imageId, name)
  const file = isKnown ? ['--file', project.deployedFile] : []
  await project.show(...file, 'run', '--rm', '--no-deps', '-T', 'turnpike', 'restore', `${BACKUPS}/${backup}`)
  await project.show(...file, 'up', '--detach', '--no-build')
}

async function builtImages (project: ComposeProject): Promise<string[]> {
  const { services } = JSON.parse(await project.docker(...project.args('config', '--format', 'json'))) as { services: Record<string, { image?: string, build?: object }> }
  return Object.values(services).flatMap(({ image, build }) => (build === undefined || image === undefined ? [] : [image]))
}

/** The new version may stand in a directory of its own. */
function bringOwnFiles (from: string, to: string): void {
  if (from === to) return
  for (const name of OWN_FILES) {
    if (existsSync(join(from, name)) && !existsSync(join(to, name))) copyFileSync(join(from, name), join(to, name))
  }
}
