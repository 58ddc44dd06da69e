/** Counts by name, without entries that are zero. */
export class Tally {
  readonly #counts = new Map<string, number>()

  of (name: string): number {
    return this.#counts.get(name) ?? 0
  }

  add (name: string, amount: number): number {
    const count = this.of(name) + amount
    if (count === 0) this.#counts.delete(name)
    else this.#counts.set(name, count)
    return count
  }
}
