/** The two places of a relay: the coturn that serves, for a while a second one that is being drained, and the file that keeps which is which. */
import { existsSync } from 'node:fs'
import type { Log } from '../lifecycle.ts'
import type { Coturn } from './coturn.ts'
import { directoryOf, type RelaySite, type Slot } from './sites.ts'
import { readSlots, writeSlots, type Slots } from './slots-file.ts'

export type CoturnPairNeeds = { site: RelaySite, log: Log, make: (slot: Slot, image: string) => Coturn }

export class CoturnPair {
  readonly #needs: CoturnPairNeeds
  #slots: Slots
  #serving: Coturn
  #leaving: Coturn | null = null

  constructor (needs: CoturnPairNeeds) {
    this.#needs = needs
    this.#slots = readSlots(needs.site.directory)
    this.#serving = this.make(this.#slots.serving)
  }

  serving (): Coturn {
    return this.#serving
  }

  leaving (): { coturn: Coturn, until: number } | null {
    return this.#leaving === null ? null : { coturn: this.#leaving, until: this.#slots.leavingUntil ?? 0 }
  }

  all (): Coturn[] {
    return this.#leaving === null ? [this.#serving] : [this.#serving, this.#leaving]
  }

  /** Whose allocation is that? */
  of (allocationId: string): Coturn | undefined {
    return this.all().find(({ slot }) => allocationId.startsWith(`${this.#needs.site.id}.${slot}.`))
  }

  isDrained (): boolean {
    return this.#slots.isDrained
  }

  setDrained (isDrained: boolean): void {
    this.#save({ isDrained })
  }

  /** The image of the settings, or what an upgrade has brought in its place. */
  image (): string {
    const { image } = this.#needs.site.config.relay
    const brought = this.#slots.image
    return brought !== null && brought.insteadOf === image ? brought.name : image
  }

  setImage (name: string): void {
    const { image } = this.#needs.site.config.relay
    this.#save({ image: name === image ? null : { name, insteadOf: image } })
  }

  make (slot: Slot, image = this.image()): Coturn {
    return this.#needs.make(slot, image)
  }

  otherSlot (): Slot {
    return this.#serving.slot === 'main' ? 'alternate' : 'main'
  }

  /** The same place, with a coturn that is to be started there. */
  renew (): Coturn {
    this.#serving = this.make(this.#serving.slot)
    return this.#serving
  }

  /** The second one serves from now on; the first is leaving until then (Unix seconds). */
  switchTo (next: Coturn, until: number): void {
    this.#leaving = this.#serving
    this.#serving = next
    this.#save({ serving: next.slot, leavingUntil: until })
  }

  leaveBy (until: number): void {
    if (this.#leaving !== null) this.#save({ leavingUntil: until })
  }

  /** The one that was leaving has ended. */
  forgetLeaving (): void {
    this.#leaving = null
    this.#save({ leavingUntil: null })
  }

  /** At the start: one that an earlier process was draining goes on so, until then; whatever else is in the place beside is ended. */
  async tendOther (): Promise<{ coturn: Coturn, until: number } | null> {
    const until = this.#slots.leavingUntil
    // Nothing was ever started there: nothing is asked, and no image pulled.
    if (!existsSync(directoryOf(this.#needs.site, this.otherSlot()))) return null
    const other = this.make(this.otherSlot())
    try {
      if (until !== null && await other.resumeDrain()) {
        this.#leaving = other
        return { coturn: other, until }
      }
      await other.launcher.sweep()
    } catch (error) {
      this.#needs.log.debug({ relay: this.#needs.site.id, reason: (error as Error).message }, 'nothing is known of a second coturn')
    }
    if (until !== null) this.#save({ leavingUntil: null })
    return null
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
