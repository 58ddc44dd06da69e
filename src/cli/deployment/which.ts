/** Which deployment this machine has, or can have. */
import { existsSync } from 'node:fs'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Deployment } from './deployment.ts'
import type { Programs } from './programs.ts'

/** The first that knows an env_file that need not be there. */
const OLDEST_COMPOSE = [2, 24] as const

export type Known = { programs: Pick<Programs, 'ask'>, compose: Deployment, systemd: Deployment }

/** The one that is here; null where there is none. Throws not-deployable where one is that cannot be asked now: nothing else may take its place. */
export async function findDeployment ({ programs, compose, systemd }: Known): Promise<Deployment | null> {
  if (await systemd.isThere()) return systemd
  const noCompose = await whyNoCompose(programs)
  if (noCompose === null) return await compose.isThere() ? compose : null
  const trace = compose.trace()
  if (trace !== null) throw new TurnpikeError('not-deployable', `Turnpike runs here with Docker Compose (${trace} says so), and that cannot be asked: ${noCompose}`)
  return null
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

/** Null where there is nothing in its way. */
export async function whyNoCompose ({ ask }: Pick<Programs, 'ask'>): Promise<string | null> {
  const engine = await ask('docker', ['version', '--format', '{{.Server.Version}}'])
  if (engine.code !== 0) return `no Docker engine answers (${engine.err.trim()})`
  const compose = await ask('docker', ['compose', 'version', '--short'])
  if (compose.code !== 0) return 'Docker is here without its plugin compose'
  const [major = 0, minor = 0] = compose.out.trim().replace(/^v/, '').split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST_COMPOSE
  const isOld = major < oldestMajor || (major === oldestMajor && minor < oldestMinor)
  return isOld ? `Docker's plugin compose is ${compose.out.trim()}; ${OLDEST_COMPOSE.join('.')} or newer reads our file` : null
}

function whyNoSystemd (): string | null {
  if (!existsSync('/run/systemd/system')) return 'systemd does not run this machine'
  return process.getuid?.() === 0 ? null : 'this is not root'
}
