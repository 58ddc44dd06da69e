/** A relay that somebody else runs: nothing is started or ended here, only the probe looks at it. */
import type { Driver } from '../driver.ts'

export function createExternalDriver (): Driver {
  return {
    kind: 'external',
    prepare: async () => ({ version: null, certPath: '', keyPath: '', userDatabase: null, runAs: null }),
    start: async () => ({ adopted: true }),
    runsAnother: async () => false,
    takeOver: async () => ({ userDatabase: null }),
    replaceTls: async () => {},
    drain: async () => {},
    stop: async () => {},
    release: () => {},
  }
}
