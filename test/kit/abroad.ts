/** What a VPS needs of the rest of the internet, on a machine of its own in the small one: DNS, in which every name leads to the VPS, and a certificate authority (pebble). */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { run } from './command.ts'
import { scratchDirectory, selfMadeCertificate, trustingHome, until } from './files.ts'
import { PUBLIC_IP, type Internet } from './namespaces.ts'

const ADDRESS = '203.0.113.53'

export type Abroad = {
  nameserver: string
  /** URL of the authority's ACME directory. */
  directory: string
  /** By what the authority itself is trusted. */
  caFile: string
  /** A home in which Chromium trusts what it issues. */
  home (): string
}

/** Runs when it resolves; ends with the test. */
export async function startAbroad (internet: Internet): Promise<Abroad> {
  const machine = internet.machine('abroad', ADDRESS)
  const directory = scratchDirectory()
  const { cert, key } = selfMadeCertificate(directory, [`IP:${ADDRESS}`])
  writeFileSync(`${directory}/pebble.json`, JSON.stringify({ pebble: { listenAddress: `${ADDRESS}:14000`, managementListenAddress: `${ADDRESS}:15000`, certificate: cert, privateKey: key, httpPort: 80, tlsPort: 443, ocspResponderURL: '', externalAccountBindingRequired: false, certificateValidityPeriod: 86_400 } }))
  const inside = (program: string, ...args: string[]): ReturnType<typeof run> => run('ip', ['netns', 'exec', machine, program, ...args], { PEBBLE_VA_NOSLEEP: '1' })
  const started = [
    inside('pebble-challtestsrv', '-management', '127.0.0.1:8055', '-dns01', `${ADDRESS}:53`, '-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv4', PUBLIC_IP, '-defaultIPv6', ''),
    inside('pebble', '-config', `${directory}/pebble.json`, '-dnsserver', `${ADDRESS}:53`, '-strict'),
  ]
  const ask = (program: string, ...args: string[]): string => execFileSync('ip', ['netns', 'exec', machine, program, ...args], { encoding: 'utf8' })
  await until('authority and DNS listen', () => {
    for (const { child, all } of started) if (child.exitCode !== null) throw new Error(all())
    const listening = ask('ss', '-Hltun')
    return [':53', ':14000', ':15000'].every(port => listening.includes(`${ADDRESS}${port} `))
  })
  return {
    nameserver: ADDRESS,
    directory: `https://${ADDRESS}:14000/dir`,
    caFile: cert,
    home: () => {
      writeFileSync(`${directory}/root.pem`, ask('curl', '-fsS', '--cacert', cert, `https://${ADDRESS}:15000/roots/0`))
      return trustingHome(directory, `${directory}/root.pem`)
    },
  }
}
