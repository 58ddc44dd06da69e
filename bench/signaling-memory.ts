/**
 * Memory of an idle joined peer, against that of a bare ws connection, at 10,000 connections, both started with our flags for node. What
 * counts is what the last 8,000 of them take: the first ones also bring what a process takes once, code and tables, and that is told beside.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { AS_SHIPPED, report } from './processes.ts'
import { startContender, type SpeechName } from './signaling-contenders.ts'

const FIRST = 2000
const PEERS = 10_000
const ROUNDS = 3
/** What an upgrade leaves behind is collected meanwhile. */
const SETTLE_MS = 1500

type Memory = { rss: number, heapUsed: number }
type Growth = { each: Memory, withFirst: Memory }

async function growth (name: SpeechName, flags: string[]): Promise<Growth> {
  const { program, talkers } = await startContender(name, ['--expose-gc', ...flags])
  const memory = async (): Promise<Memory> => JSON.parse(await program.say('memory')) as Memory
  const joined = async (peers: number, size: number): Promise<Memory> => {
    await talkers(peers / size, size, 300)
    await wait(SETTLE_MS)
    return await memory()
  }
  const empty = await memory()
  // Rooms of another size have other names.
  const few = await joined(FIRST, 4)
  const all = await joined(PEERS - FIRST, 2)
  program.child.kill('SIGKILL')
  const per = (peers: number, from: Memory): Memory => ({ rss: (all.rss - from.rss) / peers, heapUsed: (all.heapUsed - from.heapUsed) / peers })
  return { each: per(PEERS - FIRST, few), withFirst: per(PEERS, empty) }
}

const rounds: { ours: Growth, bare: Growth, asItIs: Growth }[] = []
for (let i = 0; i < ROUNDS; i++) rounds.push({ ours: await growth('ours, promising', []), bare: await growth('bare', AS_SHIPPED), asItIs: await growth('bare', []) })
report(`resident memory of an idle peer ÷ bare ws connection, beyond ${FIRST}`, rounds.map(({ ours, bare }) => ours.each.rss / bare.each.rss), '≤ 1.5')
report('of this the heap of JavaScript', rounds.map(({ ours, bare }) => ours.each.heapUsed / bare.each.heapUsed), '≤ 1.5')
report(`the same with the first ${FIRST} and all that a process takes once`, rounds.map(({ ours, bare }) => ours.withFirst.rss / bare.withFirst.rss), 'none')
report('the same where bare ws is started without our flags for node', rounds.map(({ ours, asItIs }) => ours.withFirst.rss / asItIs.withFirst.rss), 'none')
for (const { ours, bare, asItIs } of rounds) process.stdout.write(`  ${[ours.each, bare.each, ours.withFirst, bare.withFirst, asItIs.withFirst].map(({ rss, heapUsed }) => `${Math.round(rss)} (heap ${Math.round(heapUsed)})`).join(', ')} bytes for each peer\n`)
process.exit(0)
