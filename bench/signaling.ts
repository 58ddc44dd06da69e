/**
 * Signals delivered for each second of the server's CPU: ours against what people write in an afternoon, socket.io, the npm server of PeerJS,
 * and a server in C++ that promises nothing. One load for all, in turns, each server alone on its core: a second of CPU is a second at full load.
 */
import { median, report } from './processes.ts'
import { startContender, startLimit, type Contender, type SpeechName } from './signaling-contenders.ts'
import { closedLoop, type Talker } from './socket-load.ts'

const ROUNDS = 5
const ROUND_MS = 700
/** Where the load takes more of its core than this, and the server less of its own, the load is the limit. */
const BUSY = 0.9

type Figures = { perCpuSecond: number, serverShare: number, loadShare: number }
type Setting = { what: string, rooms: number, size: number, bytes: number, eachBegins: number }

const ROOMS_OF_2 = { rooms: 100, size: 2 }
/** One at a time: each signal is read and written alone, so that most of what it costs is the kernel's. Four: as candidates come. */
const SETTINGS: Setting[] = [
  { what: 'rooms of 2, 300 B, four at a time', bytes: 300, eachBegins: 4, ...ROOMS_OF_2 },
  { what: 'rooms of 2, 2 kB, four at a time', bytes: 2000, eachBegins: 4, ...ROOMS_OF_2 },
  { what: 'rooms of 2, 300 B, one at a time', bytes: 300, eachBegins: 1, ...ROOMS_OF_2 },
  { what: 'rooms of 2, 2 kB, one at a time', bytes: 2000, eachBegins: 1, ...ROOMS_OF_2 },
  { what: 'rooms of 10, 300 B', bytes: 300, rooms: 20, size: 10, eachBegins: 1 },
]
/** They know no broadcast. */
const PEER_JS: ReadonlySet<SpeechName> = new Set(['ours, PeerJS', 'peer'])
/** What C++ with epoll delivers, as a multiple of plain ws, where there is no compiler to measure it with (docs/operations.md tells where). */
const KNOWN_LIMIT = '2.6 to 5'

async function round ({ program }: Contender, talkers: readonly Talker[][], eachBegins: number): Promise<Figures> {
  const before = program.cpuSeconds()
  const { delivered, seconds, loadCpuSeconds } = await closedLoop(talkers, { eachBegins, forMs: ROUND_MS })
  const cpu = program.cpuSeconds() - before
  return { perCpuSecond: delivered / cpu, serverShare: cpu / seconds, loadShare: loadCpuSeconds / seconds }
}

/** Everybody in turns; the first turn of each is not counted. */
async function compare (contenders: ReadonlyMap<SpeechName, Contender>, { rooms, size, bytes, eachBegins }: Setting): Promise<Map<SpeechName, Figures[]>> {
  const figures = new Map<SpeechName, Figures[]>([...contenders.keys()].map(name => [name, []]))
  for (let i = 0; i <= ROUNDS; i++) {
    for (const [name, contender] of contenders) {
      const result = await round(contender, await contender.talkers(rooms, size, bytes), eachBegins)
      if (i > 0) figures.get(name)?.push(result)
    }
  }
  return figures
}

function tell (what: string, figures: ReadonlyMap<SpeechName, Figures[]>, ours: SpeechName, goals: Partial<Record<SpeechName, string>>): void {
  const own = figures.get(ours) ?? []
  for (const [name, theirs] of figures) {
    if (name !== ours && goals[name] !== undefined) report(`${what}: ${ours} ÷ ${name}`, own.map((figure, i) => figure.perCpuSecond / (theirs[i]?.perCpuSecond ?? Number.NaN)), goals[name])
  }
}

function tellShares (figures: ReadonlyMap<SpeechName, Figures[]>): void {
  for (const [name, rounds] of figures) {
    const [server, load] = [median(rounds.map(({ serverShare }) => serverShare)), median(rounds.map(({ loadShare }) => loadShare))]
    process.stdout.write(`  ${name.padEnd(18)} ${String(Math.round(median(rounds.map(({ perCpuSecond }) => perCpuSecond)))).padStart(7)} for each second of CPU; server ${server.toFixed(2)} of its core, load ${load.toFixed(2)}${load > BUSY && server < BUSY ? ': the load was the limit' : ''}\n`)
  }
}

const names = ['ours', 'plain', 'socket.io', 'ours, PeerJS', 'peer', 'ours, promising', 'plain, accepting'] as const
const contenders = new Map<SpeechName, Contender>()
for (const name of names) contenders.set(name, await startContender(name))
const limit = await startLimit()
if (limit !== null) contenders.set('epoll', limit)
for (const setting of SETTINGS) {
  const isBroadcast = setting.size > 2
  const figures = await compare(new Map([...contenders].filter(([name]) => !isBroadcast || !PEER_JS.has(name))), setting)
  tell(setting.what, figures, 'ours', { plain: isBroadcast ? '≥ 1.4' : '≥ 1.25', 'socket.io': isBroadcast ? '≥ 1.6' : '≥ 2' })
  if (!isBroadcast) tell(setting.what, figures, 'ours, PeerJS', { peer: '≥ 1.3' })
  tell(setting.what, figures, 'ours, promising', { 'plain, accepting': isBroadcast ? '≥ 1.4' : '≥ 1.25', plain: 'none' })
  tell(setting.what, figures, 'epoll', { plain: 'none: the limit', ours: 'none: what is left' })
  tellShares(figures)
}
if (limit === null) process.stdout.write(`  no g++ here: C++ with epoll is known to deliver ${KNOWN_LIMIT} times as much as plain ws\n`)
process.exit(0)
