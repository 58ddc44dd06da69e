/** Memory of an idle joined peer, against that of a bare ws connection: growth of the resident set over 10,000 connections, in one run. */
import { setTimeout as wait } from 'node:timers/promises'
import { report } from './processes.ts'
import { startContender, type SpeechName } from './signaling-contenders.ts'

const PEERS = 10_000
const ROUNDS = 3
/** What an upgrade leaves behind is collected meanwhile. */
const SETTLE_MS = 1500

async function bytesPerPeer (name: SpeechName): Promise<number> {
  const { program, talkers } = await startContender(name, ['--expose-gc'])
  const before = Number(await program.say('memory'))
  await talkers(PEERS / 2, 2, 300)
  await wait(SETTLE_MS)
  const after = Number(await program.say('memory'))
  program.child.kill('SIGKILL')
  return (after - before) / PEERS
}

const ratios: number[] = []
for (let i = 0; i < ROUNDS; i++) {
  const [ours, bare] = [await bytesPerPeer('ours, promising'), await bytesPerPeer('bare')]
  process.stdout.write(`  ${Math.round(ours)} and ${Math.round(bare)} bytes for each peer\n`)
  ratios.push(ours / bare)
}
report(`memory of an idle peer at ${PEERS} ÷ bare ws connection`, ratios, '≤ 1.5')
process.exit(0)
