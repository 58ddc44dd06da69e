/** `turnpike allocations top`: who relays most now, drawn again every two seconds, as top(1) does it. */
import { setTimeout as wait } from 'node:timers/promises'
import { ERRORS } from '../protocol/errors.ts'
import { sendJson, type ApiClient } from './api-client.ts'
import type { Input, World } from './command.ts'
import { clientFor } from './run-api-command.ts'
import { bytes, table, time } from './tables.ts'

type Json = Record<string, unknown>

const EVERY_MS = 2000
const HOME_AND_CLEAR = '\u001b[H\u001b[J'
/** q, Ctrl-C and Ctrl-D, which a raw terminal hands on as bytes. */
const ENDS = [0x71, 0x03, 0x04]
/** Lines that are not allocations. */
const OTHER_LINES = 5

/** Until q or Ctrl-C; once where nobody looks (a pipe) or with --once. Resolves to the exit code. */
export async function top (input: Input, world: World): Promise<number> {
  const client = await clientFor(input, world)
  if (client === null) return ERRORS['config-invalid'].exit
  const isLive = process.stdout.isTTY === true && !input.switches.has('once') && !input.switches.has('json')
  const stopped = isLive ? whenStopped() : null
  try {
    for (;;) {
      const frame = await frameOf(client, input)
      process.stdout.write(isLive ? HOME_AND_CLEAR + frame : frame)
      if (stopped === null || await Promise.race([stopped.then(() => true), wait(EVERY_MS).then(() => false)])) return 0
    }
  } finally {
    if (isLive) process.stdin.setRawMode?.(false).pause()
    await client.close()
  }
}

async function frameOf (client: ApiClient, input: Input): Promise<string> {
  const order = input.options['order'] ?? 'rate'
  const limit = String(Math.max(5, Math.min(1000, (process.stdout.rows ?? 30) - OTHER_LINES)))
  const answer = await sendJson(client, { method: 'GET', path: '/v1/turn/allocations', query: { order, limit, project: input.options['project'] } })
  return input.switches.has('json') ? `${JSON.stringify(answer, null, 2)}\n` : renderTop(answer, order, Date.now() / 1000)
}

/** One screen of it. */
export function renderTop (answer: Json, order: string, nowSeconds: number): string {
  const allocations = answer['allocations'] as Json[]
  const rate = allocations.reduce((sum, one) => sum + Number(one['bytesPerSecond']), 0)
  const rows = allocations.map(one => [`${bytes(one['bytesPerSecond'])}/s`, bytes(Number(one['bytesFromClient']) + Number(one['bytesToClient'])), one['project'], one['user'], one['room'], one['relay'], one['transport'], one['clientAddress'], ageOf(nowSeconds - Number(one['since'])), one['id']])
  return `turnpike — ${time(Math.floor(nowSeconds))}   ${String(answer['total'])} allocations, ${bytes(rate)}/s of those shown, by ${order}; q ends\n\n${table(['RATE', 'RELAYED', 'PROJECT', 'USER', 'ROOM', 'RELAY', 'BY', 'CLIENT', 'FOR', 'ID'], rows, 'nobody relays anything now')}`
}

/** 4:07, or 1:02:03. */
function ageOf (seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

function whenStopped (): Promise<void> {
  return new Promise(resolve => {
    process.once('SIGINT', () => resolve())
    process.stdin.setRawMode?.(true)
    process.stdin.on('data', (typed: Buffer) => { if (ENDS.includes(typed[0] ?? 0)) resolve() })
    process.stdin.resume()
  })
}
