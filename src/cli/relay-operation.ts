/** `turnpike relays drain|restart|upgrade`: begins it, and with --wait stays until it is done; 1 where it has failed. */
import { setTimeout as wait } from 'node:timers/promises'
import { ERRORS } from '../protocol/errors.ts'
import { sendJson } from './api-client.ts'
import type { Command, Input, Option, World } from './command.ts'
import { showRelay } from './relay-commands.ts'
import { clientFor } from './run-api-command.ts'

type Operation = { kind: string, phase: string, detail: string, left: number, cut: number }
type LocalCommand = Command & { run (input: Input, world: World): Promise<number> }

const POLL_MS = 500
const OPTIONS: Record<string, Option> = {
  'drain-seconds': { value: 'n', text: 'how long calls are given to end' },
  'hand-over-seconds': { value: 'n', text: 'how long the coturn that goes takes those who were sent to it' },
  wait: { value: null, text: 'stay until it is done; exit code 1 where it failed' },
  json: { value: null, text: 'the relay as JSON' },
  url: { value: 'address', text: 'of a server elsewhere; its admin key in TURNPIKE_ADMIN_KEY' },
}

export const RELAY_OPERATIONS: Readonly<Record<string, LocalCommand>> = {
  'relays drain': { summary: 'Take a relay out of service: nobody new, and an end when its last call ends.', args: ['relay'], options: OPTIONS, run: (input, world) => operate('drain', input, world) },
  'relays restart': { summary: 'End coturn and start it again; brings a drained relay back.', args: ['relay'], options: OPTIONS, run: (input, world) => operate('restart', input, world) },
  'relays upgrade': { summary: 'Put another coturn in its place without dropping a call.', args: ['relay'], options: { image: { value: 'name:tag', text: 'the image to change to, for the driver docker' }, ...OPTIONS }, run: (input, world) => operate('upgrade', input, world) },
}

async function operate (kind: string, input: Input, world: World): Promise<number> {
  const client = await clientFor(input, world)
  if (client === null) return ERRORS['config-invalid'].exit
  try {
    const path = `/v1/relays/${encodeURIComponent(input.args[0] ?? '')}`
    let relay = await sendJson(client, { method: 'POST', path: `${path}/${kind}`, body: bodyOf(input) })
    let told = ''
    while (input.switches.has('wait') && isUnderWay(operationIn(relay))) {
      const { phase, detail, left } = operationIn(relay)
      const line = `${phase}: ${detail}${left > 0 ? ` (${left} allocations left)` : ''}`
      if (line !== told) process.stderr.write(`${line}\n`)
      told = line
      await wait(POLL_MS)
      relay = await sendJson(client, { method: 'GET', path })
    }
    const { phase, detail, cut } = operationIn(relay)
    process.stdout.write(input.switches.has('json') ? `${JSON.stringify(relay, null, 2)}\n` : input.switches.has('wait') ? `${phase}: ${detail}; ${cut} allocations were cut\n` : showRelay(relay))
    return phase === 'failed' ? 1 : 0
  } finally {
    await client.close()
  }
}

function bodyOf ({ options }: Input): Record<string, unknown> {
  const number = (text: string | undefined): number | string | undefined => (text !== undefined && /^\d+$/.test(text) ? Number(text) : text)
  return { drainSeconds: number(options['drain-seconds']), handOverSeconds: number(options['hand-over-seconds']), image: options['image'] }
}

function operationIn (relay: Record<string, unknown>): Operation {
  return relay['operation'] as Operation
}

function isUnderWay ({ phase }: Operation): boolean {
  return phase !== 'done' && phase !== 'failed'
}
