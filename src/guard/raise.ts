/**
 * After a start of the machine the engine starts everything at once, and older ones (20.10) give a container up for good whose network is
 * that of another one which is not there yet. Those of our compose project are started again as soon as they can be.
 */
import { COMPOSE_PROJECT } from '../protocol/coturn-container.ts'
import type { Engine } from './engine.ts'
import { member } from './json.ts'

/** The engine's own words for it, which it keeps until the container is started. */
const GIVEN_UP = 'cannot join network of a non running container'
/** Who has another policy does not come back by himself, and coturn is started by Turnpike. */
const COME_BACK: ReadonlySet<unknown> = new Set(['always', 'unless-stopped'])
const LOOK_EVERY_MS = 2000
/** A machine that starts is busy; afterwards nothing is given up any more. */
const LOOK_FOR_MS = 180_000

/** Resolves to the names of those that run now. One that still cannot be started is left for the next time. */
export async function raise (engine: Engine, composeProject: string): Promise<string[]> {
  const filters = { label: [`${COMPOSE_PROJECT}=${composeProject}`], status: ['created', 'exited'] }
  const stopped = await engine.json('/containers/json', { all: 'true', filters: JSON.stringify(filters) })
  const raised: string[] = []
  for (const container of Array.isArray(stopped) ? stopped : []) {
    const id = String(member(container, 'Id'))
    const found = await engine.json(`/containers/${id}/json`)
    const isGivenUp = String(member(found, 'State', 'Error')).startsWith(GIVEN_UP) && COME_BACK.has(member(found, 'HostConfig', 'RestartPolicy', 'Name'))
    if (!isGivenUp) continue
    const answered = await engine.open({ method: 'POST', path: `/containers/${id}/start` })
    answered.resume()
    if (answered.statusCode === 204) raised.push(String(member(found, 'Name')).slice(1))
  }
  return raised
}

/** Looks for a while; returns how to stop. */
export function keepRaising (look: () => Promise<void>): () => void {
  const endsAt = performance.now() + LOOK_FOR_MS
  let last = Promise.resolve()
  const timer = setInterval(() => {
    if (performance.now() > endsAt) return clearInterval(timer)
    // One look after another; an engine that does not answer is asked again.
    last = last.then(look).catch(() => {})
  }, LOOK_EVERY_MS).unref()
  return () => clearInterval(timer)
}
