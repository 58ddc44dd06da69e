/** Installs Debian's coturn where a person has only asked for `npm start`: as root, with apt, after saying so. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Log } from '../lifecycle.ts'

const INSTALL_TIMEOUT_MS = 300_000

/** Can coturn be installed here by us? Otherwise the reason why not, as the end of a sentence. */
export function whyNotInstallable (): string | null {
  if (process.getuid?.() !== 0) return 'this is not root'
  if (!existsSync('/etc/debian_version') || !existsSync('/usr/bin/apt-get')) return 'this is not Debian or Ubuntu'
  return null
}

/** Installs the package coturn. Throws relay-program-missing with apt's last words where that fails. */
export function installCoturn (log: Log): void {
  log.info({}, 'coturn is not here: installing it with apt-get, because this is root on Debian or Ubuntu')
  // Debian starts its own coturn as a service, which would hold the relay port before ours is there.
  if (existsSync('/run/systemd/system')) spawnSync('systemctl', ['mask', '--now', 'coturn.service'], { stdio: 'ignore', timeout: 10_000 })
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const install = (): string | null => run(['install', '-y', '-qq', '--no-install-recommends', 'coturn'], env)
  // The package lists of a fresh machine are empty; those of a used one make the update unnecessary.
  const failure = install() === null ? null : run(['update', '-qq'], env) ?? install()
  if (failure !== null) throw new TurnpikeError('relay-program-missing', `apt-get could not install coturn: ${failure}`)
  log.info({}, 'coturn is installed; its own service stays off, Turnpike runs it')
}

function run (args: readonly string[], env: Record<string, string>): string | null {
  const { status, stderr, error } = spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: INSTALL_TIMEOUT_MS, encoding: 'utf8' })
  if (status === 0) return null
  return error?.message ?? (stderr.trim().split('\n').at(-1) || `exit code ${status}`)
}
