/** Everything between 'start it' and a coturn that runs: driver, addresses, version, configuration, and what coturn's log tells of them. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { TurnpikeError } from '../protocol/errors.ts'
import { hashedControlPassword, type ControlAddress } from './control.ts'
import { chooseDriver } from './choose-driver.ts'
import { isAtLeast, parseVersion, TAKES_ANY_USER_NAME, warningsOf } from './coturn-versions.ts'
import type { Driver, Launch, Prepared } from './driver.ts'
import type { RelayNeeds } from './needs.ts'
import type { ProbedRelay } from './probe-target.ts'
import { findAddresses, type Addresses } from './public-address.ts'
import { UserDatabase } from './records.ts'
import { renderTurnserverConf } from './turnserver-conf.ts'

export type LauncherNeeds = RelayNeeds & {
  relay: string
  feed: { host: string, port: number, password: string }
  /** coturn's command line. */
  control: ControlAddress
  /** coturn runs: started, or taken over with what it has. */
  onStarted: (adopted: boolean) => void
}
/** What coturn says where it goes on without a line of its configuration, or without all of it: then it serves everybody. */
const NOT_AS_CONFIGURED = /Bad configuration format|Wrong address (range )?format|Cannot find config file/
/** Most of coturn's errors are refusals of single clients; they name users and addresses. */
const OF_A_CLIENT = /user|session|peer|check_stun|remote/i
/** For each life of coturn: whoever can make it fail must not be able to fill our log. */
const MOST_ERRORS_WARNED = 20
type Chosen = { driver: Driver, why: string }

export class Launcher {
  readonly #needs: LauncherNeeds
  #feedPort: number
  #chosen: Chosen | null = null
  #prepared: Prepared | null = null
  #addresses: Addresses | null = null
  #users: UserDatabase | null = null
  #adopted = false
  #isWanted = false

  constructor (needs: LauncherNeeds) {
    this.#needs = needs
    this.#feedPort = needs.feed.port
  }

  setFeedPort (port: number): void {
    this.#feedPort = port
  }

  /** Starts or takes over coturn. Throws a TurnpikeError that says what is in the way. */
  async launch (onExit: (reason: TurnpikeError) => void): Promise<void> {
    const { config, log } = this.#needs
    this.#isWanted = true
    const { driver } = this.#chosen ??= await this.#choose()
    this.#addresses ??= await this.#find(driver)
    // Looked at anew each time: between two starts coturn may have been upgraded.
    this.#prepared = await driver.prepare()
    const launch = this.#launchOf(this.#prepared, this.#addresses)
    this.#openUsers(this.#prepared)
    // All this may have taken long (an image was pulled): nothing is started that nobody will end.
    if (!this.#isWanted) throw new TurnpikeError('shutting-down', 'stopped before coturn was started')
    const said = { rejected: '', errors: 0 }
    const { adopted } = await driver.start(launch, {
      onExit: reason => onExit(said.rejected === '' ? reason : new TurnpikeError('relay-config-rejected', said.rejected)),
      onLogLine: line => this.#tell(line, said, onExit),
    })
    this.#adopted = adopted
    this.#needs.onStarted(adopted)
    log.info({ relay: this.#needs.relay, driver: driver.kind, version: this.#prepared.version, port: config.relay.port }, adopted ? 'coturn was running and is taken over' : 'coturn is started')
  }

  async end (deadlineMs: number): Promise<void> {
    this.#isWanted = false
    this.#closeUsers()
    await this.#chosen?.driver.stop(deadlineMs)
  }

  /** Has coturn accept exactly the secrets that are wanted now, from its next authentication on. Throws data-dir-unwritable. */
  applySecrets (): void {
    try {
      this.#users?.write(this.#needs.secrets(this.takesAnyUserName()))
    } catch (error) {
      throw new TurnpikeError('data-dir-unwritable', `coturn's user database cannot be written: ${(error as Error).message}`, { cause: error })
    }
  }

  /** May programs of others make up user names for this coturn? Unknown for one that is not ours. */
  takesAnyUserName (): boolean {
    const version = this.#prepared?.version ?? null
    const parsed = version === null ? null : parseVersion(version)
    return parsed !== null && isAtLeast(parsed, TAKES_ANY_USER_NAME)
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

  describe (): { driver: Driver['kind'] | 'none', why: string, version: string | null, listenIp: string, publicAddress: string, warnings: string[] } {
    const version = this.#prepared?.version ?? null
    const parsed = version === null ? null : parseVersion(version)
    return {
      driver: this.#chosen?.driver.kind ?? 'none',
      why: this.#chosen?.why ?? 'not chosen yet',
      version,
      listenIp: this.#addresses?.listenIp ?? '',
      publicAddress: this.#addresses?.publicIp ?? '',
      warnings: parsed === null ? [] : warningsOf(parsed),
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
    const { relay, tls } = this.#needs.config
    return tls.cert === undefined ? null : relay.tlsPort
  }

  async #choose (): Promise<Chosen> {
    const { config, relay, programPath, dockerHost, installRelay, log } = this.#needs
    const directory = resolvePath(config.dataDir, 'relay')
    const owner = createHash('sha256').update(this.#needs.feed.password).digest('hex').slice(0, 12)
    return await chooseDriver({ config: config.relay, relay, owner, directory, programPath, dockerHost, installRelay, log })
  }

  async #find (driver: Driver): Promise<Addresses> {
    const { relay, publicHost = '' } = this.#needs.config
    if (driver.kind !== 'external') return await findAddresses({ listenIp: relay.listenIp, externalIp: relay.externalIp, publicHost: this.#needs.config.publicHost, stunServers: relay.stunServers })
    return { listenIp: publicHost, publicIp: publicHost, publicHost, source: 'configured', decisions: [`the relay ${publicHost} is run by somebody else, and only probed`] }
  }

  #launchOf ({ version, certPath, keyPath, userDatabase, runAs }: Prepared, { listenIp, publicIp }: Addresses): Launch {
    const { config, relay, feed, control } = this.#needs
    const { cert, key } = config.tls
    const tls = cert === undefined || key === undefined ? null : { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
    const listen = { address: listenIp, port: config.relay.port, tlsPort: this.#tlsPort(), control }
    const parsed = version === null ? null : parseVersion(version)
    if (parsed === null || userDatabase === null) return { conf: '', tls: null, listen }
    const conf = renderTurnserverConf({
      realm: relay,
      userDatabase: userDatabase.path,
      listenIp,
      publicIp,
      port: config.relay.port,
      tls: tls === null ? null : { port: config.relay.tlsPort, certPath, keyPath },
      minPort: config.relay.minPort,
      maxPort: config.relay.maxPort,
      peers: config.relay.peers,
      userQuota: config.relay.userQuota,
      feed: { ...feed, port: this.#feedPort },
      control: { host: control.host, port: control.port, hashedPassword: hashedControlPassword(control.password) },
      runAs,
      version: parsed,
    })
    return { conf, tls, listen }
  }

  /** coturn's own words: a rejected option ends it, because the option may be what keeps strangers out. */
  #tell (line: string, said: { rejected: string, errors: number }, onExit: (reason: TurnpikeError) => void): void {
    const { log, feed, relay } = this.#needs
    const text = line.replaceAll(feed.password, '[secret]').trim()
    if (text === '') return
    const isWarned = /\bERROR\b/.test(text) && !OF_A_CLIENT.test(text) && said.errors++ < MOST_ERRORS_WARNED
    log[isWarned ? 'warn' : 'debug']({ relay }, `coturn: ${text}`)
    if (!NOT_AS_CONFIGURED.test(text) || said.rejected !== '') return
    said.rejected = text
    onExit(new TurnpikeError('relay-config-rejected', text))
  }
}
