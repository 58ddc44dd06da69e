/** Runs coturn as a container through the Docker Engine API (dockerode): created with its configuration inside, watched, taken over, ended. */
import Docker, { type Container } from 'dockerode'
import { createHash } from 'node:crypto'
import type { Log } from '../../lifecycle.ts'
import { COMPOSE_PROJECT, coturnContainer, LABELS, NOBODY, PATHS, USERS_DIRECTORY, versionContainer, type ContainerNetwork, type ContainerRequest } from '../../protocol/coturn-container.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { parseVersion, refusalOf } from '../coturn-versions.ts'
import type { Driver, DriverEvents, Launch, Prepared, UserDatabaseHome } from '../driver.ts'
import { removeUserDatabase } from '../records.ts'
import { hostPathOf, networkFor, ownContainer } from './docker-self.ts'
import { launchArchive, tlsArchive } from './docker-archive.ts'
import { watchContainer } from './docker-watch.ts'
import { requireFreePorts } from './free-ports.ts'

export type DockerNeeds = {
  /** The relay's id: one container for each. */
  relay: string
  /** Tells this data directory's container from those of others on the same engine. */
  owner: string
  image: string
  /** What coturn may use at most. */
  memoryBytes: number
  /** Where the relay's files stand, as we see it. */
  directory: string
  /** DOCKER_HOST, where it is set. */
  dockerHost: string | undefined
  log: Log
}

const ENGINE_TIMEOUT_MS = 3000
const STOP_SECONDS = 1

export function createDockerDriver (needs: DockerNeeds): Driver {
  const docker = connect(needs.dockerHost)
  let container: Container | null = null
  let stopWatching = (): void => {}

  const watch = async (found: Container, adopted: boolean, events: DriverEvents): Promise<void> => {
    container = found
    const stop = await watchContainer(found, adopted ? Date.now() / 1000 : 0, { onLine: events.onLogLine, onEnd: what => events.onExit(new TurnpikeError('relay-stopped', what)) })
    stopWatching = () => {
      stop()
      stopWatching = () => {}
    }
  }

  return {
    kind: 'docker',
    prepare: async () => await prepareImage(docker, needs),
    start: async (launch, events) => {
      const { found, adopted } = await takeOverOrCreate(docker, needs, launch)
      await watch(found, adopted, events)
      return { adopted }
    },
    runsAnother: async launch => {
      const network = await networkFor(docker)
      const digest = await digestOf(docker, needs, launch, network)
      return (await runningIn(network, docker, needs)).some(({ Labels }) => Labels[LABELS.digest] !== digest)
    },
    takeOver: async events => {
      const [found] = await runningIn(await networkFor(docker), docker, needs)
      if (found === undefined) return null
      await watch(docker.getContainer(found.Id), true, events)
      return { userDatabase: { ...userDatabaseOf(needs.directory), path: `${PATHS.users}/turndb` } }
    },
    replaceTls: async tls => { if (container !== null) await reloadTls(container, tls) },
    drain: async () => { await container?.kill({ signal: 'SIGUSR1' }) },
    stop: async deadlineMs => {
      stopWatching()
      const known = container
      container = null
      const found = known === null ? (await withinTime(containersOf(docker, needs)).catch(() => [])).map(({ Id }) => docker.getContainer(Id)) : [known]
      for (const one of found) {
        await one.stop({ t: deadlineMs > 2000 ? STOP_SECONDS : 0 }).catch(ignoreGone)
        await one.remove({ force: true, v: true }).catch(ignoreGone)
      }
      if (found.length > 0) removeUserDatabase(userDatabaseOf(needs.directory))
    },
    release: () => stopWatching(),
  }
}

async function withinTime<T> (work: Promise<T>): Promise<T> {
  return await Promise.race([work, new Promise<never>((_resolve, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${ENGINE_TIMEOUT_MS} ms`)), ENGINE_TIMEOUT_MS).unref()
  })])
}

/** Does the engine answer? Throws docker-unreachable with the way it was tried. */
export async function requireEngine (docker: Docker, dockerHost: string | undefined): Promise<void> {
  try {
    await withinTime(docker.ping())
  } catch (error) {
    throw new TurnpikeError('docker-unreachable', `${dockerHost ?? '/var/run/docker.sock'}: ${(error as Error).message}`, { cause: error })
  }
}

export function connect (dockerHost: string | undefined): Docker {
  if (dockerHost === undefined || dockerHost === '') return new Docker({ socketPath: '/var/run/docker.sock' })
  if (dockerHost.startsWith('unix://')) return new Docker({ socketPath: dockerHost.slice('unix://'.length) })
  const url = new URL(dockerHost)
  return new Docker({ host: url.hostname, port: Number(url.port || 2375), protocol: url.protocol === 'https:' ? 'https' : 'http' })
}

/** Makes sure that the engine answers and has the image, pulling it where it is not there. Throws docker-unreachable or relay-image-missing. */
export async function requireImage (docker: Docker, { image, dockerHost, log }: Pick<DockerNeeds, 'image' | 'dockerHost' | 'log'>): Promise<void> {
  await requireEngine(docker, dockerHost)
  const isHere = await docker.getImage(image).inspect().then(() => true, () => false)
  if (isHere) return
  log.info({ image }, 'pulling the image of coturn')
  try {
    const stream = await docker.pull(image)
    await new Promise<void>((resolve, reject) => docker.modem.followProgress(stream, error => (error === null ? resolve() : reject(error))))
  } catch (error) {
    throw new TurnpikeError('relay-image-missing', `${image} is not here, and pulling it failed: ${(error as Error).message}`, { cause: error })
  }
}

async function prepareImage (docker: Docker, needs: DockerNeeds): Promise<Prepared> {
  await requireImage(docker, needs)
  const version = parseVersion(await printedBy(docker, needs))
  if (version === null) throw new TurnpikeError('relay-image-missing', `${needs.image} holds no turnserver that tells its version`)
  const refusal = refusalOf(version)
  if (refusal !== null) throw new TurnpikeError('relay-program-refused', `${needs.image} is coturn ${version.join('.')}: ${refusal}`)
  return { version: version.join('.'), certPath: PATHS.cert, keyPath: PATHS.key, userDatabase: { ...userDatabaseOf(needs.directory), path: `${PATHS.users}/turndb` }, runAs: null }
}

function userDatabaseOf (directory: string): UserDatabaseHome {
  return { directory: `${directory}/${USERS_DIRECTORY}`, owner: { uid: NOBODY, gid: NOBODY } }
}

/** What `turnserver --version` prints in a container of its own. */
async function printedBy (docker: Docker, { image, owner }: Pick<DockerNeeds, 'image' | 'owner'>): Promise<string> {
  // Of a process that was killed while it asked.
  const left = await docker.listContainers({ all: true, filters: { label: [`${LABELS.asks}=${owner}`] } })
  await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true }).catch(ignoreGone)))
  const container = await create(docker, versionContainer({ image, owner }))
  try {
    await container.start()
    await container.wait()
    return String(await container.logs({ stdout: true, stderr: true }))
  } catch (error) {
    throw new TurnpikeError('relay-image-missing', `${image} holds no turnserver that can be run: ${(error as Error).message}`, { cause: error })
  } finally {
    await container.remove({ force: true, v: true }).catch(ignoreGone)
  }
}

async function takeOverOrCreate (docker: Docker, needs: DockerNeeds, launch: Launch): Promise<{ found: Container, adopted: boolean }> {
  const network = await networkFor(docker)
  const digest = await digestOf(docker, needs, launch, network)
  const users = await hostPathOf(docker, userDatabaseOf(needs.directory).directory)
  const mine = await containersOf(docker, needs)
  const same = mine.find(({ State, Labels }) => State === 'running' && Labels[LABELS.digest] === digest)
  for (const { Id } of mine) {
    if (Id !== same?.Id) await docker.getContainer(Id).remove({ force: true, v: true }).catch(ignoreGone)
  }
  if (same !== undefined) {
    const found = docker.getContainer(same.Id)
    if (launch.tls !== null) await reloadTls(found, launch.tls)
    return { found, adopted: true }
  }
  await requireFreePorts(launch.listen)
  const hasLowPort = launch.listen.port < 1024 || (launch.listen.tlsPort ?? 1024) < 1024
  const composeProject = (await ownContainer(docker))?.Config.Labels[COMPOSE_PROJECT] ?? null
  const found = await create(docker, coturnContainer({ ...needs, digest, users, hasLowPort, composeProject, network }))
  await found.putArchive(await launchArchive(launch), { path: PATHS.directory })
  await found.start()
  return { found, adopted: false }
}

/** Throws docker-refused where a guard stands before the engine and does not let it through. */
async function create (docker: Docker, { name, body }: ContainerRequest): Promise<Container> {
  try {
    // Told apart, because dockerode would put the whole body into the query too.
    return await docker.createContainer({ _query: name === null ? {} : { name }, _body: body } as Docker.ContainerCreateOptions)
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 403) throw error
    throw new TurnpikeError('docker-refused', (error as Error).message.trim(), { cause: error })
  }
}

/** Without the certificate, which changes while coturn runs. */
async function digestOf (docker: Docker, { image, directory, memoryBytes }: DockerNeeds, { conf, listen }: Launch, network: ContainerNetwork): Promise<string> {
  const { Id: imageId } = await docker.getImage(image).inspect()
  const users = await hostPathOf(docker, userDatabaseOf(directory).directory)
  return createHash('sha256').update(JSON.stringify([conf, listen, imageId, users, memoryBytes, network])).digest('hex')
}

async function containersOf (docker: Docker, { relay, owner }: Pick<DockerNeeds, 'relay' | 'owner'>): Promise<Docker.ContainerInfo[]> {
  return await docker.listContainers({ all: true, filters: { label: [`${LABELS.relay}=${relay}`, `${LABELS.owner}=${owner}`] } })
}

/** Those that can be reached. One in a network that is gone has no calls any more, and nobody is told of it. */
async function runningIn (network: ContainerNetwork, docker: Docker, needs: Pick<DockerNeeds, 'relay' | 'owner'>): Promise<Docker.ContainerInfo[]> {
  return (await containersOf(docker, needs)).filter(({ State, Labels }) => State === 'running' && (Labels[LABELS.network] ?? null) === network.name)
}

async function reloadTls (container: Container, tls: NonNullable<Launch['tls']>): Promise<void> {
  await container.putArchive(await tlsArchive(tls), { path: PATHS.directory })
  await container.kill({ signal: 'SIGUSR2' })
}

/** 304 and 404: it has stopped or gone already, which is what was wanted. */
function ignoreGone (error: { statusCode?: number }): void {
  if (error.statusCode !== 304 && error.statusCode !== 404 && error.statusCode !== 409) throw error
}
