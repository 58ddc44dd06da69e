/** The steps of an upgrade by systemd: another release beside the one that runs, and the link put over to it. */
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Deployment, Upgrading } from './deployment.ts'
import type { Programs } from './programs.ts'

const CURRENT = '/opt/turnpike/current'
const PREVIOUS = '/opt/turnpike/previous'
/** Of root alone: a backup is this server. */
const BACKUPS = '/var/backups/turnpike'

export type SystemdUpgradingNeeds = { programs: Programs, install: string, turnpike: Deployment['turnpike'] }

export function systemdUpgrading ({ programs, install, turnpike }: SystemdUpgradingNeeds): Upgrading {
  let before: string | null = null
  let after: string | null = null
  return {
    name: () => 'upgrade-systemd',
    prepare: async () => {
      if (!existsSync(CURRENT)) throw new TurnpikeError('deployment-missing', `there is no ${CURRENT}`)
      before = readlinkSync(CURRENT)
      // Its last line says where the release is.
      after = (await programs.output(install, ['release'])).split('\n').at(-1) ?? ''
      return after === before ? 'runs already' : 'brought'
    },
    whyCallsEnd: async () => null,
    backups: BACKUPS,
    backUp: async name => {
      mkdirSync(BACKUPS, { recursive: true, mode: 0o700 })
      const { code, err } = await turnpike(['backup', `${BACKUPS}/${name}`])
      if (code !== 0) throw new TurnpikeError('deployment-failed', `the database could not be backed up: ${err.trim()}`)
    },
    listBackups: async () => readdirSync(BACKUPS),
    deleteBackups: async names => { for (const name of names) rmSync(`${BACKUPS}/${name}`, { force: true }) },
    switchOver: async () => { await programs.show(install, ['switch', after ?? '']) },
    rollBack: async backup => { await programs.show(install, ['switch', before ?? '', `${BACKUPS}/${backup}`]) },
    byHand: backup => ['systemctl stop turnpike', `turnpike restore ${BACKUPS}/${backup}`, 'systemctl start turnpike'],
    keep: async () => {
      // One is kept to go back to by hand, and no more.
      const older = existsSync(PREVIOUS) ? readlinkSync(PREVIOUS) : null
      await programs.output('ln', ['-sfn', before ?? '', PREVIOUS])
      if (older !== null && older !== before && older !== after) rmSync(older, { recursive: true, force: true })
    },
  }
}
