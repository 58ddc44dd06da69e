/** 10,000 peers whose sockets are all cut at once and who all come back to their sessions: seconds until the last of them is welcomed. */
import { setTimeout as wait } from 'node:timers/promises'
import { report } from './processes.ts'
import { resumeEntrance, startContender } from './signaling-contenders.ts'
import { openPeers } from './socket-load.ts'

const PEERS = 10_000
const ROUNDS = 3
const AT_ONCE = 200

const { port, talkers } = await startContender('ours, promising')
let peers = (await talkers(PEERS / 2, 2, 300)).flat().map(({ peer }) => peer)
const seconds: number[] = []
for (let i = 0; i < ROUNDS; i++) {
  peers.forEach(peer => peer.cut())
  await wait(500)
  const entrances = peers.map(({ welcome, seq }) => resumeEntrance(JSON.parse(welcome) as { resume: string }, seq))
  const began = performance.now()
  peers = await openPeers(port, entrances, '{"type":"signal","seq":', AT_ONCE)
  seconds.push((performance.now() - began) / 1000)
  const lost = peers.filter(({ welcome }) => !(JSON.parse(welcome) as { resumed: boolean }).resumed).length
  if (lost > 0) throw new Error(`${lost} did not come back to their sessions`)
}
report(`seconds until ${PEERS} sessions are resumed`, seconds, '≤ 10')
process.exit(0)
