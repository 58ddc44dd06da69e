/** Turnpike as a service of systemd, for machines without Docker: releases side by side under /opt/turnpike, and a link to the one that runs. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Deployment, Readiness } from './deployment.ts'
import { readEnvFile } from './env-file.ts'
import type { Ended, Programs } from './programs.ts'
import { systemdUpgrading } from './systemd-upgrading.ts'

export const PLACES = {
  unit: '/etc/systemd/system/turnpike.service',
  settings: '/etc/turnpike/turnpike.env',
  data: '/var/lib/turnpike',
  current: '/opt/turnpike/current',
  program: '/usr/local/bin/turnpike',
} as const
const UNIT = 'turnpike.service'
const ANSWER_WITHIN_MS = 3000
/** It is started again by systemd; more often than this is no start. */
const MOST_RESTARTS = 2

export type SystemdNeeds = { root: string, version: string, programs: Programs }

export function systemdDeployment (needs: SystemdNeeds): Deployment {
  const { root, programs } = needs
  const install = join(root, 'systemd/install.sh')
  // The one that is installed, as the operator calls it: it knows where its data is.
  const turnpike = async (args: readonly string[]): Promise<Ended> => await programs.ask(PLACES.program, args)
  const property = async (name: string): Promise<string> => (await programs.output('systemctl', ['show', '--property', name, '--value', UNIT]))
  return {
    kind: 'systemd',
    commandLine: 'turnpike',
    isThere: async () => existsSync(PLACES.unit),
    trace: () => null,
    // Of root alone; who is not root comes no further anyway.
    domain: () => (isReadable(PLACES.settings) ? readEnvFile(PLACES.settings)['TURNPIKE_DOMAIN'] || null : null),
    // The unit is all of it.
    troubles: async () => [],
    start: async ({ domain }) => {
      await programs.show(install, ['install', ...(domain === null ? [] : [domain])])
    },
    remember: async () => {},
    turnpike,
    readiness,
    hopeless: async () => {
      const [state, restarts] = [await property('ActiveState'), Number(await property('NRestarts'))]
      if (state !== 'failed' && restarts <= MOST_RESTARTS) return null
      const { out } = await programs.ask('journalctl', [`_SYSTEMD_UNIT=${UNIT}`, '--output', 'cat', '--lines', '12'])
      return `it ends again and again; its last words: ${out.trim()}`
    },
    summary: async () => {
      const since = await property('InvocationID')
      const { out } = await programs.ask('journalctl', [`_SYSTEMD_INVOCATION_ID=${since}`, '--output', 'cat'])
      // Its log is in JSON; what is left is what it said of itself.
      return `${out.split('\n').filter(line => !line.startsWith('{')).join('\n')}\n`
    },
    parts: async () => ({ version: versionOf(PLACES.current), text: (await programs.ask('systemctl', ['status', '--no-pager', '--lines', '0', UNIT])).out }),
    logs: async ({ follow, service }) => {
      if (service !== null && service !== 'turnpike' && service !== UNIT) throw new TurnpikeError('deployment-missing', `there is no log of ${service}: what coturn says goes through that of turnpike (turnpike logs)`)
      return await programs.handOver('journalctl', ['--unit', UNIT, '--output', 'cat', '--lines', '200', ...(follow ? ['--follow'] : [])])
    },
    uninstall: async ({ keepData }) => {
      await programs.show(install, ['uninstall', ...(keepData ? ['--keep-data'] : [])])
      return [...Object.values(PLACES), '/opt/turnpike'].filter(place => existsSync(place) && !(keepData && (place === PLACES.data || place === PLACES.settings)))
    },
    upgrading: systemdUpgrading({ ...needs, install, turnpike }),
  }
}

function isReadable (file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}

/** Throws deployment-failed where only root may know. */
function dataDirectory (): string {
  if (existsSync(PLACES.settings) && !isReadable(PLACES.settings)) throw new TurnpikeError('deployment-failed', `only root may read ${PLACES.settings}, and this is not root`)
  return readEnvFile(PLACES.settings)['TURNPIKE_DATA_DIR'] ?? PLACES.data
}

async function readiness (): Promise<Readiness | null> {
  const directory = dataDirectory()
  try {
    const { url } = JSON.parse(readFileSync(join(directory, 'control.json'), 'utf8')) as { url: string }
    return await (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })).json() as Readiness
  } catch {
    return null
  }
}

export function versionOf (release: string): string {
  try {
    return (JSON.parse(readFileSync(join(release, 'package.json'), 'utf8')) as { version: string }).version
  } catch {
    return 'none'
  }
}
