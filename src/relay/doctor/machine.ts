/** What the machine gives the relay: socket buffers, tracked connections, open files, ports, disk and memory. */
import { finding, type Finding } from '../../protocol/findings.ts'
import { conntrackSetting, kernelFileOf, socketBufferSettings, sysctlLines, type KernelSetting } from '../../protocol/kernel-settings.ts'
import type { DoctorSubject, DoctorWorld } from './subject.ts'

type ReadFile = DoctorWorld['readFile']

const MIB = 2 ** 20
const LEAST_PORTS = 200
const FILES_PER_ALLOCATION = 2
/** Listeners, log, database, command line. */
const RESERVED_FILES = 100
const CONNTRACK_WARNED = 0.8
const CONNTRACK_FAILED = 0.95
const DISK = { warnedBytes: 1000 * MIB, warnedShare: 0.05, failedBytes: 100 * MIB }
const MEMORY = { warnedShare: 0.1, failedShare: 0.03 }

export function examineSocketBuffers (readFile: ReadFile): Finding[] {
  const about = 'machine, socket buffers'
  const read = socketBufferSettings().map(setting => ({ ...setting, now: numberIn(readFile, kernelFileOf(setting.name)) }))
  if (read.some(({ now }) => now === null)) return [finding('socket-buffers', about, 'unknown', 'net.core.rmem_max and net.core.wmem_max are not to be read here (in a container they are not).', `Look at the machine itself: sysctl ${read.map(({ name }) => name).join(' ')}; at least 2097152 are needed.`)]
  const small = read.filter(({ now, value }) => (now ?? 0) < value)
  if (small.length === 0) return [finding('socket-buffers', about, 'ok', `${read.map(({ name, now }) => `${name} is ${now}`).join(', ')}.`)]
  return [finding('socket-buffers', about, 'warning', `${small.map(({ name, now, value }) => `${name} is ${now}, below ${value}`).join('; ')}.`, sysctlCure(small))]
}

/** For all relay ports of the machine together. */
export function examineConntrack (readFile: ReadFile, ports: number): Finding[] {
  const about = 'machine, connection tracking'
  const wanted = conntrackSetting(ports)
  const most = numberIn(readFile, kernelFileOf(wanted.name))
  if (most === null) return [finding('conntrack', about, 'ok', 'The kernel tracks no connections here.')]
  const count = numberIn(readFile, kernelFileOf('net.netfilter.nf_conntrack_count')) ?? 0
  const what = `${count} of ${most} connections are in the table; ${ports} relay ports may need ${wanted.value}.`
  const cure = sysctlCure([{ name: wanted.name, value: Math.max(wanted.value, count * 2) }])
  if (count >= most * CONNTRACK_FAILED) return [finding('conntrack', about, 'failed', what, cure)]
  if (count >= most * CONNTRACK_WARNED || most < wanted.value) return [finding('conntrack', about, 'warning', what, cure)]
  return [finding('conntrack', about, 'ok', what)]
}

export function examineOpenFiles ({ id, driver, pid, minPort, maxPort }: DoctorSubject, readFile: ReadFile): Finding[] {
  const about = `relay ${id}, open files`
  if (driver === 'external' || driver === 'none') return []
  // coturn that is a child of ours may have what we may have, and raises its limit to that.
  const limits = readOr(readFile, `/proc/${pid ?? 'self'}/limits`)
  if (limits === null || (pid === null && driver === 'docker')) return [finding('open-files', about, 'unknown', 'The limit of coturn is not to be seen from here.', 'Look on the machine: grep "open files" /proc/$(pidof turnserver)/limits')]
  const [, soft = '', hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? []
  const limit = pid === null ? hard : soft
  const most = limit === 'unlimited' ? Infinity : Number(limit)
  const ports = maxPort - minPort + 1
  const needed = ports * FILES_PER_ALLOCATION + RESERVED_FILES
  if (most >= needed) return [finding('open-files', about, 'ok', `coturn may open ${limit} files; its ${ports} ports need ${needed}.`)]
  return [finding('open-files', about, 'warning', `coturn may open ${limit} files, which is enough for ${Math.max(0, Math.floor((most - RESERVED_FILES) / FILES_PER_ALLOCATION))} allocations; its ${ports} ports need ${needed}.`, driver === 'docker'
    ? `Raise it for containers: "default-ulimits": {"nofile": {"Name": "nofile", "Soft": ${needed}, "Hard": ${needed}}} in /etc/docker/daemon.json; or open fewer ports (TURNPIKE_RELAY_MAX_PORT).`
    : `Raise it where Turnpike is started: LimitNOFILE=${needed} in its systemd unit, or ulimit -n ${needed}; or open fewer ports (TURNPIKE_RELAY_MAX_PORT).`)]
}

export function examinePortRange ({ id, driver, minPort, maxPort }: DoctorSubject): Finding[] {
  const about = `relay ${id}, ports`
  if (driver === 'external') return []
  const ports = maxPort - minPort + 1
  // With compose/bridge.yaml it is not so: there each has a proxy process, which is why there are few.
  const cost = driver === 'docker' ? ' In a container with the network of the machine they cost nothing.' : ''
  if (ports >= LEAST_PORTS) return [finding('port-range', about, 'ok', `${ports} ports, ${minPort} to ${maxPort}: so many allocations at a time.${cost}`)]
  return [finding('port-range', about, 'warning', `${ports} ports, ${minPort} to ${maxPort}: one call commonly takes 2 to 6.${cost}`, 'Set TURNPIKE_RELAY_MAX_PORT higher, or leave it unset; "turnpike size" tells what the machine carries. Open the ports in the firewall too.')]
}

export async function examineDisk (dataDir: string, space: DoctorWorld['space']): Promise<Finding[]> {
  const { freeBytes, totalBytes } = await space(dataDir)
  const share = totalBytes === 0 ? 0 : freeBytes / totalBytes
  const what = `${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} are free (${percent(share)}) where ${dataDir} is.`
  const cure = 'Free some space there, or move TURNPIKE_DATA_DIR to a larger disk.'
  if (freeBytes < DISK.failedBytes) return [finding('disk', 'machine, disk', 'failed', what, cure)]
  if (freeBytes < DISK.warnedBytes || share < DISK.warnedShare) return [finding('disk', 'machine, disk', 'warning', what, cure)]
  return [finding('disk', 'machine, disk', 'ok', what)]
}

export function examineMemory (readFile: ReadFile): Finding[] {
  const about = 'machine, memory'
  const text = readOr(readFile, '/proc/meminfo') ?? ''
  const bytesOf = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? NaN) * 1024
  const total = bytesOf('MemTotal')
  const free = bytesOf('MemAvailable')
  if (Number.isNaN(total) || Number.isNaN(free)) return [finding('memory', about, 'unknown', 'How much is free cannot be read here.')]
  const what = `${mebibytes(free)} of ${mebibytes(total)} are free (${percent(free / total)}).`
  const cure = 'End what else runs here, give the machine more memory, or open fewer relay ports (TURNPIKE_RELAY_MAX_PORT).'
  if (free / total < MEMORY.failedShare) return [finding('memory', about, 'failed', what, cure)]
  return [finding('memory', about, free / total < MEMORY.warnedShare ? 'warning' : 'ok', what, free / total < MEMORY.warnedShare ? cure : null)]
}

function sysctlCure (settings: readonly KernelSetting[]): string {
  const { now, lasting } = sysctlLines(settings)
  return `As root: ${now}; and to keep it over a restart of the machine: ${lasting}`
}

function readOr (readFile: ReadFile, path: string): string | null {
  try {
    return readFile(path)
  } catch {
    return null
  }
}

function numberIn (readFile: ReadFile, path: string): number | null {
  const text = readOr(readFile, path)?.trim() ?? ''
  return /^\d+$/.test(text) ? Number(text) : null
}

function mebibytes (amount: number): string {
  return `${Math.floor(amount / MIB)} MiB`
}

function percent (share: number): string {
  return `${Math.floor(share * 100)} %`
}
