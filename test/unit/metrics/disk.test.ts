import { mkdirSync, rmSync, statfsSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { watchDisk } from '../../../src/metrics/disk.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { scratchDirectory } from '../../kit/files.ts'
import { sample } from '../../kit/relay.ts'

test('free space and size are those of the file system of the data directory, and no old figure is told of one that is gone', async () => {
  const directory = `${scratchDirectory()}/data`
  mkdirSync(directory)
  const metrics = createMetrics()
  const stop = watchDisk(metrics, directory)
  onTestFinished(stop)
  const { bsize, blocks, bavail } = statfsSync(directory)
  expect(await sample(metrics, 'turnpike_data_dir_size_bytes ')).toBe(blocks * bsize)
  // Others write to it as well.
  expect(Math.abs(await sample(metrics, 'turnpike_data_dir_free_bytes ') ?? NaN) - bavail * bsize).toBeLessThan(1e9)
  rmSync(directory, { recursive: true })
  expect(await sample(metrics, 'turnpike_data_dir_free_bytes ')).toBeUndefined()
  expect(await sample(metrics, 'turnpike_data_dir_size_bytes ')).toBeUndefined()
})
