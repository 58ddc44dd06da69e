/** One call of Negotiate: who it is, its place in a room, and its end. */
import type { Grant } from '../access/access.ts'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import type { Claim } from '../joining.ts'
import type { Log } from '../lifecycle.ts'
import type { Signaling } from '../signaling/signaling.ts'
import { CallSocket, streamUnder, type Call, type Pings } from './call-socket.ts'
import { textOf } from './message.ts'
import { refusal, type Grpc } from './statuses.ts'

export type NegotiateNeeds = {
  log: Log
  signaling: Pick<Signaling, 'admit' | 'attach'>
  /** Throws what joining is refused with. */
  grantFor: (claim: Claim, request: { headers: { origin?: string | undefined } }) => Grant
}

/** How long a call that is over its rate is not read: HTTP/2 then holds its sender back. */
const HELD_MS = 50
const LEFT = 1000
const TOO_LARGE = 1009
const LOST = 1006
/** So much may wait for a client that is to have its pings back: it does not read. */
const MOST_ECHOED = 262_144

export function negotiate (call: Call, needs: NegotiateNeeds, grpc: Grpc, pings: Pings): void {
  try {
    // Throws where the connection is gone already.
    const address = streamUnder(call).session?.socket.remoteAddress ?? ''
    const granted = needs.grantFor(claimOf(call), { headers: { origin: first(call, 'origin') } })
    // Nobody resumes here, and whoever dials again is back before its old call is known to be dead.
    const grant = granted.tokenId === '' ? granted : { ...granted, heldBy: `grpc ${granted.tokenId}` }
    needs.signaling.admit(grant, address)
    carry(call, new CallSocket(call, grpc, pings), socket => needs.signaling.attach(socket, grant, address, { spoken: 'grpc', ack: null }), grpc)
  } catch (error) {
    // Nobody catches what is thrown here: it would end the process.
    if (!isTurnpikeError(error)) needs.log.error({ err: error }, 'a call could not be taken')
    call.emit('error', refusal(isTurnpikeError(error) ? error : new TurnpikeError('internal', 'the call could not be taken'), grpc))
  }
}

function carry (call: Call, socket: CallSocket, attach: (socket: CallSocket) => ReturnType<Signaling['attach']>, { status }: Grpc): void {
  const stream = streamUnder(call)
  let hasLeft = false
  const events = attach(socket)
  socket.onPong = () => events.onPong()
  call.on('data', (bytes: Buffer) => {
    const { event, text } = textOf(bytes)
    if (event === 'PING' && socket.bufferedBytes() < MOST_ECHOED) socket.send(text)
    if (events.onMessage(Buffer.from(text), false)) return
    call.pause()
    setTimeout(() => call.resume(), HELD_MS)
  })
  // A client that has said all has left.
  call.on('end', () => {
    hasLeft = true
    socket.close(LEFT, '')
  })
  stream.once('close', () => {
    const isTooLarge = socket.closedWith === null && Number(stream.sentTrailers?.['grpc-status']) === status.RESOURCE_EXHAUSTED
    events.onClose(hasLeft ? LEFT : socket.closedWith ?? (isTooLarge ? TOO_LARGE : LOST))
  })
}

function claimOf (call: Call): Claim {
  const [, token] = /^Bearer +(\S+)$/i.exec(first(call, 'authorization') ?? '') ?? []
  return { token, dialect: 'grpc', peer: first(call, 'turnpike-peer'), room: first(call, 'turnpike-room'), project: first(call, 'turnpike-project') }
}

function first ({ metadata }: Call, key: string): string | undefined {
  const [value] = metadata.get(key)
  return typeof value === 'string' ? value : undefined
}
