/** The calls that the docker driver makes, and no other: each is understood, and what is asked of the engine is written anew. */
import { COMPOSE_PROJECT, LABELS, PATHS } from '../protocol/coturn-container.ts'
import { repack } from './archive.ts'
import { understandCreate } from './create.ts'
import type { Engine, EngineCall } from './engine.ts'
import { firstDifference, member } from './json.ts'
import { holdsData, isCoturnOf, mountsOf, networkOf, networksFor, requireRealDirectory, turnpikes, type Place } from './place.ts'
import { Refused } from './refused.ts'

/** A request as it came; its body is read where a call has one. */
export type Asked = { method: string, url: string, body: (mostBytes: number) => Promise<Buffer> }
export type CallNeeds = { engine: Engine, place: Place, dataDir: string, images: readonly string[] }
/** What is asked of the engine, or what is answered without it. */
export type Verdict = { call: EngineCall } | { answer: unknown }

type Query = Readonly<Record<string, string>>
type Step = { asked: Asked, query: Query, /** What the path holds. */ part: string, needs: CallNeeds }
type Route = { method: EngineCall['method'], path: RegExp, /** Members of the query that may be there. */ takes: readonly string[], decide: (step: Step) => Promise<Verdict> }

const CREATE_BYTES = 65_536
const ARCHIVE_BYTES = 1_048_576
/** Two for each relay, and one that tells its version; more would be a flood. */
const MOST_CONTAINERS = 64
/** What coturn is told with: end, drain, read the certificate again. */
const SIGNALS: ReadonlySet<string> = new Set(['SIGTERM', 'SIGKILL', 'SIGUSR1', 'SIGUSR2'])
const CONTAINER = String.raw`/containers/([A-Za-z0-9][A-Za-z0-9_.-]{0,200})`
const isTrue = (value: string | undefined): boolean => value === 'true' || value === '1'

const ROUTES: readonly Route[] = [
  plain('/_ping'),
  plain('/version'),
  { method: 'GET', path: /^\/images\/(.{1,300})\/json$/, takes: [], decide: async ({ part, needs }) => ({ call: { method: 'GET', path: `/images/${allowedImage(part, needs)}/json` } }) },
  { method: 'POST', path: /^\/images\/create$/, takes: ['fromImage', 'tag'], decide: pull },
  { method: 'GET', path: /^\/containers\/json$/, takes: ['all', 'filters'], decide: list },
  { method: 'POST', path: /^\/containers\/create$/, takes: ['name'], decide: create },
  { method: 'GET', path: new RegExp(`^${CONTAINER}/json$`), takes: [], decide: inspect },
  { method: 'POST', path: new RegExp(`^${CONTAINER}/start$`), takes: [], decide: start },
  { method: 'POST', path: new RegExp(`^${CONTAINER}/stop$`), takes: ['t'], decide: async step => await onOwn(step, 'POST', '/stop', inSeconds(step.query, 't')) },
  { method: 'POST', path: new RegExp(`^${CONTAINER}/kill$`), takes: ['signal'], decide: kill },
  { method: 'POST', path: new RegExp(`^${CONTAINER}/wait$`), takes: [], decide: async step => await onOwn(step, 'POST', '/wait') },
  { method: 'GET', path: new RegExp(`^${CONTAINER}/logs$`), takes: ['follow', 'stdout', 'stderr', 'since'], decide: logs },
  { method: 'PUT', path: new RegExp(`^${CONTAINER}/archive$`), takes: ['path'], decide: putArchive },
  { method: 'DELETE', path: new RegExp(`^${CONTAINER}$`), takes: ['force', 'v'], decide: async step => await onOwn(step, 'DELETE', '', flags(step.query)) },
]

/** Throws Refused. */
export async function decide (asked: Asked, needs: CallNeeds): Promise<Verdict> {
  const [path = '', search = '', ...rest] = asked.url.split('?')
  // Nothing that one program reads in one way and another in another.
  if (rest.length > 0 || !/^\/[\w.:@/-]+$/.test(path) || /\/\/|\/\.{1,2}(\/|$)/.test(path)) throw new Refused('the path is not plain')
  for (const route of ROUTES) {
    const found = route.method === asked.method ? route.path.exec(path) : null
    if (found !== null) return await route.decide({ asked, query: queryOf(search, route.takes), part: found[1] ?? '', needs })
  }
  throw new Refused('not a call that Turnpike makes')
}

function queryOf (search: string, takes: readonly string[]): Query {
  const entries = [...new URLSearchParams(search)]
  const query = Object.fromEntries(entries)
  const strange = entries.find(([name]) => !takes.includes(name))
  if (strange !== undefined || Object.keys(query).length !== entries.length) throw new Refused('the query holds something that Turnpike does not ask')
  return query
}

function plain (path: string): Route {
  return { method: 'GET', path: new RegExp(`^${path}$`), takes: [], decide: async () => ({ call: { method: 'GET', path } }) }
}

function allowedImage (named: string, { images }: CallNeeds): string {
  const image = images.find(allowed => allowed === named)
  if (image === undefined) throw new Refused(`only the image ${images.join(', ')} may be used; TURNPIKE_GUARD_IMAGES names more`)
  return image
}

async function pull ({ query: { fromImage = '', tag }, needs }: Step): Promise<Verdict> {
  const separator = tag?.includes(':') === true ? '@' : ':'
  allowedImage(tag === undefined ? fromImage : `${fromImage}${separator}${tag}`, needs)
  return { call: { method: 'POST', path: '/images/create', query: { fromImage, ...(tag === undefined ? {} : { tag }) } } }
}

async function list ({ query, needs: { engine, place } }: Step): Promise<Verdict> {
  const filters = parse(query['filters'] ?? '{}')
  const labels = member(filters, 'label')
  // An empty list would be every container there is; the answer holds ours alone all the same.
  if (!Array.isArray(labels) || labels.some(label => typeof label !== 'string') || firstDifference(filters, { label: labels }) !== null) throw new Refused('containers are listed by their labels alone')
  const found = await engine.json('/containers/json', { ...(isTrue(query['all']) ? { all: 'true' } : {}), filters: JSON.stringify({ label: labels }) })
  return { answer: (Array.isArray(found) ? found : []).filter(container => isCoturnOf(place, container)) }
}

async function create ({ asked, query, needs }: Step): Promise<Verdict> {
  const { place, engine, dataDir } = needs
  const understood = understandCreate(query['name'] ?? null, (await asked.body(CREATE_BYTES)).toString('utf8'), { ...needs, networks: await networksFor(engine, place) })
  if (understood.users !== null) await requireRealDirectory(place, dataDir, understood.users)
  const made = await engine.json('/containers/json', { all: 'true', filters: JSON.stringify({ label: [`${LABELS.guard}=${place.mark}`] }) })
  if (Array.isArray(made) && made.length >= MOST_CONTAINERS) throw new Refused(`there are ${made.length} containers of this Turnpike already`)
  const body = { type: 'application/json', bytes: Buffer.from(JSON.stringify(understood.body)) }
  return { call: { method: 'POST', path: '/containers/create', query: understood.name === null ? {} : { name: understood.name }, body } }
}

/** A coturn as it is; of Turnpike's own container what is mounted in it and which network it has, and nothing of its environment. */
async function inspect ({ part, needs: { engine, place } }: Step): Promise<Verdict> {
  const found = await engine.json(`/containers/${part}/json`)
  if (found === undefined) throw new Refused(`No such container: ${part}`, 404)
  if (isCoturnOf(place, found)) return { answer: found }
  const own = holdsData(place, found) ? found : (await turnpikes(engine, place)).find(container => networkOf(container) === `container:${String(member(found, 'Id'))}`)
  // Who shares the network of another container knows itself by that one's id alone, and asks for that.
  if (own === undefined) throw new Refused('this container is not one of this Turnpike')
  const { composeProject } = place
  const Mounts = mountsOf(own).map(({ source, target }) => ({ Source: source, Destination: target }))
  return { answer: { Id: member(own, 'Id'), Config: { Labels: composeProject === null ? {} : { [COMPOSE_PROJECT]: composeProject } }, HostConfig: { NetworkMode: networkOf(own) }, Mounts } }
}

/** Its id in full, so that what is looked at is what is acted upon. */
async function requireOwn ({ part, needs: { engine, place } }: Step): Promise<{ id: string, found: unknown }> {
  const found = await engine.json(`/containers/${part}/json`)
  if (found === undefined) throw new Refused(`No such container: ${part}`, 404)
  const id = member(found, 'Id')
  if (!isCoturnOf(place, found) || typeof id !== 'string') throw new Refused('this container is not one of this Turnpike')
  return { id, found }
}

async function onOwn (step: Step, method: EngineCall['method'], what: string, query: Query = {}, body?: EngineCall['body']): Promise<Verdict> {
  const { id } = await requireOwn(step)
  return { call: { method, path: `/containers/${id}${what}`, query, ...(body === undefined ? {} : { body }) } }
}

async function start (step: Step): Promise<Verdict> {
  const { place, dataDir } = step.needs
  const { id, found } = await requireOwn(step)
  // Once more: the engine looks for the directory now.
  const users = mountsOf(found).find(({ target }) => target === PATHS.users)
  if (users !== undefined) await requireRealDirectory(place, dataDir, users.source)
  return { call: { method: 'POST', path: `/containers/${id}/start` } }
}

async function kill (step: Step): Promise<Verdict> {
  const signal = step.query['signal'] ?? ''
  if (!SIGNALS.has(signal)) throw new Refused('not a signal that Turnpike sends')
  return await onOwn(step, 'POST', '/kill', { signal })
}

async function logs (step: Step): Promise<Verdict> {
  const { follow, stdout, stderr } = step.query
  return await onOwn(step, 'GET', '/logs', { ...flags({ ...(follow === undefined ? {} : { follow }), ...(stdout === undefined ? {} : { stdout }), ...(stderr === undefined ? {} : { stderr }) }), ...inSeconds(step.query, 'since') })
}

async function putArchive (step: Step): Promise<Verdict> {
  if (step.query['path'] !== PATHS.directory) throw new Refused(`files are put into ${PATHS.directory} alone`)
  const { id } = await requireOwn(step)
  const bytes = await repack(await step.asked.body(ARCHIVE_BYTES))
  return { call: { method: 'PUT', path: `/containers/${id}/archive`, query: { path: PATHS.directory }, body: { type: 'application/x-tar', bytes } } }
}

function flags (query: Query): Query {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => isTrue(value)).map(([name]) => [name, 'true']))
}

function inSeconds (query: Query, name: string): Query {
  const value = query[name]
  if (value === undefined) return {}
  if (!/^\d{1,12}(\.\d{1,9})?$/.test(value)) throw new Refused(`${name} is no time`)
  return { [name]: value }
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Refused('filters are no JSON')
  }
}
