/** How long a signal is on its way at half load, rooms of two, 300 B: ours against ws that hands on what comes as it came. Both are given as much as half of what ours can do. */
import { median, percentile, report } from './processes.ts'
import { startContender, type Contender } from './signaling-contenders.ts'
import { closedLoop, openLoop, type Talker } from './socket-load.ts'

const ROUNDS = 7
const ROUND_MS = 1500
const SLOWEST = 0.99
const [ROOMS, BYTES] = [100, 300]

const talkersOf = async (contender: Contender): Promise<Talker[][]> => await contender.talkers(ROOMS, 2, BYTES)

async function compare (name: 'ours' | 'ours, promising'): Promise<void> {
  const [ours, bare] = [await startContender(name), await startContender('bare')]
  const [own, theirs] = [await talkersOf(ours), await talkersOf(bare)]
  await closedLoop(own, { eachBegins: 1, forMs: ROUND_MS })
  await closedLoop(theirs, { eachBegins: 1, forMs: ROUND_MS })
  const { delivered, seconds } = await closedLoop(own, { eachBegins: 1, forMs: ROUND_MS })
  const pace = { perSecond: delivered / seconds / 2, forMs: ROUND_MS }
  const [ratios, ms]: [number[], [number, number][]] = [[], []]
  for (let i = 0; i < ROUNDS; i++) {
    const [one, other] = [percentile(await openLoop(own, pace), SLOWEST), percentile(await openLoop(theirs, pace), SLOWEST)]
    ratios.push(one / other)
    ms.push([one, other])
  }
  report(`p99 of a signal's way at half load: ${name} ÷ bare ws`, ratios, '≤ 2')
  process.stdout.write(`  ${median(ms.map(([one]) => one)).toFixed(2)} and ${median(ms.map(([, other]) => other)).toFixed(2)} ms at ${Math.round(pace.perSecond)} signals a second\n`)
  ours.program.child.kill('SIGKILL')
  bare.program.child.kill('SIGKILL')
}

await compare('ours')
await compare('ours, promising')
process.exit(0)
