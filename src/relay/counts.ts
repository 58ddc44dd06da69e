/** Sums of packets and bytes, and how fast they grow. */
import type { Counts } from './feed-events.ts'

export const NOTHING: Counts = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0 }

export function plus (a: Counts, b: Counts): Counts {
  return each(a, b, (x, y) => x + y)
}

export function minus (a: Counts, b: Counts): Counts {
  return each(a, b, (x, y) => x - y)
}

/** Of each number the greater one. */
export function atLeast (a: Counts, b: Counts): Counts {
  return each(a, b, Math.max)
}

export function sumOf ({ receivedPackets, receivedBytes, sentPackets, sentBytes }: Counts): number {
  return receivedPackets + receivedBytes + sentPackets + sentBytes
}

function each (a: Counts, b: Counts, combine: (x: number, y: number) => number): Counts {
  return {
    receivedPackets: combine(a.receivedPackets, b.receivedPackets),
    receivedBytes: combine(a.receivedBytes, b.receivedBytes),
    sentPackets: combine(a.sentPackets, b.sentPackets),
    sentBytes: combine(a.sentBytes, b.sentBytes),
  }
}

/** Reports closer together than this are one. */
const LEAST_MS = 500
/** Without a report for so long, or for three times as long as the last took, nothing flows any more. */
const SILENT_MS = 60_000

/** Bytes per second between the last two reports: coturn reports by amount, not by time. */
export class Rate {
  #sinceMs = performance.now()
  #bytes = 0
  #last = { bytesPerSecond: 0, atMs: 0, tookMs: 0 }

  add (bytes: number): void {
    const now = performance.now()
    const tookMs = now - this.#sinceMs
    this.#bytes += bytes
    if (tookMs < LEAST_MS) return
    this.#last = { bytesPerSecond: Math.round(this.#bytes / tookMs * 1000), atMs: now, tookMs }
    this.#sinceMs = now
    this.#bytes = 0
  }

  bytesPerSecond (): number {
    const silentMs = performance.now() - this.#last.atMs
    return silentMs > Math.max(SILENT_MS, this.#last.tookMs * 3) ? 0 : this.#last.bytesPerSecond
  }
}
