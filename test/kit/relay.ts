/** The relay through its own door, on loopback and free ports, ended with the test. */
import { readFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts'
import { Certificates } from '../../src/tls/certificates.ts'
import { createRelay, type Relay, type BegunEvent, type RelayNeeds, type TrafficEvent } from '../../src/relay/relay.ts'
import { loopbackSettings } from './app.ts'

export type TestRelay = Relay & { settings: Record<string, string>, metrics: Metrics, traffic: TrafficEvent[], begun: BegunEvent[], urlChanges: { count: number }, log: string[], port: number, secret: string, feedFile (): { port: number, password: string } }
export const RELAY_SECRET = 'secret-of-a-relay-in-a-test'

/** Made, not started. With the settings of an earlier one it is the next control plane of the same relay. */
export async function makeRelay (more: Record<string, string> = {}, world: { programPath?: string[], dockerHost?: string, nowSeconds?: () => number, secrets?: RelayNeeds['secrets'], remembered?: RelayNeeds['remembered'], reasonToCut?: RelayNeeds['reasonToCut'] } = {}): Promise<TestRelay> {
  const settings = { ...await loopbackSettings(), TURNPIKE_RELAY_PROBE_SECONDS: '1', ...more }
  const { config, problems } = loadConfig({ env: settings, readFile: path => readFileSync(path, 'utf8') })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  const metrics = createMetrics()
  const traffic: TrafficEvent[] = []
  const begun: BegunEvent[] = []
  const urlChanges = { count: 0 }
  const log: string[] = []
  const write = (fields: object, message: string): void => { log.push(`${message} ${JSON.stringify(fields)}`) }
  const logger = { debug: write, info: write, warn: write, error: write }
  const certificates = new Certificates({ files: config.certificate.files, checkSeconds: config.tls.checkSeconds, log: logger, metrics })
  const relay = createRelay({
    config,
    certificates,
    secrets: world.secrets ?? (() => [RELAY_SECRET]),
    reasonToCut: world.reasonToCut ?? (() => null),
    log: logger,
    metrics,
    nowSeconds: world.nowSeconds ?? (() => Math.floor(Date.now() / 1000)),
    programPath: world.programPath ?? (process.env['PATH'] ?? '').split(':'),
    dockerHost: world.dockerHost,
    installRelay: false,
    onBegun: event => begun.push(event),
    onTraffic: event => traffic.push(event),
    onEnded: () => {},
    onForgotten: () => {},
    remembered: world.remembered ?? (() => []),
    knowsProject: () => true,
    onUrlsChanged: () => { urlChanges.count++ },
  })
  let ended = false
  onTestFinished(async () => {
    await certificates.stop()
    if (!ended) await relay.stop(2000)
  })
  return {
    ...methodsOf(relay),
    start: async () => {
      await certificates.start()
      await relay.start()
    },
    stop: async deadlineMs => {
      ended = true
      await certificates.stop()
      await relay.stop(deadlineMs)
    },
    release: async () => {
      ended = true
      await certificates.stop()
      await relay.release()
    },
    settings,
    metrics,
    traffic,
    begun,
    urlChanges,
    log,
    port: config.relay.port,
    secret: RELAY_SECRET,
    feedFile: () => JSON.parse(readFileSync(`${config.dataDir}/relay/feed.json`, 'utf8')) as { port: number, password: string },
  }
}

/** Of an object of a class, so that some of them can be replaced. */
function methodsOf (relay: Relay): Relay {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(relay)).filter(name => name !== 'constructor') as (keyof Relay)[]
  return { name: relay.name, ...Object.fromEntries(names.map(name => [name, (relay[name] as (...args: unknown[]) => unknown).bind(relay)])) } as unknown as Relay
}

/** The value of a sample line of the metrics, or undefined. */
export async function sample (metrics: Pick<Metrics, 'render'>, line: string): Promise<number | undefined> {
  const found = (await metrics.render()).text.split('\n').find(text => text.startsWith(line))
  return found === undefined ? undefined : Number(found.split(' ').at(-1))
}
