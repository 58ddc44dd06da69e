import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runHere } from '../../kit/command.ts'
import { scratchDirectory } from '../../kit/files.ts'

test('first keys that are there and cannot be read are not told as keys that are not there', async () => {
  const dataDir = scratchDirectory()
  const env = { TURNPIKE_DATA_DIR: dataDir }
  expect(await runHere(env, 'keys', 'first')).toMatchObject({ err: expect.stringContaining(`there is no ${dataDir}/first-keys`) })
  // In place of a file of another user, which root would read.
  mkdirSync(`${dataDir}/first-keys`)
  expect(await runHere(env, 'keys', 'first')).toMatchObject({ code: 73, err: expect.stringContaining(`${dataDir}/first-keys cannot be read: EISDIR`) })
})

test('first keys are printed as they stand there', async () => {
  const dataDir = scratchDirectory()
  writeFileSync(`${dataDir}/first-keys`, 'TURNPIKE_API_KEY=tpk_x\n')
  expect(await runHere({ TURNPIKE_DATA_DIR: dataDir }, 'keys', 'first')).toMatchObject({ code: 0, out: 'TURNPIKE_API_KEY=tpk_x\n' })
})
