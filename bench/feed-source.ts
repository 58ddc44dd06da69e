/**
 * What coturn tells its statistics database, told by a process of its own that has no sessions: `feed-source.ts <port> <password> <projects>`.
 * Prints `ready`; then `begin <allocations>`, `run <events a second> <ms>` and `end` are each answered, when the listener has taken everything in,
 * with what was told so far, as JSON. Events are what counts: a new or deleted allocation, a report or a total; what coturn says beside is said too.
 */
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'

/** Where the feed of a relay on loopback listens. */
const HOST = '127.0.0.2'
const TICK_MS = 5
const USERS = 10_000
/** In the life of an allocation: after it has begun and before it ends. */
const REPORTS = 7
const REPORT = { packets: 2048, bytes: 352_256 }
/** What only the total tells. */
const UNREPORTED = { packets: 3, bytes: 516 }

const TRANSPORTS = ['UDP', 'TCP', 'TLS/TCP', 'DTLS']

type Session = { path: string, reports: number }

const [port = '', password = '', projects = ''] = process.argv.slice(2)
const socket = connect({ host: HOST, port: Number(port) })
const expiry = Math.floor(Date.now() / 1000) + 86_400
const told = { events: 0, allocations: 0, bytes: 0, seconds: 0 }
const live: Session[] = []
const commands = { asked: 0, answered: 0 }
let turn = 0
let waiting: string[] = []

// Each answer is one line.
socket.on('data', bytes => { for (const byte of bytes) if (byte === 10) commands.answered++ })
socket.on('close', () => process.exit(1))

function say (...words: string[]): void {
  commands.asked++
  waiting.push(`*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
}

function counts ({ packets, bytes }: { packets: number, bytes: number }): string {
  return `rcvp=${packets}, rcvb=${bytes}, sentp=${packets}, sentb=${bytes}`
}

function begin (): Session {
  const number = ++told.allocations
  const path = `turn/realm/turnpike/user/${expiry}:bench-${number % Number(projects)}.user-${number % USERS}.0/allocation/${String(1e15 + number).padStart(18, '0')}`
  const status = `new lifetime=600, type=${TRANSPORTS[Math.floor(number / Number(projects)) % TRANSPORTS.length]}, local=127.0.0.1:3478, remote=127.0.0.1:${1024 + number % 60_000}, ssl=NONE, cipher=NONE`
  say('SET', `${path}/status`, status)
  say('PUBLISH', `${path}/status`, status)
  told.events++
  return { path, reports: 0 }
}

function tell (session: Session): void {
  say('PUBLISH', `${session.path}/traffic`, counts(REPORT))
  say('PUBLISH', `${session.path}/traffic/peer`, counts(REPORT))
  session.reports++
  told.events++
}

function end ({ path, reports }: Session): void {
  const total = { packets: reports * REPORT.packets + UNREPORTED.packets, bytes: reports * REPORT.bytes + UNREPORTED.bytes }
  say('DEL', `${path}/status`)
  say('PUBLISH', `${path}/status`, 'deleted')
  say('PUBLISH', `${path}/total_traffic`, counts(total))
  say('PUBLISH', `${path}/total_traffic/peer`, counts(total))
  told.events += 2
  told.bytes += total.bytes * 2
}

/** Of an allocation, the next thing in its life; then it is another one's turn. */
function advance (): void {
  const at = turn++ % live.length
  const session = live[at]
  if (session === undefined) return
  if (session.reports < REPORTS) return tell(session)
  end(session)
  live[at] = begin()
}

function flush (): void {
  if (waiting.length === 0) return
  socket.write(waiting.join(''))
  waiting = []
}

async function settled (): Promise<void> {
  flush()
  while (commands.answered < commands.asked) await wait(1)
}

async function run (perSecond: number, forMs: number): Promise<void> {
  const [began, before] = [performance.now(), told.events]
  for (let elapsed = 0; elapsed < forMs;) {
    elapsed = Math.min(performance.now() - began, forMs)
    while (told.events - before < elapsed / 1000 * perSecond) advance()
    flush()
    await wait(TICK_MS)
  }
  await settled()
  told.seconds = (performance.now() - began) / 1000
}

/** A few at a time: it is not the beginning that is measured. */
async function beginMany (count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    live.push(begin())
    if (i % 100 === 99) await settled()
  }
}

async function obey (line: string): Promise<void> {
  const [what, ...numbers] = line.split(' ')
  const [first = 0, second = 0] = numbers.map(Number)
  if (what === 'begin') await beginMany(first)
  else if (what === 'run') await run(first, second)
  else for (const session of live.splice(0)) end(session)
  await settled()
  process.stdout.write(`${JSON.stringify(told)}\n`)
}

say('AUTH', password)
await settled()
process.stdout.write('ready\n')
createInterface({ input: process.stdin }).on('line', line => { obey(line).catch((error: unknown) => { throw error }) }).on('close', () => process.exit(0))
