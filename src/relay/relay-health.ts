/** What is told of a relay to people and programs. */
import type { ErrorCode } from '../protocol/errors.ts'
import type { Coturn } from './coturn.ts'
import type { RelayCheck } from './driver.ts'
import type { Operation } from './operations.ts'
import { isReady, type RelayState } from './relay-states.ts'
import type { RelaySite, Slot } from './sites.ts'

export type RelayHealth = {
  id: string
  region: string
  weight: number
  driver: 'docker' | 'process' | 'external' | 'none'
  /** Why this driver. */
  why: string
  version: string | null
  state: RelayState
  ready: boolean
  /** Are clients sent there? */
  handedOut: boolean
  /** Taken out of service by an operator. */
  drained: boolean
  code: ErrorCode | null
  /** Plain words. */
  reason: string
  /** Unix seconds. */
  since: number
  restarts: number
  checks: RelayCheck[]
  listenIp: string
  publicAddress: string
  publicAddress6: string | null
  host: string
  port: number
  tlsPort: number | null
  /** Which of its two places serves. */
  slot: Slot
  allocations: number
  /** The coturn that it replaces, while that still has calls. */
  leaving: { allocations: number, until: number } | null
  /** What an operator asked for last. */
  operation: Operation | null
  warnings: string[]
}
export type HealthFacts = { site: RelaySite, serving: Coturn, isDrained: boolean, /** By an operation that is under way. */ isWithheld: boolean, isHandedOut: boolean, leaving: RelayHealth['leaving'], operation: Operation | null, allocations: number }

const DRAINED = 'taken out of service by an operator; restart brings it back'

export function healthOf ({ site, serving, isDrained, isWithheld, isHandedOut, leaving, operation, allocations }: HealthFacts): RelayHealth {
  const { state, code, reason, since, restarts, checks } = serving.status()
  return {
    id: site.id,
    region: site.region,
    weight: site.weight,
    ...serving.launcher.describe(),
    ...serving.launcher.endpoint(),
    state,
    ready: isReady(state) && !isDrained && !isWithheld,
    handedOut: isHandedOut,
    drained: isDrained,
    code: isDrained || isWithheld ? 'relay-drained' : code,
    reason: isDrained ? DRAINED : isWithheld ? `${operation?.kind} is under way: ${operation?.detail}` : reason,
    since,
    restarts,
    checks,
    slot: serving.slot,
    allocations,
    leaving,
    operation: operation === null ? null : { ...operation },
    warnings: serving.launcher.describe().warnings,
  }
}
