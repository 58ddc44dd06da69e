/** Days and months of UTC, as quotas and the ledger count them. */

const DAY_SECONDS = 86_400

/** Days since 1970-01-01. */
export function dayOf (seconds: number): number {
  return Math.floor(seconds / DAY_SECONDS)
}

/** Such as 2026-11-21. */
export function dayText (day: number): string {
  return new Date(day * DAY_SECONDS * 1000).toISOString().slice(0, 10)
}

export type Period = { /** Such as 2026-11-21 or 2026-11. */ name: string, firstDay: number, lastDay: number, /** Unix seconds. */ resetsAt: number }

export function dayPeriod (nowSeconds: number): Period {
  const day = dayOf(nowSeconds)
  return { name: dayText(day), firstDay: day, lastDay: day, resetsAt: (day + 1) * DAY_SECONDS }
}

export function monthPeriod (nowSeconds: number): Period {
  const date = new Date(nowSeconds * 1000)
  const first = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / 1000
  const next = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / 1000
  return { name: date.toISOString().slice(0, 7), firstDay: dayOf(first), lastDay: dayOf(next) - 1, resetsAt: next }
}
