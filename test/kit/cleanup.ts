/** What a test started ends with it; what was started before all tests of a file ends after them. */
import { afterAll, onTestFinished } from 'vitest'

type Work = () => unknown

const afterFile: Work[] = []

export function whenDone (work: Work): void {
  try {
    onTestFinished(async () => { await work() })
  } catch {
    // Not within a test, but in a beforeAll.
    afterFile.unshift(work)
  }
}

/** To be called at the top of a file that starts something in beforeAll. */
export function cleanUpAfterFile (): void {
  afterAll(async () => {
    for (const work of afterFile.splice(0)) await work()
  })
}
