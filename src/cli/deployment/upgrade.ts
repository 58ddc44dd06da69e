/** An upgrade: what is there is backed up, the new version put in its place with coturn left running, and where it is not well, the old one is put back. */
import { setTimeout as wait } from 'node:timers/promises'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { Deployment, Say } from './deployment.ts'
import { findings, keyOf, whyNotReady } from './readiness.ts'
import { oneAtATime, undisturbed } from './undisturbed.ts'
import { backupName, outdatedBackups } from './upgrade-backups.ts'

const READY_WITHIN_MS = 60_000
/** A check that fails is asked for again: what passes by itself is no reason to undo anything. */
const LOOKS = 3
const LOOK_AGAIN_MS = 5000

type Checks = ReadonlyMap<string, string>

/** False where this version runs already. Throws upgrade-rolled-back where the old version is back, rollback-failed where it is not whole, deployment-failed where nothing was begun. */
export async function upgrade (deployment: Deployment, say: Say, lookAgainMs = LOOK_AGAIN_MS): Promise<boolean> {
  const { upgrading } = deployment
  return await oneAtATime(upgrading.name(), async () => {
    say('bringing the new version; nothing changes yet')
    if (await upgrading.prepare() === 'runs already') return false
    // What fails already is no reason to undo the upgrade, and neither is what the old version does not look at.
    const before = await checks(deployment)
    const ending = await upgrading.whyCallsEnd()
    if (ending !== null) say(`note: ${ending}`)
    await undisturbed(say, async () => await replace(deployment, { before, lookAgainMs, say }))
    return true
  })
}

async function replace (deployment: Deployment, { before, lookAgainMs, say }: { before: Checks, lookAgainMs: number, say: Say }): Promise<void> {
  const { upgrading } = deployment
  const backup = backupName(new Date())
  say(`backing up into ${upgrading.backups}/${backup}`)
  await upgrading.backUp(backup)
  await deleteOld(deployment, say)
  say('putting the new version in the place of the old one; coturn goes on relaying')
  const failure = await whyItFailed(async () => await tried(deployment, { before, lookAgainMs, say }))
  if (failure === null) {
    const unkept = await whyItFailed(async () => { await upgrading.keep() })
    if (unkept !== null) say(`note: the new version serves; what the next upgrade would go back to could not be written down: ${unkept}`)
    return
  }
  say(`the new version is not well: ${failure}\nputting the old one back, and the database as it was`)
  const trouble = await whyItFailed(async () => { await upgrading.rollBack(backup) })
  const still = await whyItFailed(async () => await whyNotReady(deployment, READY_WITHIN_MS))
  if (trouble !== null) throw new TurnpikeError('rollback-failed', `${failure}. Putting the old one back failed too: ${trouble}. ${still === null ? 'It serves, but not with the database as it was' : `It does not serve: ${still}`}. The database as it was is in ${upgrading.backups}/${backup}, and comes back with:\n${upgrading.byHand(backup).map(line => `    ${line}`).join('\n')}`)
  throw new TurnpikeError('upgrade-rolled-back', `${failure}. ${still === null ? 'The version before serves again' : `The version before was started again, and is not ready either: ${still}`}`)
}

/** Those of earlier upgrades, and none that a person made. What cannot be deleted keeps nobody from upgrading. */
async function deleteOld ({ upgrading }: Deployment, say: Say): Promise<void> {
  const undeleted = await whyItFailed(async () => {
    const old = outdatedBackups(await upgrading.listBackups())
    if (old.length > 0) await upgrading.deleteBackups(old)
  })
  if (undeleted !== null) say(`note: backups of earlier upgrades could not be deleted: ${undeleted}`)
}

/** Why the new version is to be undone; null where it is not. */
async function tried (deployment: Deployment, { before, lookAgainMs, say }: { before: Checks, lookAgainMs: number, say: Say }): Promise<string | null> {
  await deployment.upgrading.switchOver()
  const notReady = await whyNotReady(deployment, READY_WITHIN_MS)
  if (notReady !== null) return notReady
  let worse: string[] = []
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await wait(lookAgainMs)
    const failed = [...await checks(deployment)].filter(([, result]) => result === 'failed').map(([key]) => key)
    const unknown = failed.filter(key => !before.has(key))
    if (look === 0 && unknown.length > 0) say(`note: the doctor finds what it did not look at before: ${unknown.join(', ')}`)
    worse = failed.filter(key => before.has(key) && before.get(key) !== 'failed')
    if (worse.length === 0) return null
  }
  return `the doctor finds what was well before: ${worse.join(', ')}`
}

async function checks (deployment: Deployment): Promise<Checks> {
  return new Map((await findings(deployment)).map(finding => [keyOf(finding), finding.result]))
}

/** What it answers, or what it threw, in words: after the switch nothing may end an upgrade but its own end. */
async function whyItFailed (work: () => Promise<string | null | void>): Promise<string | null> {
  try {
    return await work() ?? null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
