/** The relays beside the first, which only the settings file can declare: `relays: {fra: {driver: external, host: …}}`. */
import { FIRST_RELAY } from '../protocol/relay-names.ts'
import type { Setting } from './settings.ts'

type Problem = { where: string, message: string }

const ID = /^[a-z0-9-]{1,32}$/
const HOST = 'host'

/** What each declares; of what is wrong everything is told. */
export function readRelays (file: object, settings: readonly Setting[]): { relays: Record<string, Record<string, unknown>>, problems: Problem[] } {
  const declared = (file as { relays?: unknown }).relays ?? {}
  if (!isObject(declared)) return { relays: {}, problems: [{ where: 'relays', message: 'holds no relays; expected an object such as fra: {driver: external, host: turn.fra.example}' }] }
  const entries = Object.entries(declared)
  return { relays: Object.fromEntries(entries.filter((entry): entry is [string, Record<string, unknown>] => isObject(entry[1]))), problems: entries.flatMap(([id, relay]) => problemsOf(id, relay, settings)) }
}

function problemsOf (id: string, relay: unknown, settings: readonly Setting[]): Problem[] {
  const where = `relays.${id}`
  if (!ID.test(id)) return [{ where, message: 'is no id; expected 1 to 32 characters out of a-z, 0-9 and -' }]
  if (id === FIRST_RELAY) return [{ where, message: 'is the relay that the settings of relay describe; expected another id' }]
  if (!isObject(relay)) return [{ where, message: 'holds no settings; expected an object such as {driver: external, host: turn.fra.example}' }]
  return Object.entries(relay).flatMap(([name, value]) => {
    const setting = settingFor(name, settings)
    if (setting === undefined) return [{ where: `${where}.${name}`, message: 'is no setting of a relay; expected host, or one of relay' }]
    if (setting.accepts(value)) return []
    return [{ where: `${where}.${name}`, message: `${setting.secret ? 'is wrong' : `is ${JSON.stringify(value)}`}; expected ${setting.expected}` }]
  })
}

/** A relay's host is what publicHost is for the first one. */
function settingFor (name: string, settings: readonly Setting[]): Setting | undefined {
  const path = name === HOST ? 'publicHost' : `relay.${name}`
  return settings.find(setting => setting.path.join('.') === path)
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
