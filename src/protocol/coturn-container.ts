/**
 * What coturn's container is created with: Turnpike's own network, no rights beyond low ports, nothing writable but its files, bounded memory.
 * In words of the Docker Engine API. The docker driver asks for exactly this, and the Docker guard lets nothing else through.
 */

/** Labels that a container is found again by. `guard`: which guard let it be made; only a guard writes it. `network`: which network it was made in, where that is not the machine's. */
export const LABELS = { relay: 'io.turnpike.relay', owner: 'io.turnpike.owner', digest: 'io.turnpike.digest', network: 'io.turnpike.network', asks: 'io.turnpike.asks', guard: 'io.turnpike.guard' } as const
export const COMPOSE_PROJECT = 'com.docker.compose.project'

const DIRECTORY = '/etc/turnpike'
/** Where the files of a launch stand inside the container. */
export const PATHS = { directory: DIRECTORY, conf: `${DIRECTORY}/turnserver.conf`, cert: `${DIRECTORY}/cert.pem`, key: `${DIRECTORY}/key.pem`, users: '/var/lib/turnpike' } as const
/** Directory of the user database under that of a relay. */
export const USERS_DIRECTORY = 'userdb'

/** nobody, whom the official image runs as. */
export const NOBODY = 65534

/** Threads count too: coturn has a handful for each core. */
const MOST_PROCESSES = 1024
export const MACHINES_NETWORK = 'host'

/** The network that a container has: the machine's, or that of another container (`container:<id>`), which may be made anew under the same id. */
export type ContainerNetwork = { mode: string, /** 12 hexadecimal digits; null for the machine's. */ name: string | null }
export type ContainerNeeds = {
  relay: string
  owner: string
  image: string
  digest: string
  composeProject: string | null
  /** Directory of the user database, as the engine sees it. */
  users: string
  hasLowPort: boolean
  network: ContainerNetwork
  /** What it may use at most; the kernel ends it beyond. */
  memoryBytes: number
}
/** The body of POST /containers/create, and the name in its query. */
export type ContainerRequest = { name: string | null, body: { Image: string, Labels: Record<string, string>, HostConfig: object } & Record<string, unknown> }

export function coturnContainer ({ relay, owner, image, digest, composeProject, users, hasLowPort, network, memoryBytes }: ContainerNeeds): ContainerRequest {
  const body = {
    Image: image,
    // The official entrypoint passes its arguments through a shell's eval; nothing of ours may go there.
    Entrypoint: ['turnserver', '-c', PATHS.conf],
    Cmd: [],
    User: `${NOBODY}:${NOBODY}`,
    Labels: {
      [LABELS.relay]: relay,
      [LABELS.owner]: owner,
      [LABELS.digest]: digest,
      ...(network.name === null ? {} : { [LABELS.network]: network.name }),
      ...(composeProject === null ? {} : { [COMPOSE_PROJECT]: composeProject, 'com.docker.compose.service': 'coturn', 'com.docker.compose.oneoff': 'False' }),
    },
    // A volume of the container's own: files can be put there although the root is read-only, and they go with the container.
    Volumes: { [DIRECTORY]: {} },
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      // Never one of its own: we report, command and probe over loopback, and a published port range would cost a proxy process for each port.
      NetworkMode: network.mode,
      // Shared with us: the secrets in it change while coturn runs.
      Mounts: [{ Type: 'bind', Source: users, Target: PATHS.users }],
      // As process 1, coturn before 4.6.2 does not hear SIGTERM.
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      // The official binary carries this capability itself and does not start without it.
      CapAdd: ['NET_BIND_SERVICE'],
      // With it the binary does not gain its capability, and ports below 1024 stay shut.
      SecurityOpt: hasLowPort ? [] : ['no-new-privileges:true'],
      RestartPolicy: { Name: 'no' },
      Memory: memoryBytes,
      PidsLimit: MOST_PROCESSES,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  }
  return { name: `turnpike-relay-${relay}-${owner}`, body }
}

/** One that says which version of coturn the image holds, and ends. */
export function versionContainer ({ image, owner }: Pick<ContainerNeeds, 'image' | 'owner'>): ContainerRequest {
  return {
    name: null,
    body: {
      Image: image,
      Labels: { [LABELS.asks]: owner },
      Entrypoint: ['turnserver', '--version'],
      User: `${NOBODY}:${NOBODY}`,
      Tty: true,
      HostConfig: { NetworkMode: 'none', CapDrop: ['ALL'], CapAdd: ['NET_BIND_SERVICE'] },
    },
  }
}
