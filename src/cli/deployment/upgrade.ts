/** An upgrade: what is there is backed up, the new version put in its place with coturn left running, and where it is not well, the old one is put back. */
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Deployment, Say } from './deployment.ts'
import { findings, keyOf, whyNotReady } from './readiness.ts'
import { backupName, outdatedBackups } from './upgrade-backups.ts'

const READY_WITHIN_MS = 60_000

/** Throws upgrade-rolled-back where the old version is back, and deployment-failed where nothing was begun. */
export async function upgrade (deployment: Deployment, say: Say): Promise<void> {
  const { upgrading } = deployment
  say('bringing the new version; nothing changes yet')
  await upgrading.prepare()
  // What fails already is no reason to undo the upgrade.
  const failedBefore = await failures(deployment)
  const ending = await upgrading.whyCallsEnd()
  if (ending !== null) say(`note: ${ending}`)
  const backup = backupName(new Date())
  say(`backing up into ${upgrading.backups}/${backup}`)
  await upgrading.backUp(backup)
  await deleteOld(deployment, say)
  say('putting the new version in the place of the old one; coturn goes on relaying')
  const failure = await tried(deployment, failedBefore)
  if (failure === null) {
    await upgrading.keep()
    return
  }
  say(`the new version is not well: ${failure}\nputting the old one back, and the database as it was`)
  await upgrading.rollBack(backup)
  const still = await whyNotReady(deployment, READY_WITHIN_MS)
  throw new TurnpikeError('upgrade-rolled-back', `${failure}. ${still === null ? 'The version before serves again' : `The version before was started again, and is not ready either: ${still}`}`)
}

/** Those of earlier upgrades, and none that a person made. What cannot be deleted keeps nobody from upgrading. */
async function deleteOld ({ upgrading }: Deployment, say: Say): Promise<void> {
  try {
    const old = outdatedBackups(await upgrading.listBackups())
    if (old.length > 0) await upgrading.deleteBackups(old)
  } catch (error) {
    if (!(error instanceof TurnpikeError)) throw error
    say(`note: backups of earlier upgrades could not be deleted: ${error.message}`)
  }
}

async function tried (deployment: Deployment, failedBefore: ReadonlySet<string>): Promise<string | null> {
  try {
    await deployment.upgrading.switchOver()
  } catch (error) {
    if (!(error instanceof TurnpikeError)) throw error
    return error.message
  }
  const notReady = await whyNotReady(deployment, READY_WITHIN_MS)
  if (notReady !== null) return notReady
  const fresh = [...await failures(deployment)].filter(key => !failedBefore.has(key))
  return fresh.length === 0 ? null : `the doctor finds what was well before: ${fresh.join(', ')}`
}

async function failures (deployment: Deployment): Promise<Set<string>> {
  return new Set((await findings(deployment)).filter(({ result }) => result === 'failed').map(keyOf))
}
