/** The two places of a relay: the coturn that serves, for a while a second one that is being drained, and the file that keeps which is which. */
import { existsSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Log } from '../lifecycle.ts'
import type { Coturn } from './coturn.ts'
import { directoryOf, type RelaySite, type Slot } from './sites.ts'
import { readSlots, writeSlots, type Slots } from './slots-file.ts'

type DriverKind = 'docker' | 'process'
export type CoturnPairNeeds = { site: RelaySite, log: Log, /** `driver`: where it is to be the same as another one's. */ make: (slot: Slot, image: string, driver?: DriverKind) => Coturn }

/** An engine that is busy for a moment, a disk that is full: the calls on it must not be lost for that. */
const TRIES = 4
const PAUSE_MS = 1000

export class CoturnPair {
  readonly #needs: CoturnPairNeeds
  #slots: Slots
  #serving: Coturn
  #leaving: Coturn | null = null
  /** Started beside the one that serves, and not proved yet. */
  #coming: Coturn | null = null

  constructor (needs: CoturnPairNeeds) {
    this.#needs = needs
    this.#slots = readSlots(needs.site.directory)
    this.#serving = needs.make(this.#slots.serving, this.image())
  }

  serving (): Coturn {
    return this.#serving
  }

  leaving (): { coturn: Coturn, until: number } | null {
    return this.#leaving === null ? null : { coturn: this.#leaving, until: this.#slots.leaving?.until ?? 0 }
  }

  all (): Coturn[] {
    return [this.#serving, this.#leaving, this.#coming].filter(coturn => coturn !== null)
  }

  /** Whose allocation is that? */
  of (allocationId: string): Coturn | undefined {
    return this.all().find(({ slot }) => allocationId.startsWith(`${this.#needs.site.id}.${slot}.`))
  }

  isDrained (): boolean {
    return this.#slots.isDrained
  }

  setDrained (isDrained: boolean): void {
    this.#save({ isDrained, pending: null })
  }

  /** What an earlier process had begun with the one that serves. */
  pending (): Slots['pending'] {
    return this.#slots.pending
  }

  setPending (kind: 'drain' | 'restart', until: number): void {
    this.#save({ pending: { kind, until, version: versionOf(this.#serving) } })
  }

  /** The image of the settings, or what an upgrade has brought in its place. */
  image (): string {
    const { image } = this.#needs.site.config.relay
    const brought = this.#slots.image
    return brought !== null && brought.insteadOf === image ? brought.name : image
  }

  /** The same place, with a coturn that is to be started there. */
  renew (): Coturn {
    this.#serving = this.#needs.make(this.#serving.slot, this.image())
    return this.#serving
  }

  /** One for the other place, run as the one that serves is. */
  bring (image: string): Coturn {
    const { driver } = this.#serving.launcher.describe()
    this.#coming = this.#needs.make(this.#otherSlot(), image, driver === 'docker' || driver === 'process' ? driver : undefined)
    return this.#coming
  }

  forgetComing (): void {
    this.#coming = null
  }

  /** The one that was brought serves from now on; the first is leaving until then (Unix seconds). */
  switchTo (next: Coturn, image: string, until: number): void {
    const { image: configured } = this.#needs.site.config.relay
    const old = this.#serving
    this.#leaving = old
    this.#serving = next
    this.#coming = null
    this.#save({ serving: next.slot, leaving: { until, version: versionOf(old) }, image: image === configured ? null : { name: image, insteadOf: configured } })
  }

  /** Another deadline for what is being drained. */
  endBy (until: number): void {
    const { leaving, pending } = this.#slots
    if (leaving !== null) this.#save({ leaving: { ...leaving, until } })
    else if (pending !== null) this.#save({ pending: { ...pending, until } })
  }

  /** The one that was leaving has ended. */
  forgetLeaving (): void {
    this.#leaving = null
    this.#save({ leaving: null })
  }

  /** At the start: one that an earlier process was draining goes on so, until then; whatever else is in the place beside is ended. */
  async tendOther (): Promise<{ coturn: Coturn, until: number } | null> {
    const { leaving } = this.#slots
    // Nothing was ever started there: nothing is asked, and no image pulled.
    if (!existsSync(directoryOf(this.#needs.site, this.#otherSlot()))) return null
    for (let tries = 1; ; tries++) {
      const other = this.#needs.make(this.#otherSlot(), this.image())
      try {
        if (leaving !== null && await other.resumeDrain(leaving.version)) {
          this.#leaving = other
          return { coturn: other, until: leaving.until }
        }
        await other.launcher.sweep()
        if (leaving !== null) this.#save({ leaving: null })
        return null
      } catch (error) {
        const isLast = tries === TRIES
        this.#needs.log[isLast && leaving !== null ? 'warn' : 'debug']({ relay: this.#needs.site.id, reason: (error as Error).message }, 'what became of a second coturn cannot be found out; the next start asks again')
        if (isLast || leaving === null) return null
        await wait(PAUSE_MS, undefined, { ref: false })
      }
    }
  }

  #otherSlot (): Slot {
    return this.#serving.slot === 'main' ? 'alternate' : 'main'
  }

  /** A disk that is full must not end an operation half-way: what could not be kept is found out at the next start. */
  #save (change: Partial<Slots>): void {
    this.#slots = { ...this.#slots, ...change }
    try {
      writeSlots(this.#needs.site.directory, this.#slots)
    } catch (error) {
      this.#needs.log.warn({ relay: this.#needs.site.id, reason: (error as Error).message }, 'which coturn serves could not be written down')
    }
  }
}

function versionOf (coturn: Coturn): string | null {
  return coturn.launcher.describe().version
}
