/** What coturn's container is created with: the machine's network, no rights beyond low ports, nothing writable but its files. */
import type { ContainerCreateOptions } from 'dockerode'

/** Labels that a container is found again by. */
export const LABELS = { relay: 'io.turnpike.relay', owner: 'io.turnpike.owner', digest: 'io.turnpike.digest', asks: 'io.turnpike.asks' } as const

const DIRECTORY = '/etc/turnpike'
/** Where the files of a launch stand inside the container. */
export const PATHS = { directory: DIRECTORY, conf: `${DIRECTORY}/turnserver.conf`, cert: `${DIRECTORY}/cert.pem`, key: `${DIRECTORY}/key.pem`, users: '/var/lib/turnpike' } as const

/** nobody, whom the official image runs as. */
export const NOBODY = 65534

export type ContainerNeeds = { relay: string, owner: string, image: string, digest: string, composeProject: string | null, /** Directory of the user database, as the engine sees it. */ users: string, hasLowPort: boolean }

export function containerOptions ({ relay, owner, image, digest, composeProject, users, hasLowPort }: ContainerNeeds): ContainerCreateOptions {
  return {
    name: `turnpike-relay-${relay}-${owner}`,
    Image: image,
    // The official entrypoint passes its arguments through a shell's eval; nothing of ours may go there.
    Entrypoint: ['turnserver', '-c', PATHS.conf],
    Cmd: [],
    User: `${NOBODY}:${NOBODY}`,
    Labels: {
      [LABELS.relay]: relay,
      [LABELS.owner]: owner,
      [LABELS.digest]: digest,
      ...(composeProject === null ? {} : { 'com.docker.compose.project': composeProject, 'com.docker.compose.service': 'coturn', 'com.docker.compose.oneoff': 'False' }),
    },
    // A volume of the container's own: files can be put there although the root is read-only, and they go with the container.
    Volumes: { [DIRECTORY]: {} },
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      // A published port range would cost a proxy process for each port.
      NetworkMode: 'host',
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
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  }
}
