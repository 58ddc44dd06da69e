/** The edge of the compose file: HAProxy with our own configuration, on loopback or wherever it is started; ends with the test. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { whenDone } from './cleanup.ts'
import { run } from './command.ts'
import { freePorts, until } from './files.ts'

export const EDGE_CONFIG = 'compose/edge/haproxy.cfg'

export function requireHaproxy (): string {
  const program = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy'].find(existsSync)
  if (program === undefined) throw new Error('haproxy is missing: apt-get install haproxy')
  return program
}

export type Edge = { port: number, httpPort: number, /** The same as variables of ours. */ settings: Record<string, string> }

/** Ports that an edge is to have, and the settings that ours follow from. */
export async function edgePorts (): Promise<Edge> {
  const [port = 0, httpPort = 0, agentPort, httpsPort, acmePort] = await freePorts(5)
  return {
    port,
    httpPort,
    settings: {
      TURNPIKE_EDGE_PORT: String(port),
      TURNPIKE_EDGE_AGENT_PORT: String(agentPort),
      TURNPIKE_HTTPS_HOST: '127.0.0.1',
      TURNPIKE_HTTPS_PORT: String(httpsPort),
      TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM: '127.0.0.1/32',
      TURNPIKE_ACME_HTTP_PORT: String(acmePort),
    },
  }
}

/** Listens when it resolves. */
export async function startEdge ({ port, httpPort }: Edge, env: Record<string, string>): Promise<void> {
  const [statusPort] = await freePorts(1)
  const started = run(requireHaproxy(), ['-db', '-f', EDGE_CONFIG], { ...env, EDGE_ADDRESS: '127.0.0.1', EDGE_TLS_PORT: String(port), EDGE_HTTP_PORT: String(httpPort), EDGE_STATUS_PORT: String(statusPort) })
  await until('the edge answers', async () => {
    if (started.child.exitCode !== null) throw new Error(started.all())
    return await fetch(`http://127.0.0.1:${statusPort}/`).then(({ ok }) => ok, () => false)
  })
}

/** In a network namespace, on the ports that it is known by. */
export async function startEdgeIn (namespace: string, env: Record<string, string>): Promise<void> {
  const started = run('ip', ['netns', 'exec', namespace, requireHaproxy(), '-db', '-f', EDGE_CONFIG], env)
  await until('the edge listens', () => {
    if (started.child.exitCode !== null) throw new Error(started.all())
    return execFileSync('ip', ['netns', 'exec', namespace, 'ss', '-Htln'], { encoding: 'utf8' }).includes('0.0.0.0:443 ')
  })
}

/** A port on loopback whose connections go on inside of TLS with this hello: for clients that speak plain TCP. */
export async function tlsTunnel (port: number, hello: { servername?: string, ALPNProtocols?: string[] }): Promise<number> {
  const open = new Set<Socket>()
  const server = createServer(near => {
    const far = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...hello })
    for (const socket of [near, far]) {
      open.add(socket)
      socket.setNoDelay(true).on('error', () => {}).on('close', () => { near.destroy(); far.destroy() })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  whenDone(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

/** How long it takes, in ms, until a connection is closed from the other side; `speak` is called every 200 ms. */
export async function untilClosed (port: number, speak: (socket: Socket) => void): Promise<number> {
  const began = performance.now()
  const socket = connectTcp({ host: '127.0.0.1', port })
  const speaking = setInterval(() => { if (socket.writable) speak(socket) }, 200)
  speak(socket)
  whenDone(() => { socket.destroy() })
  await new Promise<void>(resolve => socket.on('error', () => {}).resume().on('close', () => resolve()))
  clearInterval(speaking)
  return performance.now() - began
}
