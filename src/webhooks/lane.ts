/**
 * The way of one project's events to its receiver: one after another, in the order of their time. An event that is not taken holds the
 * others for its first attempts; then they pass it, so that one that is never taken stops nothing.
 */
import type { Log } from '../lifecycle.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { ProjectSettings } from '../protocol/project-settings.ts'
import type { Store } from '../store/store.ts'
import { post, type Failure } from './post.ts'
import { deleteDelivery, forgetDeliveries, giveUp, hasWaiting, makeAllDue, nextDue, setFailed, type DeliveryRow } from './records.ts'

export type LaneNeeds = {
  store: Store
  log: Log
  metrics: Pick<Metrics, 'add'>
  nowSeconds: () => number
  /** Null for a project that is gone. */
  settingsOf: (project: string) => Pick<ProjectSettings, 'webhook' | 'webhookEvents'> | null
  /** Null for a project that is gone. */
  secretOf: (project: string) => string | null
}

/** 1 s, 2 s, 4 s … at most an hour apart, for three days. */
const LONGEST_PAUSE_SECONDS = 3600
const GIVE_UP_SECONDS = 3 * 86_400
/** Up to a fifth less, so that receivers that fell together are not asked together. */
const JITTER = 0.2
/** After so many attempts others go past it: after 1 + 2 + 4 s. */
const ATTEMPTS_IN_PLACE = 4
/** Between attempts at a receiver that took nothing the last time. */
const REST_SECONDS = 1
/** A receiver that took nothing for so long was down, and not only unwilling to take one event. */
const DOWN_SECONDS = 5
const MOST_DEAD = 10_000

/** `chance` from 0 to 1. */
export function pauseSeconds (attempts: number, chance: number): number {
  return Math.round(Math.min(2 ** (attempts - 1), LONGEST_PAUSE_SECONDS) * (1 - JITTER * chance))
}

export class Lane {
  readonly #project: string
  readonly #needs: LaneNeeds
  readonly #stopping: AbortSignal
  #isRunning = false
  /** By the clock; one that is set back ends the rest. */
  #rest = { from: 0, until: 0 }
  #failingSince: number | null = null
  /** What came of an attempt and could not be written down: nothing is sent before it is, or the same would be sent all the time. */
  #unwritten: (() => void) | null = null

  constructor (project: string, needs: LaneNeeds, stopping: AbortSignal) {
    this.#project = project
    this.#needs = needs
    this.#stopping = stopping
  }

  get isRunning (): boolean {
    return this.#isRunning
  }

  get isFailing (): boolean {
    return this.#failingSince !== null
  }

  /** Nothing of the project is sent before this; Unix seconds. */
  get restsUntil (): number {
    return this.#isResting() ? this.#rest.until : 0
  }

  /** The next attempt need not wait. */
  wake (): void {
    this.#rest = { from: 0, until: 0 }
  }

  /** Sends what is due; `onEmpty` is called where nothing is left that waits. Throws where nothing can be read or written. */
  async run (onEmpty: () => void): Promise<void> {
    this.#isRunning = true
    try {
      while (!this.#stopping.aborted) {
        this.#writeDown(this.#unwritten)
        if (this.#isResting()) return
        const row = nextDue(this.#needs.store, this.#project, this.#needs.nowSeconds())
        if (row === undefined) {
          if (!hasWaiting(this.#needs.store, this.#project)) onEmpty()
          return
        }
        await this.#attempt(row)
      }
    } finally {
      this.#isRunning = false
    }
  }

  #isResting (): boolean {
    const now = this.#needs.nowSeconds()
    return this.#rest.from <= now && now < this.#rest.until
  }

  async #attempt (row: DeliveryRow): Promise<void> {
    const { store, nowSeconds, settingsOf, secretOf } = this.#needs
    const url = settingsOf(row.project)?.webhook ?? null
    const secret = secretOf(row.project)
    // Of a project that is gone: nobody could check it.
    if (secret === null) return forgetDeliveries(store, row.project)
    const failure = url === null ? { reason: 'the project has no webhook', isFinal: false } : await post({ ...row, url, secret, atSeconds: nowSeconds(), stopping: this.#stopping })
    if (this.#stopping.aborted) return
    if (failure === null) this.#taken(row)
    else this.#refused(row, failure)
  }

  #taken ({ id, project }: DeliveryRow): void {
    const { store, metrics, nowSeconds } = this.#needs
    const wasDown = this.#failingSince !== null && nowSeconds() - this.#failingSince >= DOWN_SECONDS
    this.#failingSince = null
    metrics.add('turnpike_webhooks_total', { result: 'delivered' })
    this.#writeDown(() => store.transaction(() => {
      deleteDelivery(store, id)
      if (wasDown) makeAllDue(store, project)
    }))
  }

  #refused ({ id, project, at, waits_since: since, attempts: before }: DeliveryRow, { reason, isFinal }: Failure): void {
    const { store, log, metrics, nowSeconds } = this.#needs
    const [now, attempts] = [nowSeconds(), before + 1]
    const isGivenUp = isFinal || now - since >= GIVE_UP_SECONDS
    const staysInPlace = !isGivenUp && attempts < ATTEMPTS_IN_PLACE
    const pause = pauseSeconds(attempts, Math.random())
    this.#rest = { from: now, until: now + (staysInPlace ? pause : REST_SECONDS) }
    metrics.add('turnpike_webhooks_total', { result: isGivenUp ? 'given_up' : 'failed' })
    const told = { project, event: id, attempts, reason }
    if (isGivenUp) log.error(told, 'a webhook was not taken and is given up; it can be replayed')
    // A receiver that is down for hours is told of once.
    else log[this.isFailing ? 'debug' : 'warn'](told, 'a webhook was not taken; tried again')
    this.#failingSince ??= now
    this.#writeDown(() => {
      if (isGivenUp) giveUp(store, { id, project, attempts, reason }, now, MOST_DEAD)
      else setFailed(store, id, { attempts, next_at: staysInPlace ? at : now + pause, reason })
    })
  }

  #writeDown (outcome: (() => void) | null): void {
    this.#unwritten = outcome
    outcome?.()
    this.#unwritten = null
  }
}
