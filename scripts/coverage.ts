/** How much of the lines of src/ the tests have run, over all processes that they ran in (lcov's tracefile format). */
import { existsSync, readFileSync } from 'node:fs'

/** What is said of it, and whether it is enough. A process in which a test failed writes no report: what the others ran would be a number that means nothing. */
export function judgeCoverage (reports: readonly string[], { least, haveFailed }: { least: number, haveFailed: boolean }): { words: string, isEnough: boolean } {
  if (haveFailed) return { words: 'coverage is left out, because tests failed', isEnough: true }
  const covered = lineCoverage(reports)
  return { words: `${covered.toFixed(1)} % of the lines of src/ covered (at least ${least})`, isEnough: covered >= least }
}

/** In percent; 0 where there is no report. */
function lineCoverage (reports: readonly string[]): number {
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
