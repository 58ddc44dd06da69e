/** Tells the edge which of the two coturns takes new connections, while one takes over from the other (HAProxy's agent-check). */
import { createServer, type Server, type Socket } from 'node:net'
import { TurnpikeError } from '../protocol/errors.ts'
import type { RelayNeeds } from './needs.ts'
import type { Slot } from './sites.ts'

export type EdgeAgentNeeds = { config: Pick<RelayNeeds['config'], 'edge' | 'relay'>, /** Of a clock that nobody sets; this process' where it is not given. */ elapsedSeconds?: () => number, servingSlot: () => Slot }

const HOST = '127.0.0.1'
const PATIENCE_MS = 2000
const LONGEST_QUESTION = 32
/** The two are asked for apart: the one that leaves is told of later, so that there is never none. */
const OVERLAP_SECONDS = 5

export class EdgeAgent {
  readonly #needs: EdgeAgentNeeds
  readonly #server: Server
  readonly #open = new Set<Socket>()
  readonly #elapsed: () => number
  /** When it was last the one that serves. */
  readonly #served = new Map<Slot, number>()

  constructor (needs: EdgeAgentNeeds) {
    this.#needs = needs
    this.#elapsed = needs.elapsedSeconds ?? (() => performance.now() / 1000)
    this.#server = createServer(socket => this.#take(socket))
  }

  /** Throws address-in-use. */
  async start (): Promise<void> {
    const { port, agentPort } = this.#needs.config.edge
    if (port === 0) return
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(new TurnpikeError('address-in-use', `${HOST}:${agentPort} cannot be listened on (${error.code}), where the edge asks which coturn serves; it is set by TURNPIKE_EDGE_AGENT_PORT`, { cause: error })))
      this.#server.listen(agentPort, HOST, resolve)
    })
  }

  stop (): void {
    this.#server.close()
    for (const socket of this.#open) socket.destroy()
  }

  #take (socket: Socket): void {
    this.#open.add(socket)
    let question = ''
    socket.setTimeout(PATIENCE_MS, () => socket.destroy())
    socket.on('error', () => {}).on('close', () => this.#open.delete(socket))
    socket.setEncoding('latin1').on('data', (text: string) => {
      question += text
      if (question.length > LONGEST_QUESTION) socket.destroy()
      else if (question.includes('\n')) socket.end(this.#answer(question.trim()))
    })
  }

  /** `drain`: what it has goes on, and nothing new comes. Of anything else nothing is said, and nothing changes. */
  #answer (slot: string): string {
    if (slot !== 'main' && slot !== 'alternate') return ''
    const now = this.#elapsed()
    const serving = this.#needs.servingSlot()
    this.#served.set(serving, now)
    // For as long it takes new allocations.
    const overlap = Math.min(OVERLAP_SECONDS, this.#needs.config.relay.handOverSeconds)
    return now - (this.#served.get(slot) ?? -Infinity) <= overlap ? 'ready up\n' : 'drain\n'
  }
}
