/** How much of the lines of src/ the tests have run, over all processes that they ran in (lcov's tracefile format). */
import { existsSync, readFileSync } from 'node:fs'

/** In percent; 0 where there is no report. */
export function lineCoverage (reports: readonly string[]): number {
  const hits = new Map<string, boolean>()
  for (const report of reports.filter(existsSync)) {
    let file = ''
    for (const line of readFileSync(report, 'utf8').split('\n')) {
      if (line.startsWith('SF:')) file = line.slice(3)
      if (!line.startsWith('DA:')) continue
      const [number, count] = line.slice(3).split(',')
      const name = `${file}:${number}`
      hits.set(name, hits.get(name) === true || Number(count) > 0)
    }
  }
  return hits.size === 0 ? 0 : [...hits.values()].filter(Boolean).length / hits.size * 100
}
