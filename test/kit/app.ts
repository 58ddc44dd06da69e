/** The whole app in this process, on free ports and loopback, closed with the test. */
import { whenDone } from './cleanup.ts'
import { createApp, type App } from '../../src/app.ts'
import { createLogger } from '../../src/cli/logger.ts'
import { loadConfig } from '../../src/config/load.ts'
import { readFileSync } from 'node:fs'
import { freePorts, scratchDirectory } from './files.ts'

export type TestApp = App & { env: Record<string, string>, apiKey: string, adminKey: string, request (path: string, options?: RequestInit & { key?: string | null }): Promise<{ status: number, headers: Headers, body: Record<string, unknown> }> }

/** Settings for a relay of its own on loopback. */
export async function loopbackSettings (): Promise<Record<string, string>> {
  const [relayPort, tlsPort, alternatePort, alternateTlsPort] = await freePorts(4)
  return {
    TURNPIKE_DATA_DIR: scratchDirectory(),
    TURNPIKE_HTTP_HOST: '127.0.0.1',
    TURNPIKE_HTTP_PORT: '0',
    TURNPIKE_METRICS_PORT: '0',
    TURNPIKE_RELAY_DRIVER: 'process',
    TURNPIKE_RELAY_LISTEN_IP: '127.0.0.1',
    TURNPIKE_RELAY_PEERS: 'loopback',
    TURNPIKE_RELAY_PORT: String(relayPort),
    TURNPIKE_RELAY_TLS_PORT: String(tlsPort),
    TURNPIKE_RELAY_ALTERNATE_PORT: String(alternatePort),
    TURNPIKE_RELAY_ALTERNATE_TLS_PORT: String(alternateTlsPort),
    // Below the ports that the kernel gives away, so that nothing else is there.
    TURNPIKE_RELAY_MIN_PORT: '20000',
    TURNPIKE_RELAY_MAX_PORT: '20499',
    TURNPIKE_LOG_LEVEL: 'silent',
  }
}

/** Starts it with more settings on top; `world` replaces parts of the world. */
export async function startApp (settings: Record<string, string> = {}, world: { nowSeconds?: () => number, programPath?: string[], dockerHost?: string, resolve?: (name: string) => Promise<readonly string[]> } = {}): Promise<TestApp> {
  const env = { ...await loopbackSettings(), ...settings }
  const { config, problems } = loadConfig({ env, readFile: path => readFileSync(path, 'utf8') })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  const app = createApp(config, {
    nowSeconds: world.nowSeconds ?? (() => Math.floor(Date.now() / 1000)),
    log: createLogger(config.log.level, false),
    version: '0.0.0-test',
    programPath: world.programPath ?? (process.env['PATH'] ?? '').split(':'),
    dockerHost: world.dockerHost,
    env: process.env,
    installRelay: false,
    ...(world.resolve === undefined ? {} : { resolve: world.resolve }),
  })
  let stopped = false
  const stop = async (deadlineMs: number): Promise<void> => {
    if (stopped) return
    stopped = true
    await app.stop(deadlineMs)
  }
  whenDone(() => stop(2000))
  await app.start()
  const { apiKey, adminKey } = app.firstKeys()
  return {
    ...app,
    stop,
    env,
    apiKey: apiKey ?? settings['TURNPIKE_API_KEY'] ?? '',
    adminKey: adminKey ?? settings['TURNPIKE_ADMIN_KEY'] ?? '',
    request: async (path, { key, ...options } = {}) => {
      const headers = new Headers(options.headers)
      if (key !== null) headers.set('authorization', `Bearer ${key ?? apiKey ?? settings['TURNPIKE_API_KEY']}`)
      if (typeof options.body === 'string' && !headers.has('content-type')) headers.set('content-type', 'application/json')
      const answer = await fetch(app.url() + path, { ...options, headers })
      const text = await answer.text()
      return { status: answer.status, headers: answer.headers, body: text.startsWith('{') ? JSON.parse(text) as Record<string, unknown> : { text } }
    },
  }
}
