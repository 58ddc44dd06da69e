/** An allocation, and what is told of one. */
import type { ClientTransport, Counts } from './feed-events.ts'
import type { Owner } from './owner.ts'

export type Allocation = Owner & {
  /** Unlike coturn's session, the only one of its kind: `<relay>.<main|alternate>.<session>`. */
  id: string
  relay: string
  session: string
  username: string
  transport: ClientTransport
  tlsVersion: string | null
  clientAddress: string
  /** Null until coturn's list has told it. */
  relayAddress: string | null
  /** Unix seconds. */
  since: number
  /** When it ends if its client does not refresh it, unix seconds. */
  lapsesAt: number
  /** What it has relayed as far as it is told, and no more than it has. */
  counted: Counts
}
/** How many allocations live, this one included. */
export type Crowd = { ofUser: number, ofProject: number }
export type AllocationOf = { relay: string, /** `<relay>.<main|alternate>`. */ coturn: string, session: string, username: string, project: string, user: string, room: string, transport: ClientTransport }
/** What is new of an allocation, and its sums, which are to be kept for the next process. */
export type TrafficEvent = AllocationOf & { counts: Counts, counted: Counts, told: Counts }
export type BegunEvent = AllocationOf
/** An allocation as an earlier process of ours knew it. */
export type Remembered = Pick<AllocationOf, 'session' | 'username' | 'transport'> & { counted: Counts, told: Counts }
