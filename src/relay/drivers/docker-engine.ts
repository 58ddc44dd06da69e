/** Asks the Docker engine for its version. */
import { connect, requireEngine } from './docker.ts'

/** Such as "27.3.1". Throws docker-unreachable. */
export async function engineVersion (dockerHost: string | undefined): Promise<string> {
  const docker = connect(dockerHost)
  await requireEngine(docker, dockerHost)
  const { Version } = await docker.version()
  return Version
}
