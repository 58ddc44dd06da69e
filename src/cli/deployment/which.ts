/** Which deployment this machine has, or can have. */
import { existsSync } from 'node:fs'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Deployment } from './deployment.ts'
import type { Programs } from './programs.ts'

export type Known = { programs: Pick<Programs, 'ask'>, compose: Deployment, systemd: Deployment }

/** The one that is here; null where there is none. */
export async function findDeployment ({ programs, compose, systemd }: Known): Promise<Deployment | null> {
  if (await systemd.isThere()) return systemd
  return await whyNoCompose(programs) === null && await compose.isThere() ? compose : null
}

/** The one that is here, else the one that this machine can have. Throws not-deployable. */
export async function chooseDeployment (known: Known): Promise<Deployment> {
  const found = await findDeployment(known)
  if (found !== null) return found
  const noCompose = await whyNoCompose(known.programs)
  if (noCompose === null) return known.compose
  const noSystemd = whyNoSystemd()
  if (noSystemd === null) return known.systemd
  throw new TurnpikeError('not-deployable', `${noCompose}; ${noSystemd}`)
}

async function whyNoCompose ({ ask }: Pick<Programs, 'ask'>): Promise<string | null> {
  const engine = await ask('docker', ['version', '--format', '{{.Server.Version}}'])
  if (engine.code !== 0) return `no Docker engine answers (${engine.err.trim()})`
  const compose = await ask('docker', ['compose', 'version', '--short'])
  return compose.code === 0 ? null : 'Docker is here without its plugin compose'
}

function whyNoSystemd (): string | null {
  if (!existsSync('/run/systemd/system')) return 'systemd does not run this machine'
  return process.getuid?.() === 0 ? null : 'this is not root'
}
