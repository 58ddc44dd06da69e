/**
 * A VPS of the test's own, in the middle of the small internet: its network is its own, so that ports are the real ones, and its
 * Docker engine too, at its usual place, with the images that this machine's engine has. All of it goes with the test.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { startAbroad, type Abroad } from './abroad.ts'
import { whenDone } from './cleanup.ts'
import { docker as thisMachines, requireCompose, requireDocker } from './docker.ts'
import { scratchDirectory, until } from './files.ts'
import type { Internet } from './namespaces.ts'
import { makeRelease, type Release } from './release.ts'

export const VPS_DOMAIN = 'meet.test'

export type Vps = {
  abroad: Abroad
  /** What DOCKER_HOST is where its engine is asked. */
  dockerHost: string
  docker (...args: string[]): string
  /** A program on it, as its root; its network alone is its own, files are this machine's. Returns what it printed. */
  exec (program: string, ...args: string[]): string
  /** Lines for a shell as the docs have them, in a directory; its engine is the one that they reach. */
  sh (directory: string, script: string): string
  /** Turnpike's files in a directory of their own, whose command line works on this VPS. What a test machine must add is in compose/.env and compose/compose.override.yaml; no name is set yet. */
  unpack (): Release
  /** Off at once, as when the power is gone, and on again: every process is gone, and /run. Resolves when the engine answers. */
  reboot (): Promise<void>
}

/** Makes sure of all that a VPS is to have: images that are pulled elsewhere, and what the builder does with a network. Takes minutes where nothing is there yet. */
export async function requireVps (): Promise<void> {
  await requireDocker('coturn', 'debian', 'node', 'prometheus', 'haproxy', 'grafana')
  requireCompose()
  const { PATH = '', HOME = '' } = process.env
  execFileSync('docker', ['build', '--quiet', '--file', 'compose/Dockerfile', '--tag', 'turnpike-test/built', '.'], { env: { PATH, HOME, DOCKER_BUILDKIT: '0' }, stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Running, with its engine; all images of the shared engine are its own too, the builder's cache among them. `requireVps` first. */
export async function startVps (internet: Internet): Promise<Vps> {
  const abroad = await startAbroad(internet)
  const directory = scratchDirectory()
  const dockerHost = `unix://${directory}/run/docker.sock`
  const { PATH = '', HOME = '' } = process.env
  const env = { DOCKER_HOST: dockerHost, DOCKER_BUILDKIT: '0' }
  const sh = (cwd: string, script: string): string => execFileSync('sh', ['-ec', script], { cwd, env: { PATH, HOME, ...env }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 })
  const docker = (...args: string[]): string => execFileSync('docker', ['-H', dockerHost, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 }).trim()
  copyImages(`${directory}/data`)
  writeFileSync(`${directory}/resolv.conf`, `nameserver ${abroad.nameserver}\n`)
  const machine = new Machine(internet.pub, directory)
  const on = async (): Promise<void> => {
    machine.on()
    await until(`the engine answers, ${directory}/log`, () => answers(docker), 20_000)
  }
  whenDone(async () => await machine.off())
  await on()
  // A newcomer has none of ours.
  const ours = docker('image', 'ls', 'turnpike', '--format', '{{.Repository}}:{{.Tag}}').split('\n').filter(name => name !== '')
  if (ours.length > 0) docker('image', 'rm', ...ours)
  return {
    abroad,
    dockerHost,
    docker,
    sh,
    exec: (program, ...args) => execFileSync('ip', ['netns', 'exec', internet.pub, program, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 }),
    unpack: () => unpackFor(abroad, env),
    reboot: async () => {
      await machine.off()
      await on()
    },
  }
}

/** The processes: those of the engine and of all containers, in a namespace that ends with its first one. */
class Machine {
  readonly #namespace: string
  readonly #directory: string
  #child: ChildProcess | null = null

  constructor (namespace: string, directory: string) {
    this.#namespace = namespace
    this.#directory = directory
  }

  on (): void {
    const places = this.#directory
    mkdirSync(`${places}/run`)
    // Where everybody looks for it: the compose file gives /var/run/docker.sock to the guard. `sh` stays, because the first process must bury orphans.
    const boot = `mount --bind ${places}/run /run; mount --bind ${places}/data /var/lib/docker; mount --bind ${places}/resolv.conf /etc/resolv.conf
      dockerd --bridge=none --iptables=false --ip6tables=false; exit 1`
    const log = openSync(`${places}/log`, 'a')
    // Not `ip netns exec`, which would hide the control groups.
    this.#child = spawn('nsenter', [`--net=/run/netns/${this.#namespace}`, 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-ec', boot], { stdio: ['ignore', log, log] })
  }

  async off (): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child?.pid === undefined || child.exitCode !== null) return
    const [first] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ')
    if (first !== undefined && first !== '') process.kill(Number(first), 'SIGKILL')
    // It has ended when all others of its namespace have (pid_namespaces(7)).
    await until('the machine is off', () => child.exitCode !== null || child.signalCode !== null, 20_000)
    rmSync(`${this.#directory}/run`, { recursive: true })
    // What the kernel keeps of containers, and would not have after a start.
    for (const id of readdirSync(`${this.#directory}/data/containers`)) execFileSync('find', ['/sys/fs/cgroup', '-depth', '-type', 'd', '-name', id, '-exec', 'rmdir', '{}', ';'], { stdio: 'ignore' })
  }
}

/**
 * Images cannot be had twice as cheaply in any other way: layers are never written to, so that theirs are links to the same files,
 * and what the builder has done already need not be done again without a network. Not what containers write, which may vanish
 * meanwhile; nor through the mount that the engine has made of its directory, because links do not lead out of a mount.
 */
function copyImages (to: string): void {
  const from = thisMachines('info', '--format', '{{.DockerRootDir}}')
  mkdirSync(`${to}/image/overlay2/layerdb`, { recursive: true })
  mkdirSync(`${to}/overlay2/l`, { recursive: true })
  mkdirSync(`${to}/machine`)
  execFileSync('unshare', ['--mount', 'sh', '-ec', `mount --bind / ${to}/machine
    cd ${to}/machine${to}
    from=${to}/machine${from}
    cp -a $from/image/overlay2/imagedb $from/image/overlay2/repositories.json image/overlay2
    cp -a $from/image/overlay2/layerdb/sha256 image/overlay2/layerdb
    for file in image/overlay2/layerdb/sha256/*/cache-id; do
      layer=$(cat $file)
      cp -al $from/overlay2/$layer overlay2
      ln -s ../$layer/diff overlay2/l/$(cat overlay2/$layer/link)
    done`], { stdio: ['ignore', 'ignore', 'pipe'] })
  rmdirSync(`${to}/machine`)
}

function unpackFor (abroad: Abroad, env: Record<string, string>): Release {
  const release = makeRelease(scratchDirectory(), env)
  const compose = `${release.directory}/compose`
  writeFileSync(`${compose}/.env`, `TURNPIKE_ACME_DIRECTORY=${abroad.directory}\nTURNPIKE_ACME_CA_FILE=/authority.pem\nTURNPIKE_ACME_RETRY_SECONDS=1\nTURNPIKE_RELAY_STUN_SERVERS=none\n`, { mode: 0o600 })
  writeFileSync(`${compose}/compose.override.yaml`, `services: {turnpike: {volumes: ["${abroad.caFile}:/authority.pem:ro"]}}\n`)
  return release
}

function answers (docker: Vps['docker']): boolean {
  try {
    docker('info')
    return true
  } catch {
    return false
  }
}
