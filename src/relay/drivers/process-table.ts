/** Looks into /proc (Linux): which process is still the one that was started, which one runs on a given file, who holds a port. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** When a process was started, in clock ticks since boot (proc(5), stat field 22): with it, a pid that was given away again is told apart. Null where it has ended. */
export function startTicksOf (pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' || state === 'X' ? null : rest[18] ?? null
  } catch {
    return null
  }
}

/** The pids of processes that were started with `-c` and this file: not of somebody who looks at it. */
export function pidsConfiguredBy (file: string): number[] {
  return allPids().filter(pid => {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return args.some((arg, i) => arg === file && args[i - 1] === '-c')
    } catch {
      return false
    }
  })
}

/** The name and pid of the program that listens on a port, where it may be seen: "nginx (pid 812)". */
export function holderOfPort (port: number): string | null {
  const inodes = new Set(['tcp', 'tcp6', 'udp', 'udp6'].flatMap(table => inodesOn(table, port)))
  if (inodes.size === 0) return null
  for (const pid of allPids()) {
    if (holdsSocket(pid, inodes)) return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`
  }
  return null
}

function allPids (): number[] {
  try {
    return readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number)
  } catch {
    return []
  }
}

function inodesOn (table: string, port: number): string[] {
  try {
    const hex = port.toString(16).toUpperCase().padStart(4, '0')
    // 0A is LISTEN, 07 is what an open UDP socket shows.
    return readFileSync(`/proc/net/${table}`, 'utf8').split('\n').map(line => line.trim().split(/\s+/))
      .filter(columns => columns[1]?.endsWith(`:${hex}`) === true && (columns[3] === '0A' || columns[3] === '07'))
      .flatMap(columns => columns[9] ?? [])
  } catch {
    return []
  }
}

function holdsSocket (pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some(fd => {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? []
      return inode !== undefined && inodes.has(inode)
    })
  } catch {
    return false
  }
}
