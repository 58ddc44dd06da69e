/**
 * Settings from the environment, from secret files and from one file of settings, in that order of strength.
 * Every problem is found before anything is said, so that one run shows all there is to correct.
 */
import { parse as parseYaml } from 'yaml'
import { isTurnpikeError } from '../protocol/errors.ts'
import { applyPatch, isProjectId, PROJECT_ID_EXPECTED } from '../protocol/project-settings.ts'
import { measureMachine, type Machine } from './machine.ts'
import { certificateOf, httpsPortFor } from './certificate.ts'
import type { Config } from './schema.ts'
import { listSettings, NO_DOMAIN, type Setting } from './settings.ts'
import { findConflicts } from './conflicts.ts'
import { readRelays } from './relays.ts'
import { lastRelayPort } from './sizing.ts'

/** One thing that is wrong: where, what it is (never of a secret), what was expected. */
export type ConfigProblem = { where: string, message: string }
export type Source = 'environment' | 'secret file' | 'settings file' | 'default' | 'computed from the machine' | 'computed from other settings'
export type Loaded = {
  /** Every setting resolved, frozen. Only to be used where `problems` is empty. */
  config: Config
  problems: ConfigProblem[]
  /** What should be known and stops nothing: unknown variables, values that lose against stronger ones. */
  warnings: string[]
  /** Where each variable's value came from. */
  sources: Map<string, Source>
}
export type LoadNeeds = { env: Readonly<Record<string, string | undefined>>, readFile: (path: string) => string, /** Measured where it is not given. */ machine?: Machine }

type Found = { value: unknown, source: Source } | null
type RelayPorts = { driver: string, minPort: number, maxPort?: number, port: number, tlsPort: number, alternatePort: number, alternateTlsPort: number }
type Unresolved = Omit<Pick<Config, 'dataDir' | 'domain' | 'publicHost' | 'tls' | 'acme' | 'edge' | 'certificate'>, 'domain'> & { domain?: string, https: { port?: number, publicPort?: number } }
type Gathered = { problems: ConfigProblem[], warnings: string[] }

/** Reads all settings. Never throws: what is wrong is in `problems`. */
export function loadConfig ({ env, readFile, machine }: LoadNeeds): Loaded {
  const gathered: Gathered = { problems: [], warnings: [] }
  const settings = listSettings()
  const file = readSettingsFile(env, readFile, settings, gathered)
  const sources = new Map<string, Source>()
  const config: Record<string, unknown> = {}
  for (const setting of settings) {
    const found = findValue(setting, env, readFile, file, gathered)
    if (found !== null && !setting.accepts(found.value)) gathered.problems.push(problemOf(setting, found))
    sources.set(setting.variable, found?.source ?? 'default')
    assign(config, setting.path, found?.value ?? setting.fallback)
  }
  computeMaxPort(config['relay'] as RelayPorts, sources, isOwn => machine ?? measureMachine(readFile, isOwn))
  computeFromDomain(config as unknown as Unresolved, sources)
  const declared = isObject(file) && isObject(file['projects']) ? file['projects'] : {}
  // A name with nothing under it is null in YAML, and means a project as it is by default.
  const projects = Object.fromEntries(Object.entries(declared).map(([id, patch]) => [id, patch ?? {}]))
  gathered.problems.push(...projectProblems(file))
  const relays = readRelays(file, settings)
  gathered.problems.push(...relays.problems)
  gathered.warnings.push(...unknownVariables(env, settings))
  if (gathered.problems.length === 0) {
    const conflicts = findConflicts({ ...config, projects, relays: relays.relays } as Config, readFile)
    gathered.problems.push(...conflicts.problems)
    gathered.warnings.push(...conflicts.warnings)
  }
  return { config: freeze({ ...config, projects, relays: relays.relays }) as Config, ...gathered, sources }
}

/** The one default that depends on where this runs. */
function computeMaxPort (relay: RelayPorts, sources: Map<string, Source>, machine: (isOwn: boolean) => Machine): void {
  if (relay.maxPort !== undefined) return
  relay.maxPort = lastRelayPort(relay.minPort, machine(relay.driver !== 'docker'), [relay.port, relay.tlsPort, relay.alternatePort, relay.alternateTlsPort])
  sources.set('TURNPIKE_RELAY_MAX_PORT', 'computed from the machine')
}

/** What follows from the name that people use. */
function computeFromDomain (config: Unresolved, sources: Map<string, Source>): void {
  const follow = (variable: string): void => { sources.set(variable, 'computed from other settings') }
  if (config.domain === NO_DOMAIN) delete config.domain
  if (config.publicHost === undefined && config.domain !== undefined) {
    config.publicHost = config.domain
    follow('TURNPIKE_PUBLIC_HOST')
  }
  config.certificate = certificateOf(config)
  const { https, edge } = config
  if (https.port === undefined) {
    https.port = httpsPortFor(config)
    follow('TURNPIKE_HTTPS_PORT')
  }
  https.publicPort = https.port === 0 || edge.port === 0 ? https.port : edge.port
}

function findValue (setting: Setting, env: LoadNeeds['env'], readFile: LoadNeeds['readFile'], file: object, { problems, warnings }: Gathered): Found {
  const text = present(env[setting.variable])
  const secretFile = setting.secret ? present(env[`${setting.variable}_FILE`]) : undefined
  if (text !== undefined) {
    if (secretFile !== undefined) warnings.push(`${setting.variable}_FILE is not read, because ${setting.variable} is set too`)
    return { value: parseText(setting, text), source: 'environment' }
  }
  if (secretFile !== undefined) {
    try {
      return { value: readFile(secretFile).replace(/\r?\n$/, ''), source: 'secret file' }
    } catch (error) {
      problems.push({ where: `${setting.variable}_FILE`, message: `names ${secretFile}, which cannot be read (${reasonOf(error)}); expected a file with the secret in it` })
      return null
    }
  }
  const value = setting.path.reduce<unknown>((node, key) => (isObject(node) ? node[key] : undefined), file)
  return value === undefined || value === null ? null : { value, source: 'settings file' }
}

/** An empty variable is one that is not set: compose files pass variables on that nobody has filled in. */
function present (text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text.trim()
}

function parseText (setting: Setting, text: string): unknown {
  if (setting.kind === 'integer') return /^[+-]?\d+$/.test(text) ? Number(text) : text
  if (setting.kind !== 'list') return text
  return text === 'none' ? [] : text.split(',').map(item => item.trim()).filter(item => item !== '')
}

function problemOf (setting: Setting, { value, source }: NonNullable<Found>): ConfigProblem {
  const where = source === 'settings file' ? `${setting.path.join('.')} (${setting.variable})` : setting.variable
  const shown = setting.secret ? `has ${String(value).length} characters` : `is ${JSON.stringify(value)}`
  return { where, message: `${shown}; expected ${setting.expected}` }
}

function readSettingsFile (env: LoadNeeds['env'], readFile: LoadNeeds['readFile'], settings: readonly Setting[], { problems }: Gathered): object {
  const path = present(env['TURNPIKE_CONFIG'])
  if (path === undefined) return {}
  let parsed: unknown
  try {
    // YAML 1.2 holds JSON within it, so one parser reads both.
    parsed = parseYaml(readFile(path)) ?? {}
  } catch (error) {
    problems.push({ where: 'TURNPIKE_CONFIG', message: `names ${path}, which cannot be read as YAML or JSON (${reasonOf(error)})` })
    return {}
  }
  if (!isObject(parsed)) {
    problems.push({ where: 'TURNPIKE_CONFIG', message: `names ${path}, which holds no settings; expected an object such as http: {port: 8080}` })
    return {}
  }
  const known = new Set(settings.map(setting => setting.path.join('.')))
  const sections = new Set(settings.flatMap(setting => setting.path.slice(0, -1)))
  for (const key of pathsOf(parsed, sections)) {
    if (!known.has(key) && key !== 'projects' && key !== 'relays') problems.push({ where: key, message: `is no setting${suggestion(key, known)}` })
  }
  return parsed
}

/** Declared projects are a part of the file that no variable can say. */
function projectProblems (file: object): ConfigProblem[] {
  const { projects = {} } = file as { projects?: unknown }
  if (!isObject(projects)) return [{ where: 'projects', message: 'holds no projects; expected an object such as shop: {expiry: hard}' }]
  return Object.entries(projects).flatMap(([id, patch]) => {
    if (!isProjectId(id)) return [{ where: `projects.${id}`, message: `is no id; it ${PROJECT_ID_EXPECTED}` }]
    try {
      applyPatch({}, patch ?? {})
      return []
    } catch (error) {
      return isTurnpikeError(error) ? error.fields.map(({ field, message }) => ({ where: `projects.${id}.${field}`, message })) : []
    }
  })
}

function pathsOf (node: object, sections: ReadonlySet<string>): string[] {
  return Object.entries(node).flatMap(([key, child]) => {
    if (sections.has(key) && isObject(child)) return Object.keys(child).map(name => `${key}.${name}`)
    return [key]
  })
}

function unknownVariables (env: LoadNeeds['env'], settings: readonly Setting[]): string[] {
  const known = new Set(settings.flatMap(setting => (setting.secret ? [setting.variable, `${setting.variable}_FILE`] : [setting.variable])))
  known.add('TURNPIKE_CONFIG')
  return Object.keys(env).filter(name => name.startsWith('TURNPIKE_') && !known.has(name))
    .map(name => `${name} is no setting and is not read${suggestion(name, known)}`)
}

function suggestion (name: string, known: ReadonlySet<string>): string {
  const ranked = [...known].map(other => ({ other, distance: editDistance(name.toLowerCase(), other.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const nearest = ranked[0]
  return nearest !== undefined && nearest.distance <= 3 ? `; did you mean ${nearest.other}?` : ''
}

/** Levenshtein's distance, one row at a time. */
function editDistance (a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length] ?? 0
}

function assign (target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [head = '', ...rest] = path
  if (rest.length > 0) {
    const child = (target[head] ??= {}) as Record<string, unknown>
    assign(child, rest, value)
  } else if (value !== undefined) {
    target[head] = value
  }
}

function freeze (node: unknown): unknown {
  if (typeof node === 'object' && node !== null) Object.values(node).forEach(freeze)
  return Object.freeze(node)
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function reasonOf (error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'permission denied'
  return error.message.split('\n')[0] ?? error.message
}
