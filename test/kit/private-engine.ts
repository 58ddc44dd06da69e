/** A Docker engine of the test's own, which may be stopped and started: the one that the other tests share must not be. Gone with the test. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { COTURN_IMAGE } from './docker.ts'
import { scratchDirectory, until } from './files.ts'

export type PrivateEngine = { host: string, docker (...args: string[]): string, start (): Promise<void>, stop (signal?: NodeJS.Signals): Promise<void> }

/** Runs, and has the image of coturn. `options` are dockerd's own. */
export async function startPrivateEngine (...options: string[]): Promise<PrivateEngine> {
  const directory = scratchDirectory()
  const host = `unix://${directory}/docker.sock`
  const docker = (...args: string[]): string => execFileSync('docker', ['-H', host, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  const bridge = `tpd${process.pid}`
  execFileSync('sh', ['-ec', `ip link add ${bridge} type bridge; ip addr add 10.213.77.1/24 dev ${bridge}; ip link set ${bridge} up`])
  const daemon: { child: ChildProcess | null } = { child: null }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    const { child } = daemon
    daemon.child = null
    child?.kill(signal)
    await until('the engine ends', () => child === null || child.exitCode !== null || child.signalCode !== null, 20_000)
  }
  const start = async (): Promise<void> => {
    const log = openSync(`${directory}/log`, 'a')
    // No rules of a firewall, and a bridge of its own: without one it would take away that of the shared engine.
    daemon.child = spawn('dockerd', ['--data-root', `${directory}/data`, '--exec-root', `${directory}/exec`, '--pidfile', `${directory}/pid`, '-H', host, '--shutdown-timeout=2', `--bridge=${bridge}`, '--iptables=false', '--ip6tables=false', ...options], { stdio: ['ignore', log, log] })
    daemon.child.on('error', () => {})
    await until('the engine answers', () => answers(docker), 20_000)
  }
  onTestFinished(async () => {
    if (daemon.child === null) await start()
    const left = docker('ps', '-aq').split('\n').filter(id => id !== '')
    if (left.length > 0) docker('rm', '-fv', ...left)
    await stop()
    execFileSync('ip', ['link', 'del', bridge])
    execFileSync('sh', ['-c', `grep -o ' ${directory}/[^ ]*' /proc/mounts | sort -r | xargs -r umount -l`])
  })
  await start()
  execFileSync('sh', ['-ec', `docker save ${COTURN_IMAGE} | docker -H ${host} load`], { stdio: ['ignore', 'ignore', 'pipe'] })
  return { host, docker, start, stop }
}

function answers (docker: PrivateEngine['docker']): boolean {
  try {
    docker('info')
    return true
  } catch {
    return false
  }
}
