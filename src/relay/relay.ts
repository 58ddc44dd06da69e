/** The door of the relays: each of them configured, started, watched, probed and counted, and the choice between them. */
import type { Part } from '../lifecycle.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { Finding } from '../protocol/findings.ts'
import { FIRST_RELAY } from '../protocol/relay-names.ts'
import type { Allocation, BegunEvent, Crowd, Remembered, TrafficEvent } from './allocation.ts'
import { EdgeAgent } from './edge-agent.ts'
import { examine } from './doctor/doctor.ts'
import { thisMachine } from './doctor/this-machine.ts'
import { ManagedRelay } from './managed-relay.ts'
import type { RelayNeeds } from './needs.ts'
import type { Operation, OperationKind, OperationRequest } from './operations.ts'
import type { RelayHealth } from './relay-health.ts'
import type { Pair } from '../tls/pair.ts'
import { choose, type Wanted } from './selection.ts'
import { sitesOf, type RelaySite } from './sites.ts'
import { edgePortFor, turnsHostOf } from './turns-host.ts'

export type { Allocation, BegunEvent, Crowd, Operation, OperationKind, OperationRequest, RelayHealth, RelayNeeds, Remembered, TrafficEvent }
/** Where clients may be sent. `secret`: what credentials for it are signed with, where it is not ours. */
export type Endpoint = { relay: string, host: string, port: number, /** The name that its certificate is for. */ tlsHost: string, /** Best first; empty where TLS is not to be used. */ tlsPorts: readonly number[], secret: string | null }
export type Relay = Part & {
  /** Of the relay that the settings describe, or of another one while that one is not well. */
  health (): RelayHealth
  /** Of all relays, the first one first. */
  healths (): RelayHealth[]
  /** Where clients may be sent now, best first; empty while nothing is proved. At most two where somebody asks for himself. */
  endpoints (wanted?: Wanted): Endpoint[]
  /** What clients may ask for. */
  regions (): string[]
  /** What was found out and decided at the start, in sentences. */
  decisions (): string[]
  firewall (): { protocol: string, ports: string, what: string }[]
  /** Lets go of coturn without ending it. */
  release (): Promise<void>
  allocations (): readonly Allocation[]
  /** Bytes per second of an allocation, both ways, as last reported. */
  rateOf (allocation: Pick<Allocation, 'id' | 'relay' | 'session'>): number
  /** Ends these; resolves to how many have ended when it is seen that they have, at most 2 s later. Throws relay-control-lost. */
  cut (allocations: readonly Allocation[], reason: string): Promise<number>
  /** Compares our tables with coturn's own now. Throws relay-control-lost. */
  reconcile (): Promise<void>
  /** Begins what an operator asks of a relay; `healths` tells how far it is. Throws not-found, relay-busy, relay-drained, relay-not-ours. */
  begin (relay: string, kind: OperationKind, request: OperationRequest): Operation
  /** Has each coturn accept exactly the secrets that it is to accept now; no restart, and no live allocation notices. Throws data-dir-unwritable. */
  applySecrets (): void
  /** Do the relays take credentials that are signed with this secret? Throws relay-unproven. */
  proveSecret (secret: string): Promise<void>
  /** Does every coturn bear user names that others make up (4.13 or newer)? */
  takesAnyUserName (): boolean
  /** Looks at everything that calls depend on; never throws. */
  examine (): Promise<Finding[]>
}

/** `start` resolves when each relay is proved, has failed for the first time, or after 10 s; it does not throw for a relay that is not well. */
export function createRelay (needs: RelayNeeds): Relay {
  return new Pool(needs)
}

class Pool implements Relay {
  readonly name = 'relay'
  readonly #needs: RelayNeeds
  readonly #relays: ManagedRelay[]
  readonly #edgeAgent: EdgeAgent
  /** Of TLS, when the certificate was last looked at. */
  #offers = ''

  constructor (needs: RelayNeeds) {
    this.#needs = needs
    this.#relays = sitesOf(needs.config).map(site => new ManagedRelay(needs, site))
    this.#edgeAgent = new EdgeAgent({ ...needs, servingSlot: () => this.#relays[0]?.serving().slot ?? 'main' })
    needs.certificates.use('relay', async pair => await this.#install(pair))
  }

  async start (): Promise<void> {
    await this.#edgeAgent.start()
    await Promise.all(this.#relays.map(relay => relay.start()))
    this.#offers = this.#tlsOffers()
  }

  async stop (deadlineMs: number): Promise<void> {
    const endsAt = performance.now() + deadlineMs
    this.#edgeAgent.stop()
    await Promise.all(this.#relays.map(relay => relay.stop(Math.max(0, endsAt - performance.now()))))
  }

  async release (): Promise<void> {
    this.#edgeAgent.stop()
    await Promise.all(this.#relays.map(relay => relay.release()))
  }

  health (): RelayHealth {
    const [first] = this.#relays
    const well = first?.isHandedOut() === true ? first : this.#relays.find(relay => relay.isHandedOut()) ?? first
    if (well === undefined) throw new TurnpikeError('internal', 'there is no relay')
    return well.health()
  }

  healths (): RelayHealth[] {
    return this.#relays.map(relay => relay.health())
  }

  endpoints (wanted?: Wanted): Endpoint[] {
    const usable = this.#relays.filter(relay => relay.isHandedOut())
    if (wanted === undefined || usable.length === 1) return usable.filter(({ site }) => wanted === undefined || wanted.regions.length === 0 || wanted.regions.includes(site.region)).map(relay => this.#endpointOf(relay))
    const candidates = usable.map(relay => ({ relay, region: relay.site.region, weight: relay.site.weight, isHealthy: relay.isHealthy(), load: relay.load(), bandwidthUsed: relay.bandwidthUsed() }))
    return choose(candidates, wanted, Math.random).map(({ relay }) => this.#endpointOf(relay))
  }

  regions (): string[] {
    return [...new Set(this.#relays.map(({ site }) => site.region))]
  }

  decisions (): string[] {
    const isOne = this.#relays.length === 1
    return this.#relays.flatMap(relay => relay.serving().launcher.decisions().map(decision => (isOne ? decision : `${relay.site.id}: ${decision}`)))
  }

  firewall (): { protocol: string, ports: string, what: string }[] {
    return this.#ours().flatMap(({ site }) => firewallOf(site))
  }

  allocations (): readonly Allocation[] {
    return this.#relays.flatMap(relay => relay.allocations())
  }

  rateOf (allocation: Pick<Allocation, 'id' | 'relay' | 'session'>): number {
    return this.#find(allocation.relay)?.rateOf(allocation) ?? 0
  }

  async cut (allocations: readonly Allocation[], reason: string): Promise<number> {
    const ended = await Promise.all(this.#relays.map(async relay => {
      const here = allocations.filter(allocation => allocation.relay === relay.site.id)
      return here.length === 0 ? 0 : await relay.cut(here, reason)
    }))
    return ended.reduce((sum, count) => sum + count, 0)
  }

  async reconcile (): Promise<void> {
    await Promise.all(this.#ours().map(relay => relay.serving().reconcile()))
  }

  begin (id: string, kind: OperationKind, request: OperationRequest): Operation {
    const relay = this.#find(id)
    if (relay === undefined) throw new TurnpikeError('not-found', `there is no relay ${id.slice(0, 64)}`)
    return relay.begin(kind, request)
  }

  applySecrets (): void {
    for (const relay of this.#ours()) relay.applySecrets()
  }

  async proveSecret (secret: string): Promise<void> {
    // One that is down now is told the secrets when it is started.
    const up = this.#relays.filter(relay => (relay.site.config.relay.driver !== 'external' || relay.site.id === FIRST_RELAY) && relay.isHandedOut())
    if (up.length === 0) throw new TurnpikeError('relay-unproven', `no relay can be asked: ${this.health().reason}`)
    await Promise.all(up.map(relay => proveBy(relay, secret)))
  }

  takesAnyUserName (): boolean {
    return this.#ours().every(relay => relay.serving().launcher.takesAnyUserName()) && this.#ours().length > 0
  }

  async examine (): Promise<Finding[]> {
    const { config: { dataDir, relay }, nowSeconds, dockerHost } = this.#needs
    // What the next start, or the next look at the files, would find.
    const tls = await this.#needs.certificates.onDisk()
    return await examine(this.#relays.map(one => one.subject()).map(subject => ({ ...subject, tls: subject.tls === null ? null : tls })), thisMachine({ nowSeconds, dataDir, dockerHost, asksOutside: relay.stunServers.length > 0 }))
  }

  async #install (pair: Pair): Promise<boolean> {
    const areServed = await Promise.all(this.#ours().map(async relay => await relay.installTls(pair)))
    // Clients that were given URLs before may now use TLS, or another name.
    const offers = this.#tlsOffers()
    if (this.#offers !== offers) this.#needs.onUrlsChanged()
    this.#offers = offers
    return areServed.every(Boolean)
  }

  #tlsOffers (): string {
    return this.#relays.map(relay => this.#endpointOf(relay)).map(({ tlsHost, tlsPorts }) => [tlsHost, ...tlsPorts].join(':')).join()
  }

  #endpointOf (relay: ManagedRelay): Endpoint {
    const { site } = relay
    // The first one's secret is everybody's, also where somebody else runs it.
    const secret = site.config.relay.driver === 'external' && site.id !== FIRST_RELAY ? site.config.relay.secret ?? null : null
    const { launcher } = relay.serving()
    const { host, port, tlsPort } = launcher.endpoint()
    const tlsHost = turnsHostOf({ host, driver: site.config.relay.driver, serves: name => launcher.serves(name) }, this.#needs)
    // The edge leads to the first one.
    const edgePort = site.id === FIRST_RELAY && site.config.relay.driver !== 'external' ? edgePortFor(tlsHost, this.#needs) : null
    const tlsPorts = tlsHost === null || tlsPort === null ? [] : [edgePort, tlsPort].filter(one => one !== null)
    return { relay: site.id, host, port, tlsHost: tlsHost ?? host, tlsPorts, secret }
  }

  #find (id: string): ManagedRelay | undefined {
    return this.#relays.find(({ site }) => site.id === id)
  }

  /** Those that we run. */
  #ours (): ManagedRelay[] {
    return this.#relays.filter(({ site }) => site.config.relay.driver !== 'external')
  }
}

/** Where another coturn has taken over meanwhile, that one is asked. */
async function proveBy (relay: ManagedRelay, secret: string): Promise<void> {
  const asked = relay.serving()
  try {
    await asked.proveSecret(secret)
  } catch (error) {
    if (relay.serving() === asked) throw error
    await relay.serving().proveSecret(secret)
  }
}

function firewallOf ({ config: { relay, servesTls, dtls } }: RelaySite): { protocol: string, ports: string, what: string }[] {
  const two = (one: number, other: number): string => `${one},${other}`
  return [
    { protocol: 'udp', ports: two(relay.port, relay.alternatePort), what: 'STUN and TURN (the second port while an upgrade runs)' },
    { protocol: 'tcp', ports: two(relay.port, relay.alternatePort), what: 'STUN and TURN' },
    ...(servesTls ? [{ protocol: 'tcp', ports: two(relay.tlsPort, relay.alternateTlsPort), what: 'TURN over TLS' }] : []),
    ...(servesTls && dtls ? [{ protocol: 'udp', ports: two(relay.tlsPort, relay.alternateTlsPort), what: 'TURN over DTLS' }] : []),
    { protocol: 'udp', ports: `${relay.minPort}-${relay.maxPort}`, what: 'relayed media' },
  ]
}
