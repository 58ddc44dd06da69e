/** The room on the file system of the data directory. */
import { statfsSync } from 'node:fs'
import type { Metrics } from './metrics.ts'

/** Measures at each rendering, until the returned function is called. */
export function watchDisk (metrics: Metrics, dataDir: string): () => void {
  return metrics.beforeRender(() => {
    try {
      const { bavail, blocks, bsize } = statfsSync(dataDir)
      // bavail, not bfree: what is kept for root is not for us.
      metrics.set('turnpike_data_dir_free_bytes', {}, bavail * bsize)
      metrics.set('turnpike_data_dir_size_bytes', {}, blocks * bsize)
    } catch {
      // The directory is gone: better no figure than an old one.
      metrics.remove('turnpike_data_dir_free_bytes', {})
      metrics.remove('turnpike_data_dir_size_bytes', {})
    }
  })
}
