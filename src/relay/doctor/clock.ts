/** Is the clock right, and does the relay's agree with it? */
import { finding, type Finding } from '../../protocol/findings.ts'
import type { RelayCheck } from '../driver.ts'
import type { DoctorWorld } from './subject.ts'

type Needs = Pick<DoctorWorld, 'timeServers' | 'askTime' | 'readFile' | 'timeoutMs'>

/** From here on, credentials hold noticeably longer or shorter than they say. */
const WARNED_SECONDS = 5
/** Half of what the shortest usual credentials live. */
const FAILED_SECONDS = 60
const SYNCHRONISED_FILE = '/run/systemd/timesync/synchronized'
const SET_CLOCK = 'Have the clock set by a time server: timedatectl set-ntp true.'

/** By the first time server that answers; else by what systemd says. */
export async function examineClock ({ timeServers, askTime, readFile, timeoutMs }: Needs): Promise<Finding[]> {
  const about = 'machine, clock'
  const offset = await Promise.any(timeServers.map(async server => ({ server, seconds: await askTime(server, timeoutMs) }))).catch(() => null)
  if (offset !== null) {
    const off = Math.abs(offset.seconds)
    const what = `It is ${off < 1 ? 'within a second of' : `${Math.round(off)} s ${offset.seconds > 0 ? 'behind' : 'ahead of'}`} that of ${offset.server}.`
    return [finding('clock', about, off > FAILED_SECONDS ? 'failed' : off > WARNED_SECONDS ? 'warning' : 'ok', what, off > WARNED_SECONDS ? SET_CLOCK : null)]
  }
  try {
    readFile(SYNCHRONISED_FILE)
    return [finding('clock', about, 'ok', 'systemd-timesyncd says that it is synchronised.')]
  } catch {
    return [finding('clock', about, 'unknown', timeServers.length === 0 ? 'No time server was to be asked.' : `No time server answered (${timeServers.join(', ')}).`, 'See "timedatectl" for whether the clock is synchronised.')]
  }
}

/** What the last probe saw of the relay's clock; nothing where it did not look. */
export function examineRelayClock (id: string, checks: readonly RelayCheck[]): Finding[] {
  const check = checks.find(({ check: name }) => name === 'clock')
  if (check === undefined || check.result === 'left-out') return []
  const isOff = check.result === 'failed'
  return [finding('clock', `relay ${id}, clock`, isOff ? 'failed' : 'ok', `Against ours: ${check.detail}.`, isOff ? `${SET_CLOCK} On both machines, where the relay is another.` : null)]
}
