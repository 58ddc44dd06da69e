/** The certificate of this machine: watched, looked at before it is used, and handed to everything that serves TLS. */
import type { Log, Part } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { hasEnded, isPlaceholder, lifetimeOf, readPair, readTexts, type Pair } from './pair.ts'

export type CertificatesNeeds = {
  /** Where it stands; null where TLS is not served. */
  files: Readonly<Pair> | null
  checkSeconds: number
  log: Log
  metrics: Pick<Metrics, 'add' | 'set'>
}
export type Use = 'relay' | 'https' | 'grpc'
/** Has it served from now on; false where that cannot be said yet. What it throws is said in the log. In both cases it is asked again soon. */
export type Install = (pair: Pair) => Promise<boolean | void> | boolean | void

/** Until it is served there is no TLS for clients: sooner than the next look at the files. */
const AGAIN_MS = 2000

export class Certificates implements Part {
  readonly name = 'certificates'
  readonly #needs: CertificatesNeeds
  readonly #users = new Map<Use, Install>()
  /** Of each use that does not serve it: why, told once. */
  readonly #unserved = new Map<Use, string>()
  /** What is served. */
  #served: Pair | null = null
  /** What was refused last: told once. */
  #refused = ''
  #timer: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined
  #last: Promise<void> = Promise.resolve()
  #isOver = false

  constructor (needs: CertificatesNeeds) {
    this.#needs = needs
  }

  /** Whoever serves TLS takes what is `served` when it starts, and is told of each new one. */
  use (name: Use, install: Install): void {
    if (this.#needs.files === null) return
    this.#users.set(name, install)
    for (const result of ['installed', 'refused']) this.#needs.metrics.add('turnpike_certificate_reloads_total', { use: name, result }, 0)
    this.#showEnd()
  }

  /** Reads the files. A pair that is broken is not served; the settings were refused then already. One that has ended is: without it no coturn would serve TLS at all. */
  async start (): Promise<void> {
    const { files, checkSeconds, log } = this.#needs
    if (files === null) return
    const read = await readPair(files)
    if (!('problem' in read)) this.#serve(read)
    if (!('problem' in read) && hasEnded(read)) log.warn({}, 'the certificate has ended: clients will refuse TURN over TLS and HTTPS')
    this.#timer = setInterval(() => { this.#last = this.check() }, checkSeconds * 1000).unref()
  }

  /** A check that is under way is not waited for. */
  async stop (): Promise<void> {
    clearInterval(this.#timer)
    clearTimeout(this.#again)
    this.#isOver = true
  }

  served (): Pair | null {
    return this.#served
  }

  /** The files as they are, whatever is in them; null where TLS is not served. A file that cannot be read is an empty one. */
  async onDisk (): Promise<Pair | null> {
    const { files } = this.#needs
    return files === null ? null : await readTexts(files).catch(() => ({ cert: '', key: '' }))
  }

  /** Looks at the files now, and has everybody serve what is in them. Never throws. */
  async check (): Promise<void> {
    const { files } = this.#needs
    if (files === null) return
    // One look after another.
    this.#last = this.#last.then(async () => await this.#check(files))
    await this.#last
  }

  async #check (files: Pair): Promise<void> {
    const read = await readPair(files)
    if ('problem' in read) this.#refuse(read.problem)
    else if (read.cert !== this.#served?.cert || read.key !== this.#served.key) {
      if (hasEnded(read)) this.#refuse('it has ended')
      else {
        this.#refused = ''
        this.#serve(read)
        this.#count('installed')
        this.#needs.log.info({ expiresAt: lifetimeOf(read).ends }, 'a new certificate is installed')
      }
    }
    const served = this.#served
    if (served === null) return
    const areServed = await Promise.all([...this.#users].map(async ([use, install]) => await this.#install(use, install, served)))
    clearTimeout(this.#again)
    if (!this.#isOver && areServed.includes(false)) this.#again = setTimeout(() => { this.#last = this.check() }, AGAIN_MS).unref()
  }

  /** One that is being started, or does not take it, is false. */
  async #install (use: Use, install: Install, pair: Pair): Promise<boolean> {
    try {
      const isServed = await install(pair) !== false
      if (isServed) this.#unserved.delete(use)
      return isServed
    } catch (error) {
      this.#complain(use, (error as Error).message)
      return false
    }
  }

  #complain (use: Use, problem: string): void {
    if (this.#unserved.get(use) !== problem) this.#needs.log.warn({ use, problem }, 'the new certificate is not served everywhere; tried again')
    this.#unserved.set(use, problem)
  }

  #refuse (problem: string): void {
    if (problem === this.#refused) return
    this.#refused = problem
    this.#count('refused')
    this.#needs.log.warn({ problem }, 'a new certificate is refused; the one before is served on')
  }

  #serve (pair: Pair): void {
    this.#served = pair
    this.#showEnd()
  }

  #showEnd (): void {
    const pair = this.#served
    if (pair === null) return
    const ends = isPlaceholder(pair) ? 0 : lifetimeOf(pair).ends
    for (const use of this.#users.keys()) this.#needs.metrics.set('turnpike_certificate_expiry_timestamp_seconds', { use }, ends)
  }

  #count (result: 'installed' | 'refused'): void {
    for (const use of this.#users.keys()) this.#needs.metrics.add('turnpike_certificate_reloads_total', { use, result })
  }
}
