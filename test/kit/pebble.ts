/** A certificate authority that speaks ACME (pebble), with a DNS of its own (pebble-challtestsrv), on loopback; both end with the test. */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { whenDone } from './cleanup.ts'
import { freePorts, scratchDirectory, selfMadeCertificate, until } from './files.ts'

export type Pebble = {
  /** Where the settings find it: the authority, by what it is trusted, and the port of http-01. */
  settings: Record<string, string>
  httpPort: number
  directory: string
  caFile: string
  /** The root of what it issues. */
  root (): Promise<string>
  /** Tells the DNS of the authority something. */
  dns (command: string, body: object): Promise<void>
  /** Address of that DNS' management, for a hook that is a program. */
  dnsUrl: string
}
export const REFUSED_NAME = 'refused.test'

export async function startPebble ({ validitySeconds = 3600 }: { validitySeconds?: number } = {}): Promise<Pebble> {
  const directory = scratchDirectory()
  const [port = 0, management = 0, dns = 0, dnsManagement = 0, httpPort = 0, tlsPort = 0] = await freePorts(6)
  const { cert, key } = selfMadeCertificate(directory)
  const config = { pebble: { listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${management}`, certificate: cert, privateKey: key, httpPort, tlsPort, ocspResponderURL: '', externalAccountBindingRequired: false, domainBlocklist: [REFUSED_NAME], certificateValidityPeriod: validitySeconds } }
  writeFileSync(`${directory}/pebble.json`, JSON.stringify(config))
  run('pebble-challtestsrv', ['-management', `127.0.0.1:${dnsManagement}`, '-dns01', `127.0.0.1:${dns}`, '-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv4', '127.0.0.1', '-defaultIPv6', ''])
  run('pebble', ['-config', `${directory}/pebble.json`, '-dnsserver', `127.0.0.1:${dns}`, '-strict'])
  const ca = readFileSync(cert, 'utf8')
  const url = `https://localhost:${port}/dir`
  const dnsUrl = `http://127.0.0.1:${dnsManagement}`
  await until('pebble answers', async () => await get(url, ca).then(() => true, () => false))
  await until('its DNS answers', async () => await fetch(`${dnsUrl}/clear-a`, { method: 'POST', body: '{"host":"none.test."}' }).then(() => true, () => false))
  return {
    settings: { TURNPIKE_ACME_DIRECTORY: url, TURNPIKE_ACME_CA_FILE: cert, TURNPIKE_ACME_HTTP_HOST: '127.0.0.1', TURNPIKE_ACME_HTTP_PORT: String(httpPort), TURNPIKE_ACME_RETRY_SECONDS: '1' },
    httpPort,
    directory: url,
    caFile: cert,
    root: async () => await get(`https://localhost:${management}/roots/0`, ca),
    dnsUrl,
    dns: async (command, body) => {
      const { ok } = await fetch(`${dnsUrl}/${command}`, { method: 'POST', body: JSON.stringify(body) })
      if (!ok) throw new Error(`${command} was refused`)
    },
  }
}

function run (program: string, args: string[]): void {
  // Waiting before it looks is what it does to find impatient clients.
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, PEBBLE_VA_NOSLEEP: '1' } })
  child.on('error', () => {})
  whenDone(() => { child.kill('SIGKILL') })
}

async function get (url: string, ca: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    request(url, { ca }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).once('end', () => resolve(text))
    }).once('error', reject).end()
  })
}
