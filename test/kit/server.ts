/** The control plane in a process of its own, without a relay, on ports that stay the same when it is started again. */
import { readFileSync } from 'node:fs'
import { loopbackSettings } from './app.ts'
import { run, type Run } from './command.ts'
import { freePorts, until } from './files.ts'

const API_KEY = 'an-api-key-of-the-tests-of-signaling'

export class Server {
  readonly apiKey = API_KEY
  readonly port: number
  readonly #metricsPort: number
  readonly #env: Record<string, string>
  #run: Run

  static async start (settings: Record<string, string>): Promise<Server> {
    const [port = 0, metricsPort = 0] = await freePorts(2)
    // Nowhere to find a coturn: signaling needs none, and nothing slow is started.
    const env = { ...await loopbackSettings(), PATH: '/nowhere', TURNPIKE_API_KEY: API_KEY, TURNPIKE_HTTP_PORT: String(port), TURNPIKE_METRICS_PORT: String(metricsPort), ...settings }
    const server = new Server(env, port, metricsPort)
    await server.#untilReady()
    return server
  }

  constructor (env: Record<string, string>, port: number, metricsPort: number) {
    this.#env = env
    this.port = port
    this.#metricsPort = metricsPort
    this.#run = this.#launch()
  }

  url (): string {
    return `http://127.0.0.1:${this.port}`
  }

  get signalUrl (): string {
    return `ws://127.0.0.1:${this.port}/v1/signal`
  }

  /** What it has said, to be shown where a test fails. */
  said (): string {
    return this.#run.all()
  }

  hasEnded (): boolean {
    return this.#run.child.exitCode !== null || this.#run.child.signalCode !== null
  }

  /** It takes nothing any more and says nothing, and its sockets are open. */
  freeze (): void {
    this.#run.child.kill('SIGSTOP')
  }

  /** Resolves to the exit code, or the signal that ended it. */
  async end (signal: NodeJS.Signals): Promise<number | string | null> {
    this.#run.child.kill(signal)
    const { code, signal: endedBy } = await this.#run.exit
    return code ?? endedBy
  }

  async startAgain (): Promise<void> {
    this.#run = this.#launch()
    await this.#untilReady()
  }

  /** Many tokens may be asked for at once. */
  async token (room: string, request: object): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/v1/rooms/${encodeURIComponent(room)}/tokens`, { method: 'POST', headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' }, body: JSON.stringify({ ttl: 3600, ...request }) })
    if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`)
    return (await answer.json() as { token: string }).token
  }

  async metrics (): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`)).text()
  }

  get pid (): number {
    return this.#run.child.pid ?? 0
  }

  residentBytes (): number {
    const [, kilobytes = ''] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#run.child.pid}/status`, 'utf8')) ?? []
    return Number(kilobytes) * 1024
  }

  #launch (): Run {
    return run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], this.#env)
  }

  async #untilReady (): Promise<void> {
    await until('the control plane answers', async () => {
      if (this.hasEnded()) throw new Error(this.said())
      return await fetch(`http://127.0.0.1:${this.port}/healthz`).then(({ ok }) => ok, () => false)
    }, 30_000)
  }
}
