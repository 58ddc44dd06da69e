/** Text for people: columns, times, amounts. */

/** Rows under their names, each column as wide as its widest; nothing but a sentence where there is none. */
export function table (columns: readonly string[], rows: readonly (readonly unknown[])[], empty = 'none'): string {
  if (rows.length === 0) return `${empty}\n`
  const cells = [columns, ...rows.map(row => row.map(shown))]
  const widths = columns.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  return cells.map(row => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()}\n`).join('')
}

/** 2026-11-21 15:04:05Z; a dash for none. */
export function time (seconds: unknown): string {
  return typeof seconds === 'number' ? new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ') + 'Z' : '-'
}

/** 1.5 GB; powers of ten, as disks and traffic are sold. */
export function bytes (amount: unknown): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let value = Number(amount)
  let unit = 0
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** As it may be written to a terminal. */
export function shown (value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  // What others chose must not write over the terminal.
  return (Array.isArray(value) ? value.join(',') : String(value)).replaceAll(/\p{Cc}/gu, '?')
}
