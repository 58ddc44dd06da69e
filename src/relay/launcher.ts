/** Everything between 'start it' and a coturn that runs: driver, addresses, version, configuration, and what coturn's log tells of them. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { resolve as resolvePath } from 'node:path'
import { TurnpikeError } from '../protocol/errors.ts'
import { isFor, type Pair } from '../tls/pair.ts'
import { chooseDriver } from './choose-driver.ts'
import { DRAINS_BY_SIGNAL, isAtLeast, parseVersion, TAKES_ANY_USER_NAME, warningsOf, type CoturnVersion } from './coturn-versions.ts'
import { forbiddenPeerFor } from './denied-peers.ts'
import type { DoctorSubject } from './doctor/subject.ts'
import type { Driver, Prepared } from './driver.ts'
import { launchOf } from './launch.ts'
import type { LauncherNeeds } from './launcher-needs.ts'
import { logListener } from './log-listener.ts'
import type { ProbedRelay } from './probe-target.ts'
import { pidsConfiguredBy } from './drivers/process-table.ts'
import { readAddresses, writeAddresses } from './address-file.ts'
import { findAddresses, type Addresses } from './public-address.ts'
import { UserDatabase } from './records.ts'
import { requireServed } from './served-certificate.ts'

const TLS_WITHIN_MS = 3000

type Chosen = { driver: Driver, why: string }

export class Launcher {
  readonly #needs: LauncherNeeds
  #feedPort: number
  #chosen: Chosen | null = null
  #prepared: Prepared | null = null
  #addresses: Addresses | null = null
  #users: UserDatabase | null = null
  #adopted = false
  /** The certificate that it is known to serve. */
  #tls: Pair | null = null
  /** Is nothing new to be taken any more? */
  #isDraining = false
  #isWanted = false
  #hasReachedStart = false

  constructor (needs: LauncherNeeds) {
    this.#needs = needs
    this.#feedPort = needs.feed.port
  }

  setFeedPort (port: number): void {
    this.#feedPort = port
  }

  /** Starts or takes over coturn. Throws a TurnpikeError that says what is in the way. */
  async launch (onExit: (reason: TurnpikeError) => void): Promise<void> {
    const { config } = this.#needs
    this.#isWanted = true
    this.#hasReachedStart = false
    try {
      await this.#launch(onExit)
    } catch (error) {
      // An engine that did not answer may answer the next time.
      if (config.relay.driver === 'auto' && !this.#hasReachedStart) this.#chosen = null
      throw error
    }
  }

  /** Did the last launch come so far that something may have been started? Else what an earlier process left goes on. */
  hasReachedStart (): boolean {
    return this.#hasReachedStart
  }

  async #launch (onExit: (reason: TurnpikeError) => void): Promise<void> {
    const { config, log } = this.#needs
    const { driver } = this.#chosen ??= await this.#choose()
    this.#addresses ??= await this.#find(driver)
    writeAddresses(this.#needs.addressFile, this.#addresses)
    // Looked at anew each time: between two starts coturn may have been upgraded.
    this.#prepared = await driver.prepare()
    const launch = launchOf({ ...this.#needs, feed: { ...this.#needs.feed, port: this.#feedPort } }, this.#prepared, this.#addresses)
    this.#openUsers(this.#prepared)
    // All this may have taken long (an image was pulled): nothing is started that nobody will end.
    if (!this.#isWanted) throw new TurnpikeError('shutting-down', 'stopped before coturn was started')
    const said = { rejected: '' }
    this.#hasReachedStart = true
    const { adopted } = await driver.start(launch, {
      onExit: reason => onExit(said.rejected === '' ? reason : new TurnpikeError('relay-config-rejected', said.rejected)),
      onLogLine: this.#listener(text => {
        said.rejected = text
        onExit(new TurnpikeError('relay-config-rejected', text))
      }),
    })
    this.#adopted = adopted
    this.#tls = launch.tls
    this.#needs.onStarted(adopted)
    log.info({ relay: this.#needs.relay, driver: driver.kind, version: this.#prepared.version, port: config.relay.port }, adopted ? 'coturn was running and is taken over' : 'coturn is started')
  }

  /** Does a coturn run here with another configuration, or another program, than it would be started with now? */
  async runsAnother (): Promise<boolean> {
    const { driver } = this.#chosen ??= await this.#choose()
    const prepared = await driver.prepare()
    const addresses = this.#addresses ??= await this.#find(driver)
    return await driver.runsAnother(launchOf({ ...this.#needs, feed: { ...this.#needs.feed, port: this.#feedPort } }, prepared, addresses))
  }

  /** Takes over the coturn that an earlier process of ours has left, whatever it was started with. False where there is none. `version`: where it is known. */
  async takeOver (version: string | null, onExit: (reason: TurnpikeError) => void): Promise<boolean> {
    const { driver } = this.#chosen ??= await this.#choose()
    const found = await driver.takeOver({ onExit, onLogLine: this.#listener(() => {}) })
    if (found === null) return false
    this.#isWanted = true
    this.#hasReachedStart = true
    // What is here now may be newer than what runs.
    this.#prepared = { version, certPath: '', keyPath: '', runAs: null, ...found }
    this.#addresses = await this.#find(driver)
    this.#openUsers(this.#prepared)
    this.#needs.onStarted(true)
    return true
  }

  /** Takes no new allocations from now on; those that live go on. */
  async drain (): Promise<void> {
    this.#isDraining = true
    // Before 4.6.3 the signal would end it: with no secret that it accepts, it refuses whatever is new, and refreshes what lives.
    if (this.#drainsBySignal()) await this.#chosen?.driver.drain()
    else this.applySecrets()
  }

  /** Has coturn serve another certificate, without a restart, and sees that it does. Throws where it does not. */
  async replaceTls (tls: Pair): Promise<void> {
    const { host, tlsPort } = this.target()
    await this.#chosen?.driver.replaceTls(tls)
    if (tlsPort !== null) await requireServed({ host, port: tlsPort }, tls, TLS_WITHIN_MS)
    this.#tls = tls
  }

  /** Is it known to serve this one? */
  hasTls (tls: Pair): boolean {
    return this.#tls?.cert === tls.cert && this.#tls.key === tls.key
  }

  /** Would a client that asks it for this name take the certificate that it is known to serve? */
  serves (name: string): boolean {
    return this.#tls !== null && isFor(this.#tls, name)
  }

  async end (deadlineMs: number): Promise<void> {
    this.#isWanted = false
    this.#closeUsers()
    await this.#chosen?.driver.stop(deadlineMs)
  }

  /** Ends what an earlier process of ours has left here. */
  async sweep (): Promise<void> {
    const { driver } = this.#chosen ??= await this.#choose()
    await driver.stop(0)
  }

  /** The addresses as they are now; what runs has those of its start. */
  async lookAround (): Promise<{ running: Addresses | null, now: Addresses }> {
    const { driver } = this.#chosen ??= await this.#choose()
    return { running: this.#addresses, now: await this.#find(driver) }
  }

  /** Has coturn accept exactly the secrets that are wanted now, from its next authentication on. Throws data-dir-unwritable. */
  applySecrets (): void {
    try {
      const refusesNew = this.#isDraining && !this.#drainsBySignal()
      this.#users?.write(refusesNew ? [] : this.#needs.secrets(this.takesAnyUserName()))
    } catch (error) {
      throw new TurnpikeError('data-dir-unwritable', `coturn's user database cannot be written: ${(error as Error).message}`, { cause: error })
    }
  }

  /** May programs of others make up user names for this coturn? Unknown for one that is not ours. */
  takesAnyUserName (): boolean {
    const version = this.#version()
    return version !== null && isAtLeast(version, TAKES_ANY_USER_NAME)
  }

  release (): void {
    this.#isWanted = false
    this.#closeUsers()
    this.#chosen?.driver.release()
  }

  endpoint (): { host: string, port: number, tlsPort: number | null } {
    const { relay } = this.#needs.config
    return { host: this.#host(), port: relay.port, tlsPort: this.#tlsPort() }
  }

  target (): ProbedRelay {
    const { relay } = this.#needs.config
    const listenIp = this.#addresses?.listenIp ?? '127.0.0.1'
    const host = relay.driver === 'external' ? this.#host() : listenIp
    return { host, port: relay.port, tlsPort: this.#tlsPort(), address: this.#addresses?.publicIp ?? listenIp, peers: relay.peers }
  }

  #forbiddenPeer (): string {
    const { peers, address } = this.target()
    return forbiddenPeerFor(peers, address)
  }

  #drainsBySignal (): boolean {
    const version = this.#version()
    return version !== null && isAtLeast(version, DRAINS_BY_SIGNAL)
  }

  #version (): CoturnVersion | null {
    const version = this.#prepared?.version ?? null
    return version === null ? null : parseVersion(version)
  }

  describe (): { driver: Driver['kind'] | 'none', why: string, version: string | null, listenIp: string, publicAddress: string, publicAddress6: string | null, warnings: string[] } {
    const version = this.#prepared?.version ?? null
    const parsed = this.#version()
    return {
      driver: this.#chosen?.driver.kind ?? 'none',
      why: this.#chosen?.why ?? 'not chosen yet',
      version,
      listenIp: this.#addresses?.listenIp ?? '',
      publicAddress: this.#addresses?.publicIp ?? '',
      publicAddress6: this.#addresses?.publicIp6 ?? null,
      warnings: parsed === null ? [] : warningsOf(parsed),
    }
  }

  /** For the doctor. */
  examined (): Pick<DoctorSubject, 'driver' | 'version' | 'host' | 'port' | 'tlsPort' | 'listenIp' | 'publicIp' | 'isPublicIpConfigured' | 'listenIp6' | 'publicIp6' | 'tls' | 'pid'> {
    const { relay, publicHost, servesTls } = this.#needs.config
    const { driver, version } = this.describe()
    const isProcess = driver === 'process'
    return {
      driver: relay.driver === 'external' ? 'external' : driver,
      version,
      host: publicHost ?? this.#addresses?.publicHost ?? '',
      port: relay.port,
      tlsPort: this.#tlsPort(),
      listenIp: this.#addresses?.listenIp ?? null,
      publicIp: this.#addresses?.publicIp ?? null,
      isPublicIpConfigured: relay.externalIp !== undefined || isIP(publicHost ?? '') !== 0,
      listenIp6: this.#addresses?.listenIp6 ?? null,
      publicIp6: this.#addresses?.publicIp6 ?? null,
      tls: servesTls && relay.driver !== 'external' ? this.#needs.tls() : null,
      pid: isProcess ? pidsConfiguredBy(`${resolvePath(this.#needs.directory)}/turnserver.conf`)[0] ?? null : null,
    }
  }

  decisions (): string[] {
    return [...(this.#addresses?.decisions ?? []), ...(this.#adopted ? ['coturn was running already and was taken over'] : [])]
  }

  #openUsers ({ userDatabase }: Prepared): void {
    this.#closeUsers()
    if (userDatabase === null) return
    try {
      this.#users = new UserDatabase(userDatabase, this.#needs.relay)
    } catch (error) {
      throw new TurnpikeError('data-dir-unwritable', `coturn's user database in ${userDatabase.directory}: ${(error as Error).message}`, { cause: error })
    }
    this.applySecrets()
  }

  #closeUsers (): void {
    this.#users?.close()
    this.#users = null
  }

  #host (): string {
    return this.#needs.config.publicHost ?? this.#addresses?.publicHost ?? '127.0.0.1'
  }

  #tlsPort (): number | null {
    const { relay, servesTls } = this.#needs.config
    return servesTls ? relay.tlsPort : null
  }

  async #choose (): Promise<Chosen> {
    const { config, relay, programPath, dockerHost, installRelay, log } = this.#needs
    const directory = resolvePath(this.#needs.directory)
    const owner = createHash('sha256').update(this.#needs.feed.password).digest('hex').slice(0, 12)
    return await chooseDriver({ config: config.relay, relay, owner, directory, programPath, dockerHost, installRelay, log })
  }

  async #find (driver: Driver): Promise<Addresses> {
    const { relay, publicHost = '' } = this.#needs.config
    if (driver.kind !== 'external') return await findAddresses({ ...relay, publicHost: this.#needs.config.publicHost, last: readAddresses(this.#needs.addressFile) })
    return { listenIp: publicHost, publicIp: publicHost, listenIp6: null, publicIp6: null, publicHost, source: 'configured', isGuess: false, decisions: [`the relay ${publicHost} is run by somebody else, and only probed`] }
  }

  /** Reads coturn's log; `onRejected`: it goes on without a line of its configuration. */
  #listener (onRejected: (text: string) => void): (line: string) => void {
    const { feed } = this.#needs
    return logListener({ ...this.#needs, password: feed.password, forbiddenPeer: () => this.#forbiddenPeer(), onRejected })
  }
}
