/** The table of README.md that says which ports to open, and the firewall of somebody who has done that. */
import { readFileSync } from 'node:fs'
import type { Vps } from './vps.ts'

export type Row = {
  /** As the table has them. */
  ports: string
  /** Such as `tcp 443`; of a range, `udp 49160+`. */
  opens: string[]
  /** Is it for this machine alone, in compose? */
  isLocalInCompose: boolean
}
export type Table = { rows: Row[], /** What is not to be opened, because it listens on loopback. */ closed: number[] }

/** Throws where it is written in another way than it is read here. */
export function firewallTable (): Table {
  const [, section = ''] = /^## Ports to open$(.*?)^## /ms.exec(readFileSync('README.md', 'utf8')) ?? []
  const lines = section.split('\n').filter(line => line.startsWith('|')).slice(2)
  const rows = lines.map(line => {
    const [, ports = '', protocols = '', purpose = ''] = line.split('|').map(cell => cell.trim())
    const range = ports.startsWith('from ') ? '+' : ''
    const numbers = [...ports.matchAll(/\d+/g)].map(([number]) => `${number}${range}`)
    const names = protocols.toLowerCase().split(' and ')
    if (numbers.length === 0 || !names.every(name => name === 'tcp' || name === 'udp')) throw new Error(line)
    return { ports, opens: names.flatMap(name => numbers.map(number => `${name} ${number}`)), isLocalInCompose: purpose.includes('on loopback alone') }
  })
  const [, sentence = ''] = /^Not to be opened: (.*)They listen on loopback\.$/m.exec(section) ?? []
  const closed = [...sentence.matchAll(/\d+/g)].map(([number]) => Number(number))
  if (rows.length === 0 || closed.length === 0) throw new Error(section)
  return { rows, closed }
}

/** Lets in from outside what answers somebody on this machine, and what is opened; whoever knocks elsewhere is told at once that it is closed. */
export function openOnly (vps: Vps, opens: readonly string[]): void {
  const accepts = opens.map(open => {
    const [protocol = '', port = ''] = open.split(' ')
    return `${protocol} dport ${port.endsWith('+') ? `${port.slice(0, -1)}-65535` : port} accept`
  })
  vps.exec('nft', `add table inet firewall; delete table inet firewall; table inet firewall { chain input { type filter hook input priority 0; policy drop; iifname lo accept; ct state established,related accept; ${accepts.join('; ')}; meta l4proto tcp reject with tcp reset; reject; }; }`)
}

/** What listens, such as `tcp 443`: to the world, or on loopback alone. */
export function listeners (vps: Vps): { world: string[], local: string[] } {
  const all = vps.exec('ss', '-Htuln').trim().split('\n').map(line => {
    const [protocol = '', , , , address = ''] = line.split(/\s+/)
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? []
    return { name: `${protocol} ${port}`, isLocal: /^(127\.|\[::1\])/.test(host) }
  })
  const names = (local: boolean): string[] => [...new Set(all.filter(({ isLocal }) => isLocal === local).map(({ name }) => name))].sort()
  const world = names(false)
  return { world, local: names(true).filter(name => !world.includes(name)) }
}
