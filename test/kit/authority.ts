/** Certificates by ACME through their own door, without the rest of the house; ended with the test. */
import { readFileSync } from 'node:fs'
import { createAcme, type Acme } from '../../src/acme/acme.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts'
import { Certificates } from '../../src/tls/certificates.ts'
import { loopbackSettings } from './app.ts'
import { whenDone } from './cleanup.ts'

export type TestAcme = Acme & { settings: Record<string, string>, certificates: Certificates, metrics: Metrics, log: string[], file: string }

export type AcmeWorld = {
  resolve?: (name: string) => Promise<readonly string[]>
  /** How far the clock is ahead. */
  aheadSeconds?: () => number
  env?: Record<string, string>
}

/** Made, not started. With the settings of an earlier one it is the next process. */
export async function makeAcme (more: Record<string, string>, { resolve = async () => ['127.0.0.1'], aheadSeconds = () => 0, env = {} }: AcmeWorld = {}): Promise<TestAcme> {
  const settings = { ...await loopbackSettings(), ...more }
  const { config, problems } = loadConfig({ env: settings, readFile: path => readFileSync(path, 'utf8') })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  const metrics = createMetrics()
  const lines: string[] = []
  const write = (fields: object, message: string): void => { lines.push(`${message} ${JSON.stringify(fields)}`) }
  const log = { debug: write, info: write, warn: write, error: write }
  const certificates = new Certificates({ files: config.certificate.files, checkSeconds: 3600, log, metrics })
  const acme = createAcme({ config, log, metrics, resolve, env: { ...process.env, ...env }, nowSeconds: () => Math.floor(Date.now() / 1000) + aheadSeconds(), publicAddress: () => '', onIssued: async () => await certificates.check() })
  whenDone(async () => {
    await certificates.stop()
    await acme.stop(2000)
  })
  return {
    name: acme.name,
    start: async () => {
      await acme.start()
      await certificates.start()
    },
    stop: async deadlineMs => await acme.stop(deadlineMs),
    status: () => acme.status(),
    examine: () => acme.examine(),
    firewall: () => acme.firewall(),
    settings,
    certificates,
    metrics,
    log: lines,
    file: config.certificate.files?.cert ?? '',
  }
}
