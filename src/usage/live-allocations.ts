/**
 * The allocations that live, as far as they are counted: written down in the same transaction as the usage itself, so that the next
 * process knows what of each is in the books already. Without it, the total that coturn tells at an allocation's end could be counted twice.
 */
import type { Store } from '../store/store.ts'
import { deleteLive, deleteLiveOf, liveOf, saveLive, type LiveRow } from './records.ts'

type Transport = 'udp' | 'tcp' | 'tls' | 'dtls'
type Counts = { receivedPackets: number, receivedBytes: number, sentPackets: number, sentBytes: number }
export type LiveAllocation = { coturn: string, session: string, username: string, transport: Transport, counted: Counts, told: Counts }
const NOTHING: Counts = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0 }

type Change = { kind: 'saved', allocation: LiveAllocation, isKnown: boolean } | { kind: 'ended', coturn: string, session: string }

export class LiveAllocations {
  readonly #store: Store
  /** Not written yet, by coturn and session. */
  #changes = new Map<string, Change>()
  #forgotten = new Set<string>()

  constructor (store: Store) {
    this.#store = store
  }

  /** What is written down of this coturn. */
  of (coturn: string): LiveAllocation[] {
    return liveOf(this.#store, coturn).map(row => ({
      coturn,
      session: row.session,
      username: row.username,
      transport: row.transport,
      counted: { receivedPackets: row.counted_received_packets, receivedBytes: row.counted_received_bytes, sentPackets: row.counted_sent_packets, sentBytes: row.counted_sent_bytes },
      told: { receivedPackets: row.told_received_packets, receivedBytes: row.told_received_bytes, sentPackets: row.told_sent_packets, sentBytes: row.told_sent_bytes },
    }))
  }

  begin (allocation: Omit<LiveAllocation, 'counted' | 'told'>): void {
    this.#changes.set(keyOf(allocation), { kind: 'saved', allocation: { ...allocation, counted: NOTHING, told: NOTHING }, isKnown: false })
  }

  count (allocation: LiveAllocation): void {
    const key = keyOf(allocation)
    const change = this.#changes.get(key)
    this.#changes.set(key, { kind: 'saved', allocation, isKnown: change === undefined || (change.kind === 'saved' && change.isKnown) })
  }

  end (of: { coturn: string, session: string }): void {
    const key = keyOf(of)
    const change = this.#changes.get(key)
    // Begun and ended between two writes: nobody needs to know.
    if (change?.kind === 'saved' && !change.isKnown) this.#changes.delete(key)
    else this.#changes.set(key, { kind: 'ended', ...of })
  }

  /** coturn has ended, and whatever lived on it. */
  forget (coturn: string): void {
    for (const [key, change] of this.#changes) if ((change.kind === 'saved' ? change.allocation.coturn : change.coturn) === coturn) this.#changes.delete(key)
    this.#forgotten.add(coturn)
  }

  hasNews (): boolean {
    return this.#changes.size > 0 || this.#forgotten.size > 0
  }

  /** Within the transaction of the ledger. Returns what is to be done when it is committed. */
  write (): () => void {
    const [changes, forgotten] = [[...this.#changes], [...this.#forgotten]]
    for (const coturn of forgotten) deleteLiveOf(this.#store, coturn)
    for (const [, change] of changes) {
      if (change.kind === 'ended') deleteLive(this.#store, change.coturn, change.session)
      else saveLive(this.#store, rowOf(change.allocation))
    }
    return () => {
      this.#changes.clear()
      this.#forgotten.clear()
    }
  }
}

function keyOf ({ coturn, session }: { coturn: string, session: string }): string {
  return `${coturn} ${session}`
}

function rowOf ({ coturn, session, username, transport, counted, told }: LiveAllocation): LiveRow {
  return {
    coturn,
    session,
    username,
    transport,
    counted_received_packets: counted.receivedPackets,
    counted_received_bytes: counted.receivedBytes,
    counted_sent_packets: counted.sentPackets,
    counted_sent_bytes: counted.sentBytes,
    told_received_packets: told.receivedPackets,
    told_received_bytes: told.receivedBytes,
    told_sent_packets: told.sentPackets,
    told_sent_bytes: told.sentBytes,
  }
}
