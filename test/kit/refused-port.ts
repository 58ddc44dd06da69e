/** A port of loopback that is refused for a while, and what was connected to it cut off, by the kernel itself: nftables and `ss -K`. */
import { execFileSync } from 'node:child_process'
import { whenDone } from './cleanup.ts'

/** Returns how to let them through again; done with the test at the latest. */
export function refusePort (host: string, port: number): () => void {
  const table = `turnpike_test_${process.pid}_${port}`
  const nft = (rules: string): void => { execFileSync('nft', ['-f', '-'], { input: rules, stdio: ['pipe', 'ignore', 'pipe'] }) }
  nft(`table ip ${table} {\n chain refused {\n type filter hook output priority 0;\n ip daddr ${host} tcp dport ${port} reject with tcp reset\n }\n}\n`)
  let isRefused = true
  const allow = (): void => {
    if (isRefused) nft(`delete table ip ${table}\n`)
    isRefused = false
  }
  whenDone(allow)
  // Both ends: the word of one to the other would be refused too.
  for (const end of [['src', host, 'sport'], ['dst', host, 'dport']]) execFileSync('ss', ['-K', '-t', ...end, '=', String(port)], { stdio: 'ignore' })
  return allow
}
