/** Memory of an idle joined peer, against that of a bare ws connection: what the resident set and the heap of JavaScript grow by over 10,000 connections. */
import { setTimeout as wait } from 'node:timers/promises'
import { AS_SHIPPED, report } from './processes.ts'
import { startContender, type SpeechName } from './signaling-contenders.ts'

const PEERS = 10_000
const ROUNDS = 2
/** What an upgrade leaves behind is collected meanwhile. */
const SETTLE_MS = 1500

type Memory = { rss: number, heapUsed: number }

async function perPeer (name: SpeechName, flags: string[] = []): Promise<Memory> {
  const { program, talkers } = await startContender(name, ['--expose-gc', ...flags])
  const before = JSON.parse(await program.say('memory')) as Memory
  await talkers(PEERS / 2, 2, 300)
  await wait(SETTLE_MS)
  const after = JSON.parse(await program.say('memory')) as Memory
  program.child.kill('SIGKILL')
  return { rss: (after.rss - before.rss) / PEERS, heapUsed: (after.heapUsed - before.heapUsed) / PEERS }
}

const rounds: { ours: Memory, bare: Memory, sameFlags: Memory }[] = []
for (let i = 0; i < ROUNDS; i++) rounds.push({ ours: await perPeer('ours, promising'), bare: await perPeer('bare'), sameFlags: await perPeer('bare', AS_SHIPPED) })
report(`resident memory of an idle peer at ${PEERS} ÷ bare ws connection`, rounds.map(({ ours, bare }) => ours.rss / bare.rss), '≤ 1.5')
report('the same where bare ws is started with our flags for node', rounds.map(({ ours, sameFlags }) => ours.rss / sameFlags.rss), 'none')
report('of this the heap of JavaScript', rounds.map(({ ours, sameFlags }) => ours.heapUsed / sameFlags.heapUsed), 'none')
for (const { ours, bare, sameFlags } of rounds) process.stdout.write(`  ${[ours, bare, sameFlags].map(({ rss, heapUsed }) => `${Math.round(rss)} (heap ${Math.round(heapUsed)})`).join(', ')} bytes for each peer\n`)
process.exit(0)
