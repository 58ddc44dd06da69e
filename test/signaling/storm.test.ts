/** Many who come at the same moment, as after a restart: none is turned away by the kernel before the server has seen it. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { startApp } from '../kit/app.ts'
import { whenDone } from '../kit/cleanup.ts'
import { freePorts } from '../kit/files.ts'

const PEERS = 1000
/** States in /proc/net/tcp (include/net/tcp_states.h of Linux). */
const [ESTABLISHED, SYN_SENT] = ['01', '02']

/** How many connections to that port are in each state. */
function states (port: number): Record<string, number> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const counts: Record<string, number> = {}
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, , remote = '', state = ''] = line.trim().split(/\s+/)
    if (remote.endsWith(`:${hex}`)) counts[state] = (counts[state] ?? 0) + 1
  }
  return counts
}

test.each(['HTTP', 'gRPC'])(`${PEERS} connections at once over %s all wait for the server; none has to knock again a second later`, async door => {
  const [grpcPort = 0] = await freePorts(1)
  const app = await startApp({ TURNPIKE_GRPC_PORT: String(grpcPort) }, { programPath: [] })
  const port = door === 'gRPC' ? grpcPort : Number(new URL(app.url()).port)
  // All within one turn of the event loop: the server, which is in this process, has taken none of them yet.
  for (let i = 0; i < PEERS; i++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    whenDone(() => socket.destroy())
  }
  // Node.js connects in the next tick, before the event loop goes on.
  await new Promise(resolve => process.nextTick(resolve))
  const { [ESTABLISHED]: established = 0, [SYN_SENT]: knocking = 0 } = states(port)
  expect({ established, knocking }).toEqual({ established: PEERS, knocking: 0 })
})
