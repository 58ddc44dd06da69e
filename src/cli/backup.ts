/** `turnpike backup` and `turnpike restore`. */
import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { ERRORS, TurnpikeError } from '../protocol/errors.ts'
import type { Input, World } from './command.ts'
import { clientFor } from './run-api-command.ts'
import { loadOrComplain } from './settings.ts'

export async function backUp (input: Input, world: World): Promise<number> {
  const file = resolve(input.args[0] ?? '')
  // Asked before the server is: a backup that was refused here is none that was made.
  if (existsSync(file)) throw new TurnpikeError('file-unusable', `${file} is there already`)
  const client = await clientFor(input, world)
  if (client === null) return ERRORS['config-invalid'].exit
  try {
    await writeNew(file, await client.pieces({ method: 'POST', path: '/v1/backup', accept: '*/*' }))
  } finally {
    await client.close()
  }
  process.stdout.write(input.switches.has('json') ? `${JSON.stringify({ file })}\n` : `${file}\n`)
  process.stderr.write('Everything is in it, secrets too: keep it as you would keep a key.\n')
  return 0
}

export async function putBack ({ args: [named = ''], switches }: Input, { env }: World): Promise<number> {
  const loaded = loadOrComplain(env)
  if (loaded === null) return ERRORS['config-invalid'].exit
  if (!existsSync(resolve(named))) throw new TurnpikeError('file-unusable', `there is no file ${resolve(named)}`)
  const { restoreBackup } = await import('../app.ts')
  const kept = restoreBackup(resolve(named), loaded.config.dataDir)
  if (switches.has('json')) process.stdout.write(`${JSON.stringify({ dataDir: loaded.config.dataDir, kept })}\n`)
  else process.stdout.write(`restored into ${loaded.config.dataDir}\n${kept === null ? '' : `what was there is kept: ${kept}\n`}`)
  return 0
}

/** For its owner alone, and never over a file that is there. */
async function writeNew (file: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  let descriptor: number | null = null
  try {
    descriptor = openSync(file, 'wx', 0o600)
    for await (const piece of pieces) writeFileSync(descriptor, piece)
    fsyncSync(descriptor)
    closeSync(descriptor)
  } catch (error) {
    // Half a backup is none.
    if (descriptor !== null) rmSync(file, { force: true })
    throw new TurnpikeError('file-unusable', (error as Error).message, { cause: error })
  }
}
