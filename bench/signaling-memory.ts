/** Memory of an idle joined peer, against that of a bare ws connection: growth of the resident set over 5,000 connections, in one run. */
import { report, startServer } from './processes.ts'
import { connectPeer, type Server } from './signaling-peers.ts'

const PEERS = 5000
const ROUNDS = 3

async function bytesPerPeer (kind: 'ours' | 'plain'): Promise<number> {
  const { child, line, say } = await startServer('bench/signaling-server.ts', [kind, String(PEERS)], ['--expose-gc'])
  const server = JSON.parse(line) as Server
  const before = Number(await say('memory'))
  for (let i = 0; i < PEERS; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => connectPeer(server, i + j, kind === 'ours')))
  await new Promise(resolve => setTimeout(resolve, 1500))
  const after = Number(await say('memory'))
  child.kill('SIGKILL')
  return (after - before) / PEERS
}

const ratios: number[] = []
for (let i = 0; i < ROUNDS; i++) {
  const [ours, plain] = [await bytesPerPeer('ours'), await bytesPerPeer('plain')]
  process.stdout.write(`  ${Math.round(ours)} and ${Math.round(plain)} bytes for each peer\n`)
  ratios.push(ours / plain)
}
report(`memory of an idle peer at ${PEERS} ÷ bare ws connection`, ratios, '≤ 1.5')
process.exit(0)
